//! Rust skills: cargo builds them, in whatever workspace they are in.

use std::env;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::Failure;
use crate::process;
use crate::repo::Repo;
use crate::skill::source::Source;
use crate::toolchain::{self, SKILL_TARGET};

/// Builds the skill and gives the module that cargo left.
pub(crate) fn compile(repo: &Repo, source: &Source) -> Result<Vec<u8>, Failure> {
    toolchain::ensure_targets(&[SKILL_TARGET])?;
    let manifest = source.folder.join("Cargo.toml");
    let mut cargo = process::cargo();
    // A crate that is a library for its tests as well as a module is not optimised as a whole: asking for the module
    // alone makes it a third smaller.
    cargo.args(["rustc", "--lib", "--crate-type", "cdylib"]);
    cargo.args(["--release", "--target", SKILL_TARGET, "--message-format", "json-render-diagnostics"]);
    cargo.arg("--manifest-path").arg(&manifest);
    // What is stripped is decided afterwards, whatever the profile says.
    cargo.args(["--config", "profile.release.strip=\"none\""]);
    cargo.arg("--config").arg(remapped_paths(repo, &source.folder)?);
    let messages = process::cargo_build(&mut cargo)
        .map_err(|_| Failure::at(&source.folder, "cargo could not build it; what is wrong stands above"))?;
    let module = module_in(&messages, &manifest)
        .ok_or_else(|| Failure::at(&manifest, "the package built no .wasm; a skill is a library"))?;
    std::fs::read(&module).map_err(|error| Failure::at(&module, error))
}

/// Makes the compiler forget where this machine keeps things: panic messages name source files, and the bytes of a
/// skill should not depend on who built it.
fn remapped_paths(repo: &Repo, folder: &Path) -> Result<String, Failure> {
    let cargo_home = match (env::var_os("CARGO_HOME"), env::home_dir()) {
        (Some(cargo_home), _) => PathBuf::from(cargo_home),
        (None, Some(home)) => home.join(".cargo"),
        (None, None) => return Err(Failure::said("there is neither CARGO_HOME nor a home folder")),
    };
    // The same flags for all skills of this repository, which share what is built: other flags build it again.
    let own = if folder.starts_with(repo.root()) { None } else { Some((folder, "skill")) };
    let flags: Vec<String> = [Some((repo.root(), "cis")), Some((&cargo_home, "cargo")), own]
        .into_iter()
        .flatten()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        // What the compiler tells the author still names the files as they are.
        .chain(["--remap-path-scope=object".to_owned()])
        .collect();
    Ok(format!("target.{SKILL_TARGET}.rustflags={}", toml::Value::from(flags)))
}

/// The `.wasm` of the package with this manifest, among cargo's messages.
fn module_in(messages: &str, manifest: &Path) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest))
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .find(|path| path.extension().is_some_and(|extension| extension == "wasm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_that_of_the_package_asked_for() {
        let artifact = |manifest: &str, file: &str| {
            format!(r#"{{"reason":"compiler-artifact","manifest_path":"{manifest}","filenames":["{file}"]}}"#)
        };
        let messages = [
            "warning: not JSON".to_owned(),
            artifact("/a/Cargo.toml", "/t/a.wasm"),
            artifact("/b/Cargo.toml", "/t/libb.rlib"),
            artifact("/b/Cargo.toml", "/t/b.wasm"),
        ]
        .join("\n");
        assert_eq!(module_in(&messages, Path::new("/b/Cargo.toml")), Some("/t/b.wasm".into()));
        assert_eq!(module_in(&messages, Path::new("/c/Cargo.toml")), None);
    }
}

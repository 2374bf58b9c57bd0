//! Commands that need the engine, handed over to a program that is linked with it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::Failure;
use crate::process;
use crate::repo::Repo;
use crate::skill;

/// How a program is built, here and everywhere, so that the engine built for it is the one that the tests use.
///
/// `--workspace --all-features` settles the features of what the crates share. `--examples` is for the same reason: it
/// makes cargo count what only tests depend on, some of which switches features on in crates that the engine needs too.
const BUILD: [&str; 5] =
    ["build", "--workspace", "--all-features", "--examples", "--message-format=json-render-diagnostics"];

/// The profile that a program is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// That of the tests: what they have built is not built again.
    Dev,
    Release,
}

/// Builds the skill when the first argument is a folder, then hands all arguments over to `cis-skill COMMAND`.
pub(crate) fn to_cli(repo: &Repo, command: &str, mut args: Vec<String>) -> Result<(), Failure> {
    match args.first() {
        None => {
            return Err(Failure::said(format!(
                "say which skill: `cargo xtask {command}-skill PATH_OR_WASM ...`; `--help` shows what else it takes"
            )));
        }
        Some(help) if help == "--help" || help == "-h" => {}
        Some(flag) if flag.starts_with('-') => {
            return Err(Failure::said(format!(
                "the skill's folder or .wasm comes first: `cargo xtask {command}-skill PATH_OR_WASM {flag} ...`"
            )));
        }
        Some(path) => {
            let module = skill::module_of(repo, Path::new(path))?;
            args[0] = module.into_os_string().into_string().map_err(|path| {
                Failure::said(format!("{}: cannot be passed on, it is not UTF-8", Path::new(&path).display()))
            })?;
        }
    }
    let cli = cli(repo)?;
    Err(process::hand_over(std::process::Command::new(cli).arg(command).args(args)))
}

/// Hands all arguments over to `cis-skill COMMAND`, which takes a recording. Where `--wasm` names a skill's folder, that is
/// built first.
pub(crate) fn recording_to_cli(repo: &Repo, command: &str, mut args: Vec<String>) -> Result<(), Failure> {
    if let Some(module) = args.iter().position(|arg| arg == "--wasm").and_then(|flag| args.get_mut(flag + 1)) {
        let built = skill::module_of(repo, Path::new(module))?.into_os_string().into_string();
        *module = built.map_err(|path| {
            Failure::said(format!("{}: cannot be passed on, it is not UTF-8", Path::new(&path).display()))
        })?;
    }
    let cli = cli(repo)?;
    Err(process::hand_over(std::process::Command::new(cli).arg(command).args(args)))
}

/// Runs this project's benches.
pub(crate) fn bench(repo: &Repo, args: &[String]) -> Result<(), Failure> {
    process::run(process::cargo().current_dir(repo.root()).args(["bench", "--package", "cis-benches"]).args(args))
}

/// Hands all arguments over to the program that tries hostile skills. Built as the tests are: limits can be taken out of
/// service there.
pub(crate) fn to_hostile(repo: &Repo, args: Vec<String>) -> Result<(), Failure> {
    let program = program(repo, "cis-hostile", Profile::Dev)?;
    Err(process::hand_over(std::process::Command::new(program).args(args)))
}

/// Hands all arguments over to a command that runs skills until something gives.
pub(crate) fn to_reliability(repo: &Repo, profile: Profile, args: Vec<String>) -> Result<(), Failure> {
    let program = program(repo, "cis-reliability", profile)?;
    Err(process::hand_over(std::process::Command::new(program).args(args)))
}

/// The program `cis-skill`, built when it is not up to date.
pub(crate) fn cli(repo: &Repo) -> Result<PathBuf, Failure> {
    program(repo, "cis-skill", Profile::Dev)
}

/// A program of the workspace, built when it is not up to date.
fn program(repo: &Repo, name: &str, profile: Profile) -> Result<PathBuf, Failure> {
    let folder = if profile == Profile::Release { "release" } else { "debug" };
    if !repo.target().join(folder).join(format!("{name}{}", std::env::consts::EXE_SUFFIX)).exists() {
        eprintln!("building the runtime; the first time this takes some minutes");
    }
    let mut cargo = process::cargo();
    cargo.current_dir(repo.root()).args(BUILD).args(["--bin", name]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    let messages = process::cargo_build(&mut cargo)?;
    executable_in(&messages, name).ok_or_else(|| Failure::said(format!("cargo built no program `{name}`")))
}

/// The program of this name among cargo's messages.
pub(crate) fn executable_in(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(args: &[&str]) -> String {
        let repo = Repo::at(PathBuf::from("nowhere"));
        to_cli(&repo, "run", args.iter().map(|arg| (*arg).to_owned()).collect()).unwrap_err().message()
    }

    #[test]
    fn the_skill_comes_first() {
        assert!(refusal(&[]).contains("run-skill PATH_OR_WASM"));
        assert!(refusal(&["--event", "x"]).contains("comes first"));
    }

    #[test]
    fn the_program_is_found_among_the_messages() {
        let library = r#"{"reason":"compiler-artifact","target":{"name":"cis-skill"},"executable":null}"#;
        let program = r#"{"reason":"compiler-artifact","target":{"name":"cis-skill"},"executable":"/t/cis-skill"}"#;
        let both = format!("{library}\n{program}");
        assert_eq!(executable_in(&both, "cis-skill"), Some("/t/cis-skill".into()));
        assert_eq!(executable_in(&both, "cis-other"), None);
        assert_eq!(executable_in(library, "cis-skill"), None);
    }
}

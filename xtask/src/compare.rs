//! `bench-compare`: the runtime beside its peers. The program and its guests are packages of their own, outside of the
//! workspace; this builds them and hands over.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::forward::executable_in;
use crate::process;
use crate::repo::Repo;
use crate::skill;
use crate::toolchain::{self, SKILL_TARGET};

/// Where the package lies, and its guests.
pub(crate) const PACKAGE: &str = "benches/compare";
pub(crate) const GUESTS: &str = "benches/compare/guests";

/// The guests by the flag that names them to the program: a folder with a skill each, and a package of a plug-in each.
const SKILLS: [(&str, &str); 3] = [("--skill", "skill"), ("--big-skill", "big-skill"), ("--tiny-skill", "tiny-skill")];
const PLUGINS: [(&str, &str); 3] =
    [("--plugin", "plugin"), ("--big-plugin", "big-plugin"), ("--tiny-plugin", "tiny-plugin")];

/// Builds everything in release and hands all arguments over.
pub(crate) fn run(repo: &Repo, args: &[String]) -> Result<(), Failure> {
    toolchain::ensure_targets(&[SKILL_TARGET])?;
    // Where cargo puts what it builds, which the environment may say.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repo.target(), PathBuf::from).join("compare");
    let mut command = Command::new(program(repo, &target)?);
    for (flag, guest) in SKILLS {
        command.arg(flag).arg(skill::module_of(repo, &repo.path(GUESTS).join(guest))?);
    }
    for (flag, guest) in PLUGINS {
        command.arg(flag).arg(plugin(repo, guest, &target)?);
    }
    command.arg("--save").arg(target.join("results.json")).arg("--docs").arg(repo.path("docs"));
    Err(process::hand_over(command.args(args)))
}

fn program(repo: &Repo, target: &Path) -> Result<PathBuf, Failure> {
    if !target.join("release").is_dir() {
        eprintln!("building four engines in release; the first time this takes 20 minutes and more");
    }
    let messages = build(repo, &repo.path(PACKAGE), target, &[])?;
    executable_in(&messages, "cis-compare").ok_or_else(|| Failure::said("cargo built no program `cis-compare`"))
}

fn plugin(repo: &Repo, guest: &str, target: &Path) -> Result<PathBuf, Failure> {
    let target = target.join("guests");
    build(repo, &repo.path(GUESTS).join(guest), &target, &["--target", SKILL_TARGET])?;
    let name = format!("compare_{}.wasm", guest.replace('-', "_"));
    Ok(target.join(SKILL_TARGET).join("release").join(name))
}

fn build(repo: &Repo, package: &Path, target: &Path, args: &[&str]) -> Result<String, Failure> {
    let mut cargo = process::cargo();
    cargo.current_dir(repo.root()).args(["build", "--release", "--message-format=json-render-diagnostics"]);
    cargo.arg("--manifest-path").arg(package.join("Cargo.toml")).arg("--target-dir").arg(target).args(args);
    process::cargo_build(&mut cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository");
        for (flag, guest) in SKILLS.into_iter().chain(PLUGINS) {
            assert!(root.join(GUESTS).join(guest).join("Cargo.toml").is_file(), "{flag}");
        }
        assert!(root.join(PACKAGE).join("Cargo.lock").is_file());
    }
}

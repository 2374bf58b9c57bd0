//! Commands that need the engine, handed over to the program of `cis-skill-cli`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::Failure;
use crate::process;
use crate::repo::Repo;
use crate::skill;

/// How the program is built, here and everywhere, so that the engine built for it is the one that the tests use.
///
/// `--workspace --all-features` settles the features of what the crates share. `--examples` is for the same reason: it
/// makes cargo count what only tests depend on, some of which switches features on in crates that the engine needs too.
const CLI_BUILD: [&str; 7] = [
    "build",
    "--workspace",
    "--all-features",
    "--examples",
    "--bin",
    "cis-skill",
    "--message-format=json-render-diagnostics",
];

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

/// Runs this project's benches.
pub(crate) fn bench(repo: &Repo, args: &[String]) -> Result<(), Failure> {
    process::run(process::cargo().current_dir(repo.root()).args(["bench", "--package", "cis-benches"]).args(args))
}

/// The program `cis-skill`, built when it is not up to date.
pub(crate) fn cli(repo: &Repo) -> Result<PathBuf, Failure> {
    let built = repo.target().join("debug").join(format!("cis-skill{}", std::env::consts::EXE_SUFFIX));
    if !built.exists() {
        eprintln!("building the runtime; the first time this takes some minutes");
    }
    let messages = process::cargo_build(process::cargo().current_dir(repo.root()).args(CLI_BUILD))?;
    executable_in(&messages).ok_or_else(|| Failure::said("cargo built no program `cis-skill`"))
}

fn executable_in(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == "cis-skill")
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
        assert_eq!(executable_in(&format!("{library}\n{program}")), Some("/t/cis-skill".into()));
        assert_eq!(executable_in(library), None);
    }
}

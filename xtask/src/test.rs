//! Every test: the skills natively, then the workspace with all of its features, so on both compilers.

use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

use crate::cli;
use crate::failure::Failure;
use crate::process;
use crate::repo::Repo;
use crate::toolchain::{self, TEST_TARGETS};

/// What every command that builds the workspace says, so that all of them share one build of the engine.
pub(crate) const WORKSPACE: [&str; 2] = ["--workspace", "--all-features"];

/// Runs every test and closes with how many there were. With arguments, only the workspace's `cargo test` is run: they
/// name something in it.
pub(crate) fn run(repo: &Repo, args: &cli::Test) -> Result<(), Failure> {
    toolchain::ensure_targets(&TEST_TARGETS)?;
    let mut counts = Counts::default();
    let mut skills = process::cargo();
    skills.current_dir(repo.skills()).args(["test", "--no-fail-fast"]);
    let skills = if args.args.is_empty() { counted(&mut skills, &mut counts) } else { Ok(()) };
    let mut workspace = process::cargo();
    workspace.current_dir(repo.root()).args(["test", "--no-fail-fast"]).args(WORKSPACE).args(&args.args);
    let workspace = counted(&mut workspace, &mut counts);
    println!("\n{} passed, {} failed", counts.passed, counts.failed);
    skills.and(workspace)
}

/// How many tests ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
    }
}

/// Runs cargo's tests, passing on what they print, and adds up what the runs close with.
fn counted(command: &mut Command, counts: &mut Counts) -> Result<(), Failure> {
    eprintln!("$ {}", process::shown(command));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| process::not_started(command, &error))?;
    let stdout = child.stdout.take().expect("stdout was piped");
    for line in BufReader::new(stdout).split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        *counts += closing_counts(&line).unwrap_or_default();
    }
    let status = child.wait().map_err(|error| process::not_started(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::said(format!("`{}` failed ({status})", process::shown(command))))
    }
}

/// The numbers of a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; ...`.
fn closing_counts(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |what: &str| {
        let count = numbers.split(';').find_map(|part| part.trim().strip_suffix(what))?;
        count.trim().parse().ok()
    };
    Some(Counts { passed: number(" passed")?, failed: number(" failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 1 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.01s";
        assert_eq!(closing_counts(line), Some(Counts { passed: 12, failed: 1 }));
        assert_eq!(closing_counts("test packed_bytes ... ok"), None);
        assert_eq!(closing_counts("test result: ok. a lot passed; 0 failed"), None);
    }
}

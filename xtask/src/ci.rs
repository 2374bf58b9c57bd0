//! Everything that has to hold before a change lands, in the order of how soon it can fail.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::cli;
use crate::compare;
use crate::failure::Failure;
use crate::process;
use crate::repo::Repo;
use crate::test::WORKSPACE;
use crate::toolchain::{self, SKILL_TARGET};
use crate::{live, test, tidy};

type Step = (&'static str, fn(&Repo) -> Result<(), Failure>);

const STEPS: [Step; 10] = [
    ("format", format),
    ("tidy", |repo| tidy::run(repo, false)),
    ("dependencies", dependencies),
    ("clippy: all features", |repo| clippy(repo, &["--all-features"])),
    ("clippy: default features", |repo| clippy(repo, &[])),
    ("clippy: no default features", |repo| clippy(repo, &["--no-default-features"])),
    ("clippy: guests", clippy_guests),
    ("documentation", documentation),
    ("tests", |repo| test::run(repo, &cli::Test { args: Vec::new() })),
    ("live model", |repo| live::run(repo, &cli::TestLive { require: false })),
];

/// Runs the steps up to the first that fails.
pub(crate) fn run(repo: &Repo) -> Result<(), Failure> {
    toolchain::ensure_targets(&toolchain::TEST_TARGETS)?;
    let mut done = Vec::new();
    for (name, step) in STEPS {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let ended = step(repo);
        done.push((name, start.elapsed(), ended.is_ok()));
        if let Err(failure) = ended {
            print!("{}", table(&done));
            return Err(Failure::said(format!("the step `{name}` failed: {}", failure.message())));
        }
    }
    print!("{}", table(&done));
    Ok(())
}

/// What ran, how it ended, and how long it took.
fn table(steps: &[(&str, Duration, bool)]) -> String {
    let width = steps.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
    let mut text = "\n".to_owned();
    for (name, took, passed) in steps {
        let ended = if *passed { "ok" } else { "FAILED" };
        text += &format!("{name:width$}  {ended:6} {:>7.1} s\n", took.as_secs_f64());
    }
    let total: Duration = steps.iter().map(|(_, took, _)| took).sum();
    text + &format!("{:width$}  {:6} {:>7.1} s\n", "total", "", total.as_secs_f64())
}

/// Where the fuzz targets lie.
const FUZZ: &str = "fuzz";

fn cargo_in_root(repo: &Repo) -> Command {
    let mut cargo = process::cargo();
    cargo.current_dir(repo.root());
    cargo
}

fn cargo_in_skills(repo: &Repo) -> Command {
    let mut cargo = process::cargo();
    cargo.current_dir(repo.skills());
    cargo
}

/// The packages outside of the workspace that are too much to build here: the peers' benches, their guests, and what
/// `cargo fuzz` builds.
fn cargo_beside(repo: &Repo) -> [Command; 3] {
    [compare::PACKAGE, compare::GUESTS, FUZZ].map(|folder| {
        let mut cargo = process::cargo();
        cargo.current_dir(repo.path(folder));
        cargo
    })
}

fn format(repo: &Repo) -> Result<(), Failure> {
    process::run(cargo_in_root(repo).args(["fmt", "--all", "--check"]))?;
    for mut cargo in cargo_beside(repo) {
        process::run(cargo.args(["fmt", "--all", "--check"]))?;
    }
    process::run(cargo_in_skills(repo).args(["fmt", "--all", "--check"]))
}

/// Licences, duplicates and sources of what the tree depends on. Known vulnerabilities are another matter: their
/// database is fetched from the network, which a build here cannot reach.
fn dependencies(repo: &Repo) -> Result<(), Failure> {
    for mut cargo in [cargo_in_root(repo), cargo_in_skills(repo)].into_iter().chain(cargo_beside(repo)) {
        // Fails when the committed lock file would have to change.
        process::output(cargo.args(["metadata", "--locked", "--format-version", "1"]))?;
    }
    eprintln!("not checked here: the advisory database; run `cargo deny check advisories` where it can be fetched");
    // The exception is for the engine, which the skills do not have.
    let of_skills = ["--manifest-path", "skills/Cargo.toml", "--config", "deny.toml"];
    for (whose, unused) in [(&[][..], &[][..]), (&of_skills, &["--allow", "license-exception-not-encountered"])] {
        let mut cargo = cargo_in_root(repo);
        cargo.arg("deny").args(whose).args(["--all-features", "check", "--hide-inclusion-graph"]).args(unused);
        process::run(cargo.args(["bans", "licenses", "sources"]))?;
    }
    Ok(())
}

fn clippy(repo: &Repo, features: &[&str]) -> Result<(), Failure> {
    let mut cargo = cargo_in_root(repo);
    process::run(cargo.args(["clippy", "--workspace", "--all-targets"]).args(features).args(["--", "-D", "warnings"]))
}

/// What only a guest compiles: the SDK's entry, allocator and imports, and the skills.
fn clippy_guests(repo: &Repo) -> Result<(), Failure> {
    const DENY: [&str; 3] = ["--", "-D", "warnings"];
    let sdk = ["clippy", "--package", "cis-skill-sdk", "--all-features", "--target", SKILL_TARGET];
    process::run(cargo_in_root(repo).args(sdk).args(DENY))?;
    process::run(cargo_in_skills(repo).args(["clippy", "--all-targets"]).args(DENY))?;
    process::run(cargo_in_skills(repo).args(["clippy", "--release", "--target", SKILL_TARGET]).args(DENY))
}

/// The documentation of libraries and examples. Not of programs: the page of `cis-skill`, the program, would lie where
/// that of the library lies. With the examples the engine is the one that clippy has read already, see
/// [`crate::forward`].
fn documentation(repo: &Repo) -> Result<(), Failure> {
    let mut cargo = cargo_in_root(repo);
    cargo.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--no-deps", "--lib", "--examples"]).args(WORKSPACE);
    process::run(&mut cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lines_up() {
        let second = Duration::from_secs(1);
        let text = table(&[("format", second, true), ("clippy: guests", second * 61, false)]);
        let expected =
            "\nformat          ok         1.0 s\nclippy: guests  FAILED    61.0 s\ntotal                     62.0 s\n";
        assert_eq!(text, expected);
    }
}

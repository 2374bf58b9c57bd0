//! The rules of this repository that no compiler checks. Each is a function from what it looks at to what it finds, with
//! a test that shows it can find something.

mod code;
mod files;
mod generated;
mod layers;
mod manifests;
mod sources;

use std::fmt;

use crate::failure::Failure;
use crate::repo::Repo;
use crate::tidy::files::File;

/// Something that is against a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A file with or without a line, or a crate.
    place: String,
    /// What is wrong, and what to do.
    problem: String,
}

impl Finding {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Finding { place: place.into(), problem: problem.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// The rules that look at one file at a time.
const FILE_RULES: [fn(&File) -> Vec<Finding>; 6] = [
    files::no_binaries,
    files::no_machine_paths,
    files::not_too_long,
    manifests::lints_are_inherited,
    sources::nothing_unfinished,
    sources::unsafe_states_its_invariant,
];

/// Checks every rule. With `bless`, generated files are rewritten first.
pub(crate) fn run(repo: &Repo, bless: bool) -> Result<(), Failure> {
    if bless {
        crate::c_header::write(repo)?;
        crate::abi_doc::write(repo)?;
    }
    let files = files::of(repo)?;
    let packages = layers::packages(repo)?;
    let mut findings: Vec<Finding> =
        files.iter().flat_map(|file| FILE_RULES.iter().flat_map(|rule| rule(file))).collect();
    findings.extend(layers::respected(&packages));
    findings.extend(layers::core_is_lean(&layers::core_dependencies(repo)?));
    findings.extend(manifests::unsafe_is_forbidden(&files));
    findings.extend(generated::header_is_fresh(&files, &crate::c_header::text()));
    findings.extend(generated::abi_document_is_fresh(&files));
    if findings.is_empty() {
        eprintln!("tidy: {} files and {} crates keep the rules", files.len(), packages.len());
        return Ok(());
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    Err(Failure::said(format!("tidy: {} against the rules", findings.len())))
}

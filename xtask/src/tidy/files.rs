//! Rules about files of any kind, and how the files are found.

use std::process::Command;

use crate::failure::Failure;
use crate::process;
use crate::repo::Repo;
use crate::tidy::Finding;

/// A file that is in git, or would be after `git add`.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// What it holds, when that is text.
    pub(crate) text: Option<String>,
}

impl File {
    /// The text of a file with this ending; nothing for every other file.
    pub(crate) fn text_if(&self, ending: &str) -> Option<&str> {
        self.text.as_deref().filter(|_| self.path.ends_with(ending))
    }
}

/// The most lines that a file may have: past it there is a second idea in it.
const LONGEST: usize = 800;

/// Every file of the checkout that is not ignored.
pub(crate) fn of(repo: &Repo) -> Result<Vec<File>, Failure> {
    let mut git = Command::new("git");
    git.current_dir(repo.root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let list = process::output(&mut git)?;
    let mut files = Vec::new();
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        // A file that was deleted and not yet committed is listed too.
        if let Ok(bytes) = std::fs::read(repo.path(path)) {
            files.push(File { path: path.to_owned(), text: String::from_utf8(bytes).ok() });
        }
    }
    Ok(files)
}

/// Guests are built from source.
pub(crate) fn no_binaries(file: &File) -> Vec<Finding> {
    if file.path.ends_with(".wasm") || file.text.as_deref().is_none_or(|text| text.contains('\0')) {
        return vec![Finding::new(&file.path, "a binary file; keep the source and build it")];
    }
    Vec::new()
}

/// A path of somebody's machine is wrong on every other one.
pub(crate) fn no_machine_paths(file: &File) -> Vec<Finding> {
    // Put together here, so that this file does not hold what it forbids.
    const ROOTS: [&str; 6] = [
        concat!("/", "home/"),
        concat!("/", "root/"),
        concat!("/", "Users/"),
        concat!("/", "work/"),
        concat!("/", "tmp/"),
        concat!("/", "opt/"),
    ];
    let begins = |line: &str, at: usize| {
        // A path begins here when nothing before it makes it a part of a longer one.
        !line[..at]
            .ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | '/' | '}' | '*'))
    };
    let holds = |line: &str| ROOTS.iter().any(|root| line.match_indices(root).any(|(at, _)| begins(line, at)));
    let text = file.text.as_deref().unwrap_or_default();
    lines(text)
        .filter(|(_, line)| holds(line))
        .map(|(number, _)| Finding::new(format!("{}:{number}", file.path), "names a path of one machine"))
        .collect()
}

/// One idea a file.
pub(crate) fn not_too_long(file: &File) -> Vec<Finding> {
    let count = file.text.as_deref().unwrap_or_default().lines().count();
    if count > LONGEST && !file.path.ends_with(".lock") && !file.path.ends_with("-lock.json") {
        let problem = format!("{count} lines, more than {LONGEST}: which part is an idea of its own?");
        return vec![Finding::new(&file.path, problem)];
    }
    Vec::new()
}

/// The lines of a text with their numbers, from 1.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: Some(text.to_owned()) }
    }

    #[track_caller]
    fn places(findings: Vec<Finding>, expected: &[&str]) {
        let places: Vec<_> = findings.into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn modules_and_other_binaries_are_found() {
        places(no_binaries(&file("a.wasm", "")), &["a.wasm"]);
        places(no_binaries(&File { path: "a.png".to_owned(), text: None }), &["a.png"]);
        places(no_binaries(&file("a.bin", "\0asm")), &["a.bin"]);
        places(no_binaries(&file("a.wat", "(module)")), &[]);
    }

    #[test]
    fn machine_paths_are_found() {
        let path = format!("/{}/me/x", "home");
        places(no_machine_paths(&file("a.md", &format!("fine\nsee `{path}`\n"))), &["a.md:2"]);
        places(no_machine_paths(&file("a.md", &path)), &["a.md:1"]);
        places(no_machine_paths(&file("a.md", &format!("https://example.com{path} and src{path}"))), &[]);
    }

    #[test]
    fn long_files_are_found() {
        places(not_too_long(&file("a.rs", &"\n".repeat(LONGEST))), &[]);
        places(not_too_long(&file("a.rs", &"\n".repeat(LONGEST + 1))), &["a.rs"]);
        places(not_too_long(&file("Cargo.lock", &"\n".repeat(LONGEST + 1))), &[]);
    }
}

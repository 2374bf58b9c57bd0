//! A skill's folder, as its author left it.

use std::path::{Path, PathBuf};

use cis_skill_manifest::Manifest;

use crate::failure::Failure;
use crate::repo;

/// A folder that holds a skill.
#[derive(Debug)]
pub(crate) struct Source {
    /// The folder, with no links or `..` left in its path.
    pub(crate) folder: PathBuf,
    pub(crate) language: Language,
    /// The manifest's `name`.
    pub(crate) name: String,
    /// `skill.toml`, byte for byte.
    pub(crate) manifest: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    C,
    Rust,
}

impl Source {
    /// Reads what is needed to build the skill. Its manifest is checked as a host checks it that loads the module, before
    /// anything is compiled.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let folder = folder.canonicalize().map_err(|error| Failure::at(folder, error))?;
        let language = if folder.join("Cargo.toml").is_file() {
            Language::Rust
        } else if folder.join("skill.toml").is_file() {
            Language::C
        } else {
            let why = "not a skill: it has no skill.toml; start one with `cargo xtask new-skill NAME`";
            return Err(Failure::at(&folder, why));
        };
        let path = folder.join("skill.toml");
        let manifest = repo::read(&path)?;
        let parsed: Manifest = manifest.parse().map_err(|problem| Failure::at(&folder, problem))?;
        Ok(Source { folder, language, name: parsed.name.to_string(), manifest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_manifest_says_how_to_start() {
        let folder = std::env::temp_dir();
        let failure = Source::open(&folder).unwrap_err();
        assert!(failure.message().contains("new-skill"), "{}", failure.message());
    }
}

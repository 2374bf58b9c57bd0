//! A skill's folder, as its author left it.

use std::path::{Path, PathBuf};

use cis_wasm_abi::ceilings;

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
    /// Reads what is needed to build the skill. The manifest is only read as TOML here: what it means is checked where
    /// it counts, when a host loads the module.
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
        let name = name_of(&manifest).map_err(|problem| Failure::at(&path, problem))?;
        Ok(Source { folder, language, name, manifest })
    }
}

fn name_of(manifest: &str) -> Result<String, String> {
    if manifest.len() > ceilings::MANIFEST {
        return Err(format!("it has {} bytes, a manifest at most {}", manifest.len(), ceilings::MANIFEST));
    }
    let table: toml::Table = manifest.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let Some(name) = table.get("name") else { return Err("it has no `name`".to_owned()) };
    match name.as_str() {
        Some(name) if valid_name(name) => Ok(name.to_owned()),
        _ => Err(format!("{name} is not a name: use 1 to 64 of a-z, 0-9, `-`, `_` and `.`, a letter or digit first")),
    }
}

/// Whether a host takes this as a skill's name. It becomes a file's name here.
fn valid_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 64
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_names_the_skill() {
        assert_eq!(name_of("name = \"notes\"\nversion = \"1.0.0\"").unwrap(), "notes");
        for bad in ["", "name = 1", "name = \"../x\"", "name = \"\"", "name = \"Notes\"", "name =", "name = \".x\""] {
            assert!(name_of(bad).is_err(), "{bad}");
        }
        assert!(name_of(&format!("name = \"x\"\n#{}", "x".repeat(ceilings::MANIFEST))).is_err());
    }

    #[test]
    fn a_folder_without_a_manifest_says_how_to_start() {
        let folder = std::env::temp_dir();
        let failure = Source::open(&folder).unwrap_err();
        assert!(failure.message().contains("new-skill"), "{}", failure.message());
    }
}

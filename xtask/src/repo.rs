//! Where things are in this repository.

use std::env;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The checkout that the commands work on.
#[derive(Clone, Debug)]
pub(crate) struct Repo {
    root: PathBuf,
}

impl Repo {
    /// The checkout that this program belongs to.
    pub(crate) fn find() -> Result<Self, Failure> {
        // `cargo run` says where the package lies now; without cargo there is only where it lay at build time.
        let package =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = package.parent().unwrap_or(&package).to_owned();
        if root.join("crates/cis-wasm-abi").is_dir() {
            Ok(Repo { root })
        } else {
            Err(Failure::at(&root, "not this repository; run it as `cargo xtask` inside the checkout"))
        }
    }

    #[cfg(test)]
    pub(crate) fn at(root: PathBuf) -> Self {
        Repo { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The folder of the Rust skills, a workspace of its own.
    pub(crate) fn skills(&self) -> PathBuf {
        self.path("skills")
    }

    /// The folder of `cis_skill.h`.
    pub(crate) fn c_include(&self) -> PathBuf {
        self.path("crates/cis-skill-sdk/include")
    }

    /// Where this program's own output goes.
    pub(crate) fn target(&self) -> PathBuf {
        self.path("target")
    }
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::at(path, error))
}

/// Writes a file, and the folders above it.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| Failure::at(parent, error))?;
    }
    std::fs::write(path, bytes).map_err(|error| Failure::at(path, error))
}

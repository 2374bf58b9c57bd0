//! The key that artifacts are authenticated with.
//!
//! Invariant: all processes that share a folder have the same key, and it is the whole of one that was drawn once. A key
//! becomes visible only when all of it is on the disk, under a name that can be taken once.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use super::private::{self, Others};

/// The file's name in its folder.
pub(super) const FILE: &str = "key";
/// Bytes in it.
pub(super) const LEN: usize = blake3::KEY_LEN;
/// How its file begins while it is written.
const UNFINISHED: &str = ".key-";

/// 32 random bytes.
pub(super) struct Secret([u8; LEN]);

impl Secret {
    /// The key of a folder, made if there is none.
    pub(super) fn of(folder: &Path) -> Result<Self, String> {
        let path = folder.join(FILE);
        let wrong = |what: String| format!("its file `{FILE}`: {what}");
        loop {
            match private::open(&path) {
                Ok(file) => return Self::read(&file).map_err(wrong),
                Err(error) if error.kind() == ErrorKind::NotFound => create(folder, &path).map_err(wrong)?,
                Err(error) if private::is_link(&error) => return Err(wrong("it is a link".into())),
                Err(error) => return Err(wrong(error.to_string())),
            }
        }
    }

    fn read(mut file: &File) -> Result<Self, String> {
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("it is not a file".into());
        }
        private::check(&metadata, Others::MayNothing)?;
        if metadata.len() != LEN as u64 {
            let len = metadata.len();
            return Err(format!("it has {len} bytes, a key has {LEN}; remove it, and all modules are compiled again"));
        }
        let mut key = [0; LEN];
        file.read_exact(&mut key).map_err(|error| error.to_string())?;
        Ok(Secret(key))
    }

    /// Begins a keyed hash.
    pub(super) fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }
}

/// Draws a key and puts it in its place, unless another process was first.
fn create(folder: &Path, path: &Path) -> Result<(), String> {
    let mut key = [0; LEN];
    getrandom::fill(&mut key).map_err(|error| format!("no random bytes: {error}"))?;
    let created = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder).and_then(|mut file| {
        file.write_all(&key)?;
        // A key that is lost costs every artifact, and an operator's attention.
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
            _ => Ok(()),
        }
    });
    created.map_err(|error| format!("it cannot be made: {error}"))?;
    // That its name is on the disk too is worth a try; not every file system can do it.
    drop(File::open(folder).and_then(|folder| folder.sync_all()));
    Ok(())
}

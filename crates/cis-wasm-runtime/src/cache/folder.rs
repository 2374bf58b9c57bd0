//! The files of a cache.
//!
//! Invariants:
//! - A file is opened once and read once, into memory of this process's own; its name is not looked up again.
//! - Under an artifact's name there is never half of what this code writes: a file is written beside its place, under a name
//!   that is nobody else's, and moved there in one step.
//! - Reading never takes more memory than the bound, and never waits for another process.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use super::outcome::Rejection;
use super::private::{self, Others};
use crate::object::Room;

/// How an artifact's name ends.
pub(super) const EXTENSION: &str = "artifact";
/// How a file's name begins while it is written.
pub(super) const UNFINISHED: &str = ".new-";
/// After this time nobody writes a file any more.
const ABANDONED: Duration = Duration::from_secs(3600);
/// One part in so many of the bound may be written by a process before it looks at the whole folder again.
const LOOK_EVERY: u64 = 16;

/// A folder that is the operator's own.
pub(super) struct Folder {
    path: PathBuf,
    max_bytes: u64,
    /// What this process may still write before it looks at what there is.
    unwatched: Mutex<u64>,
}

impl Folder {
    /// Opens a folder, or makes it.
    pub(super) fn open(path: &Path, max_bytes: u64) -> Result<Self, String> {
        // What is there already is left as it is, and checked.
        private::create_folder(path).map_err(|error| format!("it cannot be made: {error}"))?;
        private::check_folder(path)?;
        Ok(Folder { path: path.to_owned(), max_bytes, unwatched: Mutex::new(0) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file of this name holds, if there is one, and notes that it was used. Shows on the way what was read so far.
    pub(super) fn read(&self, name: &str, seen: impl FnMut(&[u8])) -> Result<Option<Room>, Rejection> {
        let mut file = match private::open(&self.path.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if private::is_link(&error) => return Err(Rejection::NotAFile),
            Err(error) => return Err(unreadable(error)),
        };
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Rejection::NotAFile);
        }
        private::check(&metadata, Others::MayRead).map_err(|what| Rejection::NotPrivate { what })?;
        let len = metadata.len();
        if len == 0 || len > self.max_bytes {
            return Err(Rejection::WrongLength);
        }
        let len = usize::try_from(len).map_err(|_| Rejection::WrongLength)?;
        let mut bytes = Room::of(len).map_err(unreadable)?;
        bytes.fill(&mut file, seen).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Rejection::WrongLength,
            _ => unreadable(error),
        })?;
        // Where it cannot be noted, the file is removed sooner.
        drop(file.set_modified(SystemTime::now()));
        Ok(Some(bytes))
    }

    /// Puts a file in its place, whatever is there.
    pub(super) fn write(&self, name: &str, header: &[u8], body: &[u8]) -> Result<(), String> {
        let len = (header.len() + body.len()) as u64;
        if len > self.max_bytes {
            return Err(format!("it has {len} bytes, more than the bound of {}", self.max_bytes));
        }
        let written = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path).and_then(|mut file| {
            file.write_all(header)?;
            file.write_all(body)?;
            Ok(file.persist(self.path.join(name))?)
        });
        drop(written.map_err(|error| error.to_string())?);
        self.watch(len);
        Ok(())
    }

    /// Looks at the folder when enough was written.
    fn watch(&self, written: u64) {
        let mut unwatched = self.unwatched.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(left) = unwatched.checked_sub(written) {
            *unwatched = left;
            return;
        }
        *unwatched = self.max_bytes / LOOK_EVERY;
        // Another thread that writes meanwhile waits: it would only do the same.
        if let Err(error) = self.evict() {
            tracing::warn!(target: "cis_skill", dir = %self.path.display(), "the cache is not held to its bound: {error}");
        }
    }

    /// Removes what was abandoned, and the artifacts that were not used for longest, until the rest is within the bound.
    fn evict(&self) -> io::Result<()> {
        let now = SystemTime::now();
        let (mut artifacts, mut bytes) = (Vec::new(), 0);
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            // What another process removes meanwhile is no longer of interest.
            let Ok(metadata) = entry.metadata() else { continue };
            let Ok(used) = metadata.modified() else { continue };
            if Path::new(&name).extension().is_some_and(|extension| extension == EXTENSION) {
                bytes += metadata.len();
                artifacts.push((used, metadata.len(), entry.path()));
            } else if name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes())
                && now.duration_since(used).is_ok_and(|age| age > ABANDONED)
            {
                remove(&entry.path())?;
            }
        }
        artifacts.sort();
        for (_, len, path) in artifacts {
            if bytes <= self.max_bytes {
                break;
            }
            remove(&path)?;
            bytes -= len;
        }
        Ok(())
    }
}

/// Removes a file, unless another process was first.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn unreadable(error: io::Error) -> Rejection {
    Rejection::Unreadable { message: error.to_string() }
}

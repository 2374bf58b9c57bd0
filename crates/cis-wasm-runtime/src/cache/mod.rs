//! Machine code kept on disk, so that a module is compiled once and not at every start.
//!
//! The engine runs what is in an artifact without looking at it: whoever writes one runs code in the host's process. So
//! an artifact is run only if this very operator's runtime made it.
//!
//! - [`secret`] owns 32 random bytes in a file of the operator's that nobody else may read or write.
//! - [`seal`] owns the bytes of a file: a header, then the artifact. The header holds a keyed hash (BLAKE3) over all the
//!   rest of the file, and the [`id`] of what was compiled: the module's bytes and everything that the machine code
//!   depends on.
//! - [`folder`] owns the files. It reads one into memory of this process's own and never looks at it again; it writes one
//!   beside its place and moves it there; it bounds the size of them all.
//! - An [`object`](crate::object) owns the memory that it is read to, and is what most artifacts are.
//! - [`private`] says what is the operator's own.
//!
//! Invariants:
//! - **[`Authentic`] is the only way of a file to the engine**, and it is made only where the keyed hash was right and the id is the
//!   one that was asked for. It holds the very bytes that were hashed: private memory, not the file.
//!   What was compiled just now gets there as a [`Linked`](crate::object::Linked), and was no file before.
//! - **The id names everything that the machine code depends on.** Code of another module, compiler, build of the host,
//!   engine, processor or setting has another id.
//! - **An artifact exists only of a module that passed every check.** So a module with one needs no second check, except
//!   against its skill's limits: see `Shape::of_checked`.
//! - **A cache can fail in no other way than being slow.** What is wrong with a file is reported, and the module compiled.

mod folder;
mod id;
mod outcome;
mod private;
mod seal;
mod secret;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use self::id::ArtifactId;
pub use self::outcome::{CacheOutcome, Rejection};
pub(crate) use self::seal::Authentic;

use self::folder::Folder;
use self::secret::Secret;
use crate::error::{Error, ErrorKind};

/// A folder of compiled modules. Cheap to clone; clones are the same cache.
///
/// A runtime that has one ([`RuntimeBuilder::cache`](crate::RuntimeBuilder::cache)) compiles a module once and finds it
/// there when it is loaded again, in this process or a later one. Any number of processes can share a folder.
///
/// ```
/// use cis_wasm_runtime::{ArtifactCache, CacheOutcome, WasmRuntime};
///
/// # let data_dir = tempfile::tempdir()?;
/// # let data_dir = data_dir.path();
/// # let wasm = wat::parse_str(r#"(module (memory (export "memory") 1)
/// #     (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32) i32.const 0))"#)?;
/// let cache = ArtifactCache::open(data_dir.join("artifacts"))?;
/// let runtime = WasmRuntime::builder().cache(cache).build()?;
/// assert_eq!(runtime.load_skill(&wasm)?.cache_outcome(), CacheOutcome::Miss { stored: true });
/// assert_eq!(runtime.load_skill(&wasm)?.cache_outcome(), CacheOutcome::Hit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What is trusted
///
/// An artifact is machine code. The folder holds a file `key` with 32 random bytes, made when the cache is first opened,
/// and each artifact a keyed hash over all of it. A file that was changed, cut short, made elsewhere or put in place as a
/// link is compiled again and replaced; [`CacheOutcome::Rejected`] and a warning say so. Whoever can read `key` and write to
/// the folder can make the host run what they like: so both must belong to the user that the host runs as, and nobody
/// else may write them or read the key. A folder where that is not so is refused.
///
/// # What is on the disk
///
/// Files are written beside their place and then moved there, so that nobody ever sees half of one. They are not flushed:
/// what a crash of the machine damages has the wrong hash. Only the key is. After each sixteenth of the bound that was
/// written, and after the first file, the least recently used artifacts are removed until the rest is within the bound;
/// each process that shares a folder counts what it writes itself.
#[derive(Clone)]
pub struct ArtifactCache {
    inner: Arc<Inner>,
}

struct Inner {
    folder: Folder,
    secret: Secret,
}

impl ArtifactCache {
    /// The bound on the size of all artifacts of a folder where nobody said otherwise, in bytes: 1 GiB.
    pub const DEFAULT_MAX_BYTES: u64 = 1 << 30;

    /// Opens a folder, with the default bound on its size. Makes the folder and its key where they are missing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadCache`] when they cannot be made, or somebody else may write the folder, or read or write the key.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_bounded(dir, Self::DEFAULT_MAX_BYTES)
    }

    /// The same with a bound on the size of all artifacts together, in bytes. One that is larger is not kept.
    ///
    /// # Errors
    ///
    /// As [`ArtifactCache::open`].
    pub fn open_bounded(dir: impl Into<PathBuf>, max_bytes: u64) -> Result<Self, Error> {
        let dir = dir.into();
        let bad = |what: String| ErrorKind::BadCache { path: dir.display().to_string(), what };
        let folder = Folder::open(&dir, max_bytes).map_err(bad)?;
        let secret = Secret::of(&dir).map_err(bad)?;
        Ok(ArtifactCache { inner: Arc::new(Inner { folder, secret }) })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.inner.folder.path()
    }

    /// The artifact of this id, if there is one.
    ///
    /// # Errors
    ///
    /// There is a file in its place that cannot be used.
    pub(crate) fn find(&self, id: &ArtifactId) -> Result<Option<Authentic>, Rejection> {
        let mut check = seal::Check::with(&self.inner.secret);
        let file = self.inner.folder.read(&id.file_name(), |so_far| check.goes_on(so_far))?;
        file.map(|file| check.open(id, file)).transpose()
    }

    /// Keeps an artifact under this id, and says whether that went well. It is the engine's own, of a module that passed
    /// every check.
    pub(crate) fn keep(&self, id: &ArtifactId, artifact: &[u8]) -> bool {
        let header = seal::header(&self.inner.secret, id, artifact);
        match self.inner.folder.write(&id.file_name(), &header, artifact) {
            Ok(()) => true,
            Err(what) => {
                tracing::warn!(target: "cis_skill", dir = %self.dir().display(), "an artifact is not kept: {what}");
                false
            }
        }
    }
}

impl fmt::Debug for ArtifactCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactCache").field("dir", &self.dir()).finish_non_exhaustive()
    }
}

#[cfg(all(test, unix))]
mod tests;

//! Memory in one redb file.
//!
//! ```text
//! entries   (namespace, key) -> value
//! usage     namespace        -> (keys, bytes of keys and values)
//! format    "version"        -> 1
//! ```
//!
//! What must stay true:
//! - a namespace cannot be left: it is one half of the key, apart from the other, and no text of a key gets into it;
//! - `usage` says what `entries` holds, because both change in one transaction and nowhere else;
//! - a write is acknowledged after its transaction was committed, and redb commits by syncing the file. So it survives
//!   `kill -9` of the process, and a power failure as far as the disk keeps what it said it has.
//!
//! redb is synchronous and a commit waits for the disk, for milliseconds. So writes go to a thread of the store's own,
//! and the caller's future waits without holding a thread. Whatever has queued up during one commit goes into the next
//! one together: many writers share the wait. Reads never wait for a writer; they are made on the caller's thread, from
//! redb's cache or the operating system's.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_abi::key_entry_len;
use futures_channel::oneshot;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, Table, TableDefinition, WriteTransaction,
};

use crate::{BackendError, BackendErrorKind, MemoryBackend, Namespace, Quota};

const ENTRIES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("entries");
const USAGE: TableDefinition<'_, &str, (u64, u64)> = TableDefinition::new("usage");
const FORMAT: TableDefinition<'_, &str, u64> = TableDefinition::new("format");
const VERSION: u64 = 1;

/// The most writes that one transaction takes in.
const BATCH: usize = 256;

/// A [`MemoryBackend`] in one redb file. A write that was acknowledged survives a crash of the process.
///
/// One process has a file open at a time. Dropping the store closes the file; that waits for a commit under way.
///
/// ```
/// use cis_wasm_host::{Host, RedbMemory};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let memory = RedbMemory::open(folder.join("skills/memory.redb"))?;
/// let host = Host::builder().memory(memory).build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RedbMemory {
    database: Arc<Database>,
    path: PathBuf,
    /// `None` only while dropping.
    writes: Option<Sender<Write>>,
    writer: Option<JoinHandle<()>>,
}

impl RedbMemory {
    /// Opens a file, and creates it and its folder where there is none.
    ///
    /// # Errors
    ///
    /// When another process has the file open, when it is not a file of this store, and when it cannot be read or
    /// written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BackendError> {
        let path = path.as_ref().to_owned();
        let database = Arc::new(open(&path)?);
        let (writes, queue) = mpsc::channel();
        let writer = thread::Builder::new()
            .name("cis-memory".into())
            .spawn({
                let database = database.clone();
                move || write_all(&database, &queue)
            })
            .map_err(|error| BackendError::failed("cannot start the memory's writer thread", &error))?;
        Ok(RedbMemory { database, path, writes: Some(writes), writer: Some(writer) })
    }

    async fn write(&self, change: Change) -> Result<bool, BackendError> {
        let (done, acknowledged) = oneshot::channel();
        let gone = || BackendError::new(BackendErrorKind::Failed, "the memory's writer thread has ended");
        let writes = self.writes.as_ref().expect("the queue is there until the store is dropped");
        writes.send(Write { change, done }).map_err(|_| gone())?;
        acknowledged.await.map_err(|_| gone())?
    }
}

impl Drop for RedbMemory {
    fn drop(&mut self) {
        // The writer ends with its queue. It must be gone before the file can be opened again.
        self.writes = None;
        if let Some(writer) = self.writer.take() {
            // Its panic was printed where it happened.
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for RedbMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbMemory").field("path", &self.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl MemoryBackend for RedbMemory {
    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        let read = || -> Result<_, redb::Error> {
            let entries = self.database.begin_read()?.open_table(ENTRIES)?;
            Ok(entries.get((namespace.as_str(), key))?.map(|value| Bytes::copy_from_slice(value.value())))
        };
        read().map_err(|error| BackendError::failed("cannot read the memory", &error))
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        let key = key.to_owned();
        self.write(Change::Set { namespace: namespace.clone(), key, value, quota }).await?;
        Ok(())
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        self.write(Change::Delete { namespace: namespace.clone(), key: key.to_owned() }).await
    }

    async fn list(&self, namespace: &Namespace, prefix: &str, max_bytes: usize) -> Result<Vec<String>, BackendError> {
        let (mut keys, mut bytes) = (Vec::new(), 0);
        let mut read = || -> Result<ControlFlow<()>, redb::Error> {
            let entries = self.database.begin_read()?.open_table(ENTRIES)?;
            for entry in entries.range((namespace.as_str(), prefix)..)? {
                let (entry, _) = entry?;
                let (space, key) = entry.value();
                if space != namespace.as_str() || !key.starts_with(prefix) {
                    break;
                }
                bytes += key_entry_len(key);
                if bytes > max_bytes {
                    return Ok(ControlFlow::Break(()));
                }
                keys.push(key.to_owned());
            }
            Ok(ControlFlow::Continue(()))
        };
        match read().map_err(|error| BackendError::failed("cannot read the memory", &error))? {
            ControlFlow::Continue(()) => Ok(keys),
            ControlFlow::Break(()) => {
                let why = format!("the keys below `{prefix}` take more than {max_bytes} bytes");
                Err(BackendError::new(BackendErrorKind::TooLarge, why))
            }
        }
    }
}

fn open(path: &Path) -> Result<Database, BackendError> {
    let fail = |why: String| BackendError::new(BackendErrorKind::Failed, format!("{}: {why}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| fail(format!("cannot create its folder: {error}")))?;
    let database = Database::create(path).map_err(|error| fail(open_error(error)))?;
    prepare(&database).map_err(|error| match error {
        Unprepared::Version(version) => fail(format!(
            "it has version {version} of the memory's format, and this program knows {VERSION}; update it"
        )),
        Unprepared::Redb(
            error @ (redb::Error::TableTypeMismatch { .. } | redb::Error::TypeDefinitionChanged { .. }),
        ) => fail(format!("it is a redb file of another program ({error}); choose another path")),
        Unprepared::Redb(error) => fail(error.to_string()),
    })?;
    sync_folder(folder).map_err(|error| fail(format!("cannot sync its folder: {error}")))?;
    Ok(database)
}

fn open_error(error: DatabaseError) -> String {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            "another process has this file open, and only one can; stop it, or choose another path".into()
        }
        DatabaseError::UpgradeRequired(version) => {
            format!("it has version {version} of redb's file format, which this program does not read")
        }
        DatabaseError::Storage(StorageError::Corrupted(why)) => {
            format!("it is not a redb file, or it is damaged ({why}); choose another path or restore it from a backup")
        }
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            io::ErrorKind::PermissionDenied => "no permission to read and write it".into(),
            io::ErrorKind::InvalidData => {
                format!("it is not a redb file ({error}); choose another path")
            }
            _ => error.to_string(),
        },
        error => error.to_string(),
    }
}

enum Unprepared {
    Redb(redb::Error),
    Version(u64),
}

impl<E: Into<redb::Error>> From<E> for Unprepared {
    fn from(error: E) -> Self {
        Unprepared::Redb(error.into())
    }
}

/// Checks the format's version, and makes the tables of a new file.
fn prepare(database: &Database) -> Result<(), Unprepared> {
    let transaction = database.begin_write()?;
    {
        let mut format = transaction.open_table(FORMAT)?;
        let found = format.get("version")?.map(|version| version.value());
        match found {
            Some(VERSION) => {}
            Some(other) => return Err(Unprepared::Version(other)),
            None => {
                format.insert("version", VERSION)?;
            }
        }
        transaction.open_table(ENTRIES)?;
        transaction.open_table(USAGE)?;
    }
    transaction.commit()?;
    Ok(())
}

/// A new file is there for good only when its folder's entry is on the disk too.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { std::fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

/// A change that waits for its turn.
struct Write {
    change: Change,
    done: oneshot::Sender<Result<bool, BackendError>>,
}

enum Change {
    Delete { namespace: Namespace, key: String },
    Set { namespace: Namespace, key: String, value: Bytes, quota: Quota },
}

/// The writer thread: one transaction after the other, until the store is dropped.
fn write_all(database: &Database, queue: &Receiver<Write>) {
    while let Ok(first) = queue.recv() {
        let batch: Vec<Write> = std::iter::once(first)
            .chain(queue.try_iter())
            .take(BATCH)
            // Nobody waits any more for what an ended event wanted to write.
            .filter(|write| !write.done.is_canceled())
            .collect();
        let mut answers = Vec::with_capacity(batch.len());
        match commit(database, &batch, &mut answers) {
            Ok(()) => {
                for (write, answer) in batch.into_iter().zip(answers) {
                    // A caller that has gone meanwhile does not learn that its write was made.
                    let _ = write.done.send(answer);
                }
            }
            Err(error) => {
                let error = BackendError::failed("cannot write the memory", &error);
                for write in batch {
                    let _ = write.done.send(Err(error.clone()));
                }
            }
        }
    }
}

/// Makes all changes of a batch in one transaction. A change that its quota refuses leaves the others alone; an error of
/// the store undoes them all.
fn commit(
    database: &Database,
    batch: &[Write],
    answers: &mut Vec<Result<bool, BackendError>>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut tables = Tables::open(&transaction)?;
        for write in batch {
            answers.push(match &write.change {
                Change::Delete { namespace, key } => Ok(tables.delete(namespace, key)?),
                Change::Set { namespace, key, value, quota } => {
                    tables.set(namespace, key, value, *quota)?.map(|()| true)
                }
            });
        }
    }
    transaction.commit()?;
    Ok(())
}

struct Tables<'t> {
    entries: Table<'t, (&'static str, &'static str), &'static [u8]>,
    usage: Table<'t, &'static str, (u64, u64)>,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Tables { entries: transaction.open_table(ENTRIES)?, usage: transaction.open_table(USAGE)? })
    }

    /// The outer error is the store's, the inner one the quota's.
    fn set(
        &mut self,
        namespace: &Namespace,
        key: &str,
        value: &[u8],
        quota: Quota,
    ) -> Result<Result<(), BackendError>, redb::Error> {
        let (keys, bytes) = self.usage(namespace)?;
        let old = self.entries.get((namespace.as_str(), key))?.map(|old| entry_bytes(key, old.value()));
        let keys = keys + u64::from(old.is_none());
        let bytes = bytes.saturating_sub(old.unwrap_or(0)) + entry_bytes(key, value);
        if let Err(over) = quota.admit(namespace, keys, bytes) {
            return Ok(Err(over));
        }
        self.entries.insert((namespace.as_str(), key), value)?;
        self.usage.insert(namespace.as_str(), (keys, bytes))?;
        Ok(Ok(()))
    }

    fn delete(&mut self, namespace: &Namespace, key: &str) -> Result<bool, redb::Error> {
        let Some(old) = self.entries.remove((namespace.as_str(), key))?.map(|old| entry_bytes(key, old.value())) else {
            return Ok(false);
        };
        let (keys, bytes) = self.usage(namespace)?;
        self.usage.insert(namespace.as_str(), (keys.saturating_sub(1), bytes.saturating_sub(old)))?;
        Ok(true)
    }

    fn usage(&self, namespace: &Namespace) -> Result<(u64, u64), redb::Error> {
        Ok(self.usage.get(namespace.as_str())?.map_or((0, 0), |usage| usage.value()))
    }
}

fn entry_bytes(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

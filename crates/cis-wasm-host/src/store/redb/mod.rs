//! Memory in one redb file.
//!
//! ```text
//! entries   (namespace, key) -> value
//! usage     namespace        -> (keys, bytes of keys and values)
//! format    "version"        -> 1
//! name      "name"           -> 32 random hexadecimal digits
//! ```
//!
//! Durable events have tables of their own in it: see `events`.
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

mod events;
mod file;
mod writer;

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_abi::key_entry_len;
use futures_channel::oneshot;
use redb::{Database, ReadableDatabase, TableDefinition};

use self::events::{EndRow, EventRow, ResumedRow};
use self::writer::{Step, Write, Wrote, write_all};
use crate::{BackendError, BackendErrorKind, MemoryBackend, MemoryChange, Namespace, Quota};

const ENTRIES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("entries");
const USAGE: TableDefinition<'_, &str, (u64, u64)> = TableDefinition::new("usage");
const FORMAT: TableDefinition<'_, &str, u64> = TableDefinition::new("format");
const NAME: TableDefinition<'_, &str, &str> = TableDefinition::new("name");
const EVENTS: TableDefinition<'_, u64, EventRow> = TableDefinition::new("events");
const JOURNALS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("journals");
const DEAD: TableDefinition<'_, u64, &str> = TableDefinition::new("dead");
const RESUMED: TableDefinition<'_, u64, ResumedRow> = TableDefinition::new("resumed");
const ENDED: TableDefinition<'_, u64, EndRow> = TableDefinition::new("ended");
const VERSION: u64 = 1;

/// A [`MemoryBackend`] and [`JournalStore`](crate::JournalStore) in one redb file. A write that was acknowledged survives a
/// crash of the process.
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
    name: String,
    next_event: AtomicU64,
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
        let (database, name) = file::open(&path)?;
        let next = || events::next_number(&database.begin_read()?);
        let next_event = next().map_err(|error| BackendError::failed("cannot read the events", &error))?;
        let database = Arc::new(database);
        let (writes, queue) = mpsc::channel();
        let writer = thread::Builder::new()
            .name("cis-memory".into())
            .spawn({
                let database = database.clone();
                move || write_all(&database, &queue)
            })
            .map_err(|error| BackendError::failed("cannot start the memory's writer thread", &error))?;
        let next_event = AtomicU64::new(next_event);
        Ok(RedbMemory { database, path, name, next_event, writes: Some(writes), writer: Some(writer) })
    }

    async fn write(&self, step: Step) -> Result<Wrote, BackendError> {
        let (done, acknowledged) = oneshot::channel();
        let gone = || BackendError::new(BackendErrorKind::Failed, "the memory's writer thread has ended");
        let writes = self.writes.as_ref().expect("the queue is there until the store is dropped");
        writes.send(Write { step, done }).map_err(|_| gone())?;
        acknowledged.await.map_err(|_| gone())?
    }

    async fn change(&self, change: MemoryChange) -> Result<bool, BackendError> {
        match self.write(Step::Change(change)).await? {
            Wrote::Changed(changed) => changed,
            Wrote::Done(_) | Wrote::Kept(_) => Ok(true),
        }
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
        self.change(MemoryChange::Set { namespace: namespace.clone(), key, value, quota }).await?;
        Ok(())
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        self.change(MemoryChange::Delete { namespace: namespace.clone(), key: key.to_owned() }).await
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

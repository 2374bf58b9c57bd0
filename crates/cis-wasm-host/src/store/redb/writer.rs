//! The thread that writes: one transaction after the other, each with all that has queued up.

use std::sync::mpsc::Receiver;

use futures_channel::oneshot;
use redb::{Database, ReadableTable, Table, WriteTransaction};

use super::events::{EventStep, EventTables};
use super::{ENTRIES, USAGE};
use crate::{BackendError, Changed, KeptEvent, MemoryChange, Namespace, Quota};

/// The most steps that one transaction takes in.
const BATCH: usize = 256;

/// Something to be written that waits for its turn.
pub(super) struct Write {
    pub(super) step: Step,
    pub(super) done: oneshot::Sender<Result<Wrote, BackendError>>,
}

pub(super) enum Step {
    Change(MemoryChange),
    Event(EventStep),
}

/// What came of a step.
pub(super) enum Wrote {
    /// It changed memory, or a quota refused that.
    Changed(Changed),
    /// It was done. False when there was nothing to do it to.
    Done(bool),
    /// The event as it is kept now, if it is to be handled.
    Kept(Option<KeptEvent>),
}

/// Writes until the store is dropped.
pub(super) fn write_all(database: &Database, queue: &Receiver<Write>) {
    while let Ok(first) = queue.recv() {
        let (steps, done): (Vec<_>, Vec<_>) = std::iter::once(first)
            .chain(queue.try_iter())
            .take(BATCH)
            // Nobody waits any more for what an ended event wanted to write.
            .filter(|write| !write.done.is_canceled())
            .map(|Write { step, done }| (step, done))
            .unzip();
        match commit(database, steps) {
            Ok(answers) => {
                for (done, answer) in done.into_iter().zip(answers) {
                    // A caller that has gone meanwhile does not learn that its write was made.
                    let _ = done.send(answer);
                }
            }
            Err(error) => {
                let error = BackendError::failed("cannot write the memory", &error);
                for done in done {
                    let _ = done.send(Err(error.clone()));
                }
            }
        }
    }
}

/// Makes all steps of a batch in one transaction. A step that is refused leaves the others alone; an error of the store
/// undoes them all.
fn commit(database: &Database, steps: Vec<Step>) -> Result<Vec<Result<Wrote, BackendError>>, redb::Error> {
    let transaction = database.begin_write()?;
    let mut answers = Vec::with_capacity(steps.len());
    {
        let mut memory = MemoryTables::open(&transaction)?;
        // A store that keeps no events need not look at their tables.
        let mut events = None;
        for step in steps {
            answers.push(match step {
                Step::Change(change) => memory.change(&change)?.map(|done| Wrote::Changed(Ok(done))),
                Step::Event(step) => {
                    let events = match &mut events {
                        Some(events) => events,
                        none => none.insert(EventTables::open(&transaction)?),
                    };
                    events.take(step, &mut memory)?
                }
            });
        }
    }
    transaction.commit()?;
    Ok(answers)
}

pub(super) struct MemoryTables<'t> {
    entries: Table<'t, (&'static str, &'static str), &'static [u8]>,
    usage: Table<'t, &'static str, (u64, u64)>,
}

impl<'t> MemoryTables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(MemoryTables { entries: transaction.open_table(ENTRIES)?, usage: transaction.open_table(USAGE)? })
    }

    /// The outer error is the store's, the inner one the quota's.
    pub(super) fn change(&mut self, change: &MemoryChange) -> Result<Changed, redb::Error> {
        match change {
            MemoryChange::Delete { namespace, key } => Ok(Ok(self.delete(namespace, key)?)),
            MemoryChange::Set { namespace, key, value, quota } => {
                Ok(self.set(namespace, key, value, *quota)?.map(|()| true))
            }
        }
    }

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

//! Events that survive the process.
//!
//! A [`JournalStore`] is a memory that also keeps events: each with its journal, from when it was accepted until it is
//! done. Because both are in one store, a change of memory and the journal's entry for it are written in one step, and
//! what an event did to memory is done once, however often its process dies.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{BackendError, JournalEntry, MemoryBackend, Namespace, Quota, SkillName};

/// An event's number in its store. No two events of a store have the same, also not after one of them is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u64);

impl EventId {
    /// The event of a number, as [`number`](Self::number) gave it.
    pub const fn new(number: u64) -> Self {
        EventId(number)
    }

    /// The number: to be kept by whoever wants to ask for the event later.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an event says, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventToKeep {
    /// The skill.
    pub skill: SkillName,
    /// Its type.
    pub event_type: String,
    /// Its data.
    pub data: Bytes,
}

/// An event that was accepted and is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptEvent {
    /// Its number.
    pub id: EventId,
    /// The event.
    pub event: EventToKeep,
    /// How often it has failed.
    pub failures: u32,
    /// How often it was resumed where it is: since the last call of it was kept.
    pub resumed: u32,
    /// What it asked and was answered so far.
    pub journal: Vec<JournalEntry>,
}

/// An event that failed so often that it is not tried again by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event, with its journal.
    pub kept: KeptEvent,
    /// How it failed the last time. Holds no secret.
    pub why: String,
}

/// How an event ended, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventEnd {
    /// The code of the error that it ended with. `None` when it ended with a response.
    pub error: Option<String>,
    /// The response, or what the skill said of its error. `None` when that is longer than a store keeps.
    pub body: Option<Bytes>,
}

/// Calls of an event's journal, in order, without a gap to what is stored.
#[derive(Clone, Debug)]
pub struct JournalPiece {
    /// The event.
    pub event: EventId,
    /// The number of the first call, from 0.
    pub first: u64,
    /// The calls.
    pub entries: Vec<JournalEntry>,
}

/// A change of memory: see [`MemoryBackend::set`] and [`MemoryBackend::delete`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryChange {
    /// A key is deleted.
    Delete {
        /// Where.
        namespace: Namespace,
        /// What.
        key: String,
    },
    /// A key gets a value.
    Set {
        /// Where.
        namespace: Namespace,
        /// Under which key.
        key: String,
        /// The value.
        value: Bytes,
        /// What the namespace may hold then.
        quota: Quota,
    },
}

/// What came of a change: whether the key of a `delete` was there (true for a `set`), or why it was refused.
pub type Changed = Result<bool, BackendError>;

/// Makes the entry of a change when it is known what came of it.
pub type EntryOf = Box<dyn FnOnce(&Changed) -> JournalEntry + Send>;

/// A memory that also keeps events with their journals.
///
/// Everything that returned `Ok` is durable: it survives what the store promises to survive. What was asked for first is
/// durable first: when one step is, all are that were begun before it. A step whose future is dropped is made whole or
/// not at all.
///
/// An error means that nothing was written.
#[async_trait]
pub trait JournalStore: MemoryBackend {
    /// A text that no other store has, so that a request can be told from the requests of all other events: printable
    /// ASCII, the same for the store's whole life.
    fn name(&self) -> &str;

    /// The number of an event that is about to be accepted. It is not given out again, unless the process ends before the
    /// event is durable.
    fn next_id(&self) -> EventId;

    /// Keeps an event that is to be handled.
    ///
    /// # Errors
    ///
    /// When the store cannot be written. So with all others.
    async fn accept(&self, id: EventId, event: EventToKeep) -> Result<(), BackendError>;

    /// Keeps calls of an event. With no calls, waits until what was begun before is durable.
    ///
    /// # Errors
    ///
    /// Also when there is no such event, or the store has these calls already.
    async fn append(&self, piece: JournalPiece) -> Result<(), BackendError>;

    /// Changes memory, and keeps calls and the entry of the change behind them, in one step. The outer error is the
    /// store's; what is in the inner one is an answer as any other, and is kept.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    async fn change(&self, piece: JournalPiece, change: MemoryChange, entry: EntryOf) -> Result<Changed, BackendError>;

    /// Forgets an event and its journal, and keeps how it ended, for a while.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    async fn done(&self, id: EventId, end: EventEnd) -> Result<(), BackendError>;

    /// Notes that an event failed. With its failure number `most` it becomes a dead letter. Gives the event as it is
    /// kept now, or `None` when it became one.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    async fn failed(&self, id: EventId, why: String, most: u32) -> Result<Option<KeptEvent>, BackendError>;

    /// Notes that an event is about to be resumed, so often now where it is. The number is the event's
    /// [`resumed`](KeptEvent::resumed) until another call of it is kept.
    ///
    /// # Errors
    ///
    /// When the store cannot be written, and when there is no such event.
    async fn resumed(&self, id: EventId, times: u32) -> Result<(), BackendError>;

    /// Makes an unfinished event of a dead letter, with no failures and never resumed. `None` when there is no such dead letter.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    async fn revive(&self, id: EventId) -> Result<Option<KeptEvent>, BackendError>;

    /// Forgets a dead letter. False when there is no such dead letter.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    async fn discard(&self, id: EventId) -> Result<bool, BackendError>;

    /// The events that are neither done nor dead letters, in order of their numbers.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or a journal is damaged.
    async fn unfinished(&self) -> Result<Vec<KeptEvent>, BackendError>;

    /// The dead letters, in order of their numbers.
    ///
    /// # Errors
    ///
    /// As for [`unfinished`](Self::unfinished).
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, BackendError>;

    /// How an event ended, if it did and that is still known.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    async fn ended(&self, id: EventId) -> Result<Option<EventEnd>, BackendError>;
}

/// A store that is shared by the host and its events.
pub(crate) type SharedStore = Arc<dyn JournalStore>;

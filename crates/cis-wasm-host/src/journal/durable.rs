//! A journal that a store keeps.
//!
//! Invariants:
//! - What is stored of a journal is a beginning of it: entries go to the store in order.
//! - Nothing happens outside of the host before all that it depends on is stored: the event, and every answer that the
//!   run could not have foreseen.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Answer, Journal, JournalEntry, Kept};
use crate::durable::SharedStore;
use crate::{BackendError, EventId, EventToKeep, HostCall, JournalPiece, JournalStore};

/// An event of a store, as its journal knows it. Clones are the same event.
#[derive(Clone)]
pub struct DurableEvent {
    store: SharedStore,
    id: EventId,
    accepted: Arc<AtomicBool>,
}

impl DurableEvent {
    /// A new event, not yet accepted. It can run meanwhile: what reaches out waits.
    pub fn new(store: Arc<dyn JournalStore>) -> Self {
        let id = store.next_id();
        DurableEvent { store, id, accepted: Arc::default() }
    }

    /// An event that the store has.
    pub fn kept(store: Arc<dyn JournalStore>, id: EventId) -> Self {
        DurableEvent { store, id, accepted: Arc::new(AtomicBool::new(true)) }
    }

    /// Has the store accept it.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn accept(&self, event: EventToKeep) -> Result<(), BackendError> {
        self.store.accept(self.id, event).await?;
        self.accepted.store(true, Ordering::Release);
        Ok(())
    }

    /// Its number.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// Where it is kept.
    pub fn store(&self) -> &Arc<dyn JournalStore> {
        &self.store
    }
}

impl fmt::Debug for DurableEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableEvent({})", self.id)
    }
}

/// How far a journal is stored.
#[derive(Clone, Debug)]
pub(super) struct Durable {
    event: DurableEvent,
    stored: usize,
    /// The entry that comes next was stored with what it is of.
    ahead: bool,
}

impl Durable {
    /// An entry was kept, and the journal has so many now.
    pub(super) fn kept(&mut self, entries: usize) {
        if std::mem::replace(&mut self.ahead, false) {
            self.stored = entries;
        }
    }
}

impl Journal {
    /// As [`resume`](Journal::resume), for an event that a store keeps. Calls beyond the entries are stored: see
    /// [`JournalStore`].
    pub fn durable(event: DurableEvent, entries: Vec<JournalEntry>) -> Self {
        let stored = entries.len();
        Journal { durable: Some(Box::new(Durable { event, stored, ahead: false })), ..Journal::resume(entries) }
    }

    /// Whether the event would come to the same place again with what its store has now. True for an event that no store
    /// keeps.
    pub fn is_determined(&self) -> bool {
        let Some(durable) = &self.durable else { return true };
        let certain = |entry: &JournalEntry| {
            matches!(entry.call, HostCall::Log { .. } | HostCall::SetError { .. }) && entry.answer != Answer::Unanswered
        };
        durable.event.accepted.load(Ordering::Acquire) && self.entries()[durable.stored..].iter().all(certain)
    }

    /// A text that is the next call's alone, of all calls of all events, and the same whenever the call is asked again.
    pub(crate) fn idempotency_key(&self) -> Option<String> {
        let Durable { event, .. } = self.durable.as_deref()?;
        Some(format!("{}-{}-{}", event.store.name(), event.id, self.next))
    }

    /// What is not stored, of an event that is.
    pub(crate) fn unstored(&self) -> Option<(DurableEvent, JournalPiece)> {
        let Durable { event, stored, .. } = self.durable.as_deref()?;
        let entries = self.entries()[*stored..].to_vec();
        Some((event.clone(), JournalPiece { event: event.id, first: *stored as u64, entries }))
    }

    /// All entries are stored, and so is the next one if that is `ahead`.
    pub(crate) fn stored(&mut self, ahead: bool) {
        let entries = match &self.kept {
            Kept::Growing(entries) => entries.len(),
            _ => 0,
        };
        if let Some(durable) = &mut self.durable {
            durable.stored = entries;
            durable.ahead = ahead;
        }
    }
}

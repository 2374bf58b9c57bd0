//! What a run asked of its host and what it was answered, in order.
//!
//! Everything a skill can observe comes through a host call, so a run is a function of the module, the event and the
//! answers. With the answers kept, the same event can be run again from its start: to go on after it was put down, or at
//! a desk, without any backend.
//!
//! Invariant: after a run whose first calls were answered from a journal, the event's ledger, log, error text and last
//! failure are what they would be had every call been made live; and no backend was asked a second time.

mod bytes;
mod difference;
mod entry;
mod format;

use std::sync::Arc;

pub use entry::{Answer, Charge, JournalEntry};
pub use format::{JOURNAL_VERSION, JournalError, decode_journal, encode_journal};

use crate::{HostCall, HostError, Secrets};

/// Whether the calls of a run are kept, answered from what was kept, or neither.
///
/// ```
/// use std::sync::Arc;
/// use cis_wasm_host::{CallContext, Host, HostCall, HostReply, InMemory, Journal, SkillScope};
///
/// # fn block_on<F: std::future::Future>(future: F) -> F::Output {
/// #     let mut future = std::pin::pin!(future);
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     loop { if let std::task::Poll::Ready(out) = future.as_mut().poll(&mut context) { return out } }
/// # }
/// let scope = Arc::new(SkillScope::new("notes".parse()?));
/// let call = || HostCall::MemorySet { key: "greeting".into(), value: "hello".into() };
///
/// let mut first = CallContext::new(scope.clone());
/// first.journal = Journal::record();
/// let host = Host::builder().memory(InMemory::new()).build();
/// block_on(host.call(&mut first, call()))?;
///
/// // The same again, by a host that has no memory.
/// let mut again = CallContext::new(scope);
/// again.journal = Journal::replay(first.journal.into_entries());
/// assert_eq!(block_on(Host::default().call(&mut again, call()))?, HostReply::OK);
/// assert_eq!(again.ledger, first.ledger);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Journal {
    kept: Kept,
    /// Index of the entry that answers the next call. Calls are live once it has come to the end.
    next: usize,
}

#[derive(Clone, Debug, Default)]
enum Kept {
    #[default]
    Nothing,
    /// Calls beyond the entries are live, and become entries.
    Growing(Vec<JournalEntry>),
    /// Calls beyond the entries are errors.
    Fixed(Arc<[JournalEntry]>),
}

impl Journal {
    /// Nothing is kept, and every call is live.
    pub const OFF: Journal = Journal { kept: Kept::Nothing, next: 0 };

    /// Every call is live, and kept with its answer.
    pub const fn record() -> Self {
        Journal { kept: Kept::Growing(Vec::new()), next: 0 }
    }

    /// The first calls are answered from the entries, in order. What comes after them is live, and kept behind them.
    ///
    /// A last call that was not answered is asked again.
    pub fn resume(mut entries: Vec<JournalEntry>) -> Self {
        while entries.pop_if(|last| last.answer == Answer::Unanswered).is_some() {}
        Journal { kept: Kept::Growing(entries), next: 0 }
    }

    /// Every call is answered from the entries, in order. A call beyond them ends the event with
    /// [`HostError::NotJournalled`].
    pub fn replay(entries: impl Into<Arc<[JournalEntry]>>) -> Self {
        Journal { kept: Kept::Fixed(entries.into()), next: 0 }
    }

    /// The same journal at its beginning, for a run of the event from its start. The run needs a context whose ledger is
    /// new: what the entries cost is charged again as they answer.
    #[must_use]
    pub fn again(self) -> Self {
        match self.kept {
            Kept::Growing(entries) => Journal::resume(entries),
            kept => Journal { kept, next: 0 },
        }
    }

    /// Whether this is [`Journal::OFF`].
    pub const fn is_off(&self) -> bool {
        matches!(self.kept, Kept::Nothing)
    }

    /// Whether the next call is answered from an entry.
    pub fn is_replaying(&self) -> bool {
        self.next < self.entries().len()
    }

    /// What was kept so far.
    pub fn entries(&self) -> &[JournalEntry] {
        match &self.kept {
            Kept::Nothing => &[],
            Kept::Growing(entries) => entries,
            Kept::Fixed(entries) => entries,
        }
    }

    /// What was kept.
    pub fn into_entries(self) -> Vec<JournalEntry> {
        match self.kept {
            Kept::Nothing => Vec::new(),
            Kept::Growing(entries) => entries,
            Kept::Fixed(entries) => entries.to_vec(),
        }
    }

    /// Whether a run whose guest has returned made all of the calls that this journal began with. One that was stopped,
    /// by its deadline for one, need not have.
    ///
    /// # Errors
    ///
    /// [`HostError::Diverged`] when it has not.
    pub fn finish(&self) -> Result<(), HostError> {
        match self.entries().get(self.next) {
            None => Ok(()),
            Some(entry) => Err(HostError::Diverged {
                index: self.next,
                difference: format!("the run ended; the journal has {}", difference::in_short(&entry.call)),
            }),
        }
    }

    /// The entry that answers a call. `None` when the call is live.
    pub(crate) fn answer(&mut self, call: &HostCall, secrets: &Secrets) -> Option<Result<(Answer, Charge), HostError>> {
        let index = self.next;
        let entry = match &self.kept {
            Kept::Nothing => return None,
            Kept::Growing(entries) => entries.get(index)?,
            Kept::Fixed(entries) => match entries.get(index) {
                Some(entry) => entry,
                None => return Some(Err(HostError::NotJournalled { index, call: call.name() })),
            },
        };
        if entry.call != *call {
            let difference = difference::between(&entry.call, call, secrets);
            return Some(Err(HostError::Diverged { index, difference }));
        }
        if entry.answer == Answer::Unanswered {
            return Some(Err(HostError::NotJournalled { index, call: call.name() }));
        }
        self.next += 1;
        Some(Ok((entry.answer.clone(), entry.charge)))
    }

    /// Keeps a live call.
    pub(crate) fn keep(&mut self, entry: JournalEntry) {
        if let Kept::Growing(entries) = &mut self.kept {
            entries.push(entry);
            self.next = entries.len();
        }
    }
}

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
mod durable;
mod entry;
mod format;
mod trace;
mod what_if;

use std::sync::Arc;
use std::time::Instant;

use cis_wasm_abi::Status;

pub use durable::DurableEvent;
pub use entry::{Answer, Charge, JournalEntry};
pub use format::{JOURNAL_VERSION, JournalError, decode_journal, encode_journal};
pub use trace::{CallTrace, RefusedCall, Rest, Trace};

use self::durable::Durable;
use self::what_if::WhatIf;
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
    trace: Option<Box<Trace>>,
    /// Where it is kept, if it is to survive the process.
    durable: Option<Box<Durable>>,
}

#[derive(Clone, Debug, Default)]
enum Kept {
    #[default]
    Nothing,
    /// Calls beyond the entries are live, and become entries.
    Growing(Vec<JournalEntry>),
    /// Calls beyond the entries are errors.
    Fixed(Arc<[JournalEntry]>),
    WhatIf(Box<WhatIf>),
}

impl Journal {
    /// Nothing is kept, and every call is live.
    pub const OFF: Journal = Journal { kept: Kept::Nothing, next: 0, trace: None, durable: None };

    /// Every call is live, and kept with its answer.
    pub const fn record() -> Self {
        Journal { kept: Kept::Growing(Vec::new()), next: 0, trace: None, durable: None }
    }

    /// The first calls are answered from the entries, in order. What comes after them is live, and kept behind them.
    ///
    /// A last call that was not answered is asked again.
    pub fn resume(mut entries: Vec<JournalEntry>) -> Self {
        while entries.pop_if(|last| last.answer == Answer::Unanswered).is_some() {}
        Journal { kept: Kept::Growing(entries), next: 0, trace: None, durable: None }
    }

    /// Every call is answered from the entries, in order. A call beyond them ends the event with
    /// [`HostError::NotJournalled`].
    pub fn replay(entries: impl Into<Arc<[JournalEntry]>>) -> Self {
        Journal { kept: Kept::Fixed(entries.into()), next: 0, trace: None, durable: None }
    }

    /// For a journal in which answers were changed: a run is answered for as long as there is an answer to what it asks.
    ///
    /// What it does otherwise than the run that was journalled is noted in [`differences`](Self::differences). Log lines,
    /// error texts and settings need no answer from the journal, and another value under the same key is taken like the
    /// first. Any other call that is not the journalled one ends the event with [`HostError::Diverged`].
    pub fn what_if(entries: impl Into<Arc<[JournalEntry]>>) -> Self {
        let what_if = WhatIf { entries: entries.into(), differences: Vec::new() };
        Journal { kept: Kept::WhatIf(Box::new(what_if)), next: 0, trace: None, durable: None }
    }

    /// The same journal, which also keeps when calls are made and answered. The time begins now.
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.trace = Some(Box::new(Trace::starting_now()));
        self
    }

    /// The same journal at its beginning, for a run of the event from its start. The run needs a context whose ledger is
    /// new: what the entries cost is charged again as they answer.
    #[must_use]
    pub fn again(self) -> Self {
        let Journal { kept, mut trace, durable, .. } = self;
        if let Some(trace) = &mut trace {
            trace.back_to(0);
            trace.resumed();
        }
        match kept {
            Kept::Growing(entries) => Journal { trace, durable, ..Journal::resume(entries) },
            kept => Journal { kept, next: 0, trace, durable },
        }
    }

    /// Whether this is [`Journal::OFF`].
    #[inline]
    pub const fn is_off(&self) -> bool {
        matches!(self.kept, Kept::Nothing)
    }

    /// Whether calls are live, and nothing is kept of them but entries.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        let live = match &self.kept {
            Kept::Nothing => true,
            Kept::Growing(entries) => self.next == entries.len(),
            Kept::Fixed(_) | Kept::WhatIf(_) => false,
        };
        live && self.trace.is_none() && self.durable.is_none()
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
            Kept::WhatIf(what_if) => &what_if.entries,
        }
    }

    /// How many calls have their answer, from an entry or live.
    pub fn answered(&self) -> usize {
        self.next
    }

    /// What was kept.
    pub fn into_entries(self) -> Vec<JournalEntry> {
        match self.kept {
            Kept::Nothing => Vec::new(),
            Kept::Growing(entries) => entries,
            Kept::Fixed(entries) => entries.to_vec(),
            Kept::WhatIf(what_if) => what_if.entries.to_vec(),
        }
    }

    /// What a run did otherwise, with the number of the call: see [`Journal::what_if`].
    pub fn differences(&self) -> &[(usize, String)] {
        match &self.kept {
            Kept::WhatIf(what_if) => &what_if.differences,
            _ => &[],
        }
    }

    /// When calls were made, if that is kept.
    #[inline]
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_deref()
    }

    /// The run begins after it has waited for its turn: for the trace.
    pub fn begin(&mut self) {
        if let Some(trace) = &mut self.trace {
            trace.begin();
        }
    }

    /// How much fuel the run has used: for the next call's trace.
    pub fn at_fuel(&mut self, fuel: u64) {
        if let Some(trace) = &mut self.trace {
            trace.at_fuel(fuel);
        }
    }

    /// A call was refused for its arguments: for the trace. It is no entry, because a run that makes it again has it
    /// refused again.
    pub(crate) fn refused(&mut self, call: &'static str, status: Status, message: &str) {
        let before = self.next;
        if let Some(trace) = &mut self.trace {
            trace.refuse(before, call, status, message);
        }
    }

    /// The run was put down, at this time, while its last call waited: for the trace.
    pub fn parked(&mut self, at: Instant) {
        if let Some(trace) = &mut self.trace {
            trace.parked(at);
        }
    }

    /// The run goes on where it was put down, with its last call's answer: for the trace.
    pub fn went_on(&mut self) {
        if let Some(trace) = &mut self.trace {
            trace.resumed();
            trace.caught_up();
        }
    }

    /// How many calls have their answer, and how many the trace has of those that the run was refused.
    pub(crate) fn calls(&self) -> (usize, usize) {
        (self.next, self.trace.as_ref().map_or(0, |trace| trace.refused_by_now()))
    }

    /// Goes back to where so many calls had their answer, and so many were refused: the others are answered from here.
    pub(crate) fn back_to(&mut self, (answered, refused): (usize, usize)) {
        if let Kept::Growing(entries) = &mut self.kept {
            // As in `resume`.
            while entries.len() > answered && entries.pop_if(|last| last.answer == Answer::Unanswered).is_some() {}
        }
        self.next = answered;
        if let Some(trace) = &mut self.trace {
            trace.back_to(refused);
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
        if let Some(trace) = &mut self.trace {
            trace.asked(index);
        }
        let entry = match &mut self.kept {
            Kept::Nothing => return None,
            Kept::Growing(entries) => entries.get(index)?,
            Kept::Fixed(entries) => match entries.get(index) {
                Some(entry) => entry,
                None => return Some(Err(HostError::NotJournalled { index, call: call.name() })),
            },
            Kept::WhatIf(what_if) => return what_if.answer(&mut self.next, call, secrets),
        };
        if entry.call != *call {
            let difference = difference::between(&entry.call, call, secrets);
            return Some(Err(HostError::Diverged { index, difference }));
        }
        let answer = (entry.answer.clone(), entry.charge);
        if answer.0 != Answer::Unanswered {
            self.passed(index);
        }
        Some(Ok(answer))
    }

    /// Keeps a live call.
    pub(crate) fn keep(&mut self, entry: JournalEntry) {
        let Kept::Growing(entries) = &mut self.kept else { return };
        let (index, answered) = (entries.len(), entry.answer != Answer::Unanswered);
        entries.push(entry);
        if let Some(durable) = &mut self.durable {
            durable.kept(index + 1);
        }
        if answered {
            self.passed(index);
        }
    }

    /// A call has its answer.
    fn passed(&mut self, index: usize) {
        self.next = index + 1;
        let caught_up = self.next == self.entries().len();
        if let Some(trace) = &mut self.trace {
            trace.answered(index);
            if caught_up {
                trace.caught_up();
            }
        }
    }
}

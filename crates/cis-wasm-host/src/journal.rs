//! What a run asked of its host and what it was answered, in order.
//!
//! Recorded, it lets the same module on the same event be run again without any backend: see [`Journal::Replay`].

use std::sync::Arc;

use crate::{HostCall, HostError, HostReply};

/// One call and its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// What the guest asked.
    pub call: HostCall,
    /// What it was answered.
    pub reply: HostReply,
}

/// Whether the calls of a run are kept, answered from what was kept, or neither.
#[derive(Clone, Debug, Default)]
pub enum Journal {
    /// Neither.
    #[default]
    Off,
    /// Every call is kept with its reply.
    Record(Vec<JournalEntry>),
    /// Every call is answered from the entries, in order, and touches no backend. Of the budget it takes what passes the
    /// door, calls and bytes, and nothing of what a backend did. A call that is not the recorded one ends the event with
    /// [`HostError::Diverged`].
    Replay {
        /// What was recorded.
        entries: Arc<[JournalEntry]>,
        /// Index of the entry that answers the next call.
        next: usize,
    },
}

impl Journal {
    /// The recorded reply, when this journal replays.
    pub(crate) fn replay(&mut self, call: &HostCall) -> Option<Result<HostReply, HostError>> {
        let Journal::Replay { entries, next } = self else { return None };
        let index = *next;
        Some(match entries.get(index) {
            Some(entry) if entry.call == *call => {
                *next += 1;
                Ok(entry.reply.clone())
            }
            other => {
                let recorded = other.map_or("no further call".into(), |entry| describe(&entry.call));
                Err(HostError::Diverged { index, got: describe(call), recorded })
            }
        })
    }

    /// Keeps a call and its reply, when this journal records.
    pub(crate) fn record(&mut self, call: impl FnOnce() -> HostCall, reply: &HostReply) {
        if let Journal::Record(entries) = self {
            entries.push(JournalEntry { call: call(), reply: reply.clone() });
        }
    }
}

/// A call in few words: its arguments may be megabytes.
fn describe(call: &HostCall) -> String {
    format!("{} with {} bytes", call.name(), call.bytes())
}

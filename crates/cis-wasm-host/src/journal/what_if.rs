//! What would have happened, had a reply been another one: a run that is answered from a changed journal for as long as
//! the journal has an answer.

use std::sync::Arc;

use super::difference::{between, in_short};
use super::{Answer, Charge, JournalEntry};
use crate::{HostCall, HostError, Secrets};

/// The entries of a changed journal, and what the run did otherwise.
#[derive(Clone, Debug)]
pub(super) struct WhatIf {
    pub(super) entries: Arc<[JournalEntry]>,
    pub(super) differences: Vec<(usize, String)>,
}

impl WhatIf {
    /// The entry that answers a call, from `next` on; `None` for a call that the door answers by itself.
    pub(super) fn answer(
        &mut self,
        next: &mut usize,
        call: &HostCall,
        secrets: &Secrets,
    ) -> Option<Result<(Answer, Charge), HostError>> {
        let entries = self.entries.clone();
        if needs_backend(call) {
            // What the run left out on its way here.
            while let Some(entry) = entries.get(*next)
                && !needs_backend(&entry.call)
            {
                self.note(*next, format!("the run has no {}", in_short(&entry.call)));
                *next += 1;
            }
        }
        let index = *next;
        let Some(entry) = entries.get(index) else {
            if needs_backend(call) {
                return Some(Err(HostError::NotJournalled { index, call: call.name() }));
            }
            self.note(index, format!("the run goes on with {}", in_short(call)));
            return None;
        };
        if entry.answer == Answer::Unanswered {
            return Some(Err(HostError::NotJournalled { index, call: call.name() }));
        }
        if entry.call == *call {
            *next += 1;
            return Some(Ok((entry.answer.clone(), entry.charge)));
        }
        let difference = between(&entry.call, call, secrets);
        let same_kind = entry.call.name() == call.name();
        if !needs_backend(call) {
            self.note(index, difference);
            *next += usize::from(same_kind);
            return None;
        }
        match (&entry.call, call) {
            // Writing another value under the same key would have gone as well as it did.
            (HostCall::MemorySet { key: was, .. }, HostCall::MemorySet { key: is, .. }) if was == is => {
                self.note(index, difference);
                *next += 1;
                let amount = (entry.charge.amount + call.bytes()).saturating_sub(entry.call.bytes());
                Some(Ok((entry.answer.clone(), Charge { amount, ..entry.charge })))
            }
            _ => Some(Err(HostError::Diverged { index, difference })),
        }
    }

    fn note(&mut self, index: usize, difference: String) {
        self.differences.push((index, difference));
    }
}

fn needs_backend(call: &HostCall) -> bool {
    !matches!(call, HostCall::ConfigGet { .. } | HostCall::Log { .. } | HostCall::SetError { .. })
}

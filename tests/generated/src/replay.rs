//! An event that is run again from its journal, on another compiler and with nobody to ask.

use std::sync::Arc;

use cis_wasm_host::{Host, Journal, JournalEntry, SkillScope, decode_journal, encode_journal};
use cis_wasm_runtime::{Error, Limits, LoadSpec, Outcome, State, WasmInstance};

use crate::outcome::{Seen, load};

/// What a run asked and was answered, at load and in an event. It has been written down and read again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    init: Arc<[JournalEntry]>,
    calls: Arc<[JournalEntry]>,
}

impl Kept {
    /// Runs an event and keeps what it asked.
    #[track_caller]
    pub(crate) fn of(instance: &WasmInstance, event_type: &str, data: &[u8]) -> (Self, Seen) {
        Kept::of_outcome(instance, instance.run_with(event_type, data, Journal::record()))
    }

    /// Keeps what an event asked that was run with a journal.
    #[track_caller]
    pub(crate) fn of_outcome(instance: &WasmInstance, outcome: Outcome) -> (Self, Seen) {
        let calls = read_again(outcome.journal.entries());
        (Kept { init: read_again(instance.init_journal()), calls }, Seen::of(outcome))
    }

    /// Loads a skill that reaches nobody: its `skill_init` is answered as it was.
    pub(crate) fn load(
        &self,
        compiler: usize,
        wasm: &[u8],
        scope: SkillScope,
        limits: Limits,
    ) -> Result<WasmInstance, Error> {
        let mut spec = LoadSpec::new(scope, Host::default());
        spec.limits = limits;
        spec.state = State::Fresh;
        spec.init = Some(self.init.clone());
        load(compiler, wasm, spec)
    }

    /// Runs the event again on such a skill.
    #[track_caller]
    pub(crate) fn again(&self, offline: &WasmInstance, event_type: &str, data: &[u8]) -> Seen {
        let outcome = offline.run_with(event_type, data, Journal::replay(self.calls.clone()));
        let (answered, all) = (outcome.journal.answered(), outcome.journal.entries().len());
        let seen = Seen::of(outcome);
        assert!(answered == all || seen.is_stack_overflow(), "{answered} calls of {all} were made: {self:?}");
        seen
    }

    /// How many calls the event made.
    pub(crate) fn calls(&self) -> usize {
        self.calls.len()
    }
}

#[track_caller]
fn read_again(entries: &[JournalEntry]) -> Arc<[JournalEntry]> {
    let read = decode_journal(encode_journal(entries).into()).expect("a journal that was written can be read");
    assert_eq!(read, entries);
    read.into()
}

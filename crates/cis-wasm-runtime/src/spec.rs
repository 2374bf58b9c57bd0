//! What a skill is loaded with.

use std::sync::Arc;
use std::time::Duration;

pub use cis_wasm_host::State;
use cis_wasm_host::{Host, JournalEntry, SkillScope};

use crate::limits::Limits;

/// What a skill is loaded with.
#[derive(Clone)]
pub struct LoadSpec {
    /// Its name, grants, budget and settings.
    pub scope: SkillScope,
    /// The host it calls.
    pub host: Host,
    /// What one event may use.
    pub limits: Limits,
    /// What becomes of its memory.
    pub state: State,
    /// Whether its first event can be recorded although it is kept: what `skill_init` asked and was answered is kept then.
    /// For a fresh skill it always is.
    pub recorded: bool,
    /// What `skill_init` is answered from, when a recording is replayed. No call of it reaches the host then.
    pub init: Option<Arc<[JournalEntry]>>,
    /// How long an event of a fresh skill that was sent to the workers keeps its thread while a host call waits. After
    /// that it is put down, and goes on when the call is answered.
    pub park_after: Duration,
}

impl LoadSpec {
    /// The default of [`LoadSpec::park_after`].
    pub const PARK_AFTER: Duration = Limits::PARK_AFTER;

    /// A fresh skill with the default limits.
    pub fn new(scope: SkillScope, host: Host) -> Self {
        LoadSpec {
            scope,
            host,
            limits: Limits::default(),
            state: State::default(),
            recorded: false,
            init: None,
            park_after: Self::PARK_AFTER,
        }
    }
}

//! What a manager knows about a skill.

use std::sync::Arc;

use cis_wasm_host::{Grants, SkillName};
use cis_wasm_runtime::{CacheOutcome, Tier};

use super::flight::Version;
use super::health::SkillHealth;
use super::lifecycle::SkillState;
use crate::manifest::{Manifest, SkillLimits};
use crate::wasm::WasmSkill;

/// What became of a skill's events, over all of its versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Answered.
    pub ok: u64,
    /// Ended with an error.
    pub failed: u64,
    /// Ended because their sender stopped waiting.
    pub cancelled: u64,
    /// The [code](crate::Error::code) of the last error.
    pub last_error: Option<&'static str>,
    /// The most linear memory an event had at its end, in bytes. 0 for a native skill.
    pub peak_memory_bytes: u64,
}

/// A skill as its manager sees it, at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SkillInfo {
    /// The name it goes by. Its memory is kept under this name.
    pub name: SkillName,
    /// Its version.
    pub version: String,
    /// What it does, for people.
    pub description: String,
    /// Where it stands.
    pub state: SkillState,
    /// How its last events went, and when it is tried again if it is failed.
    pub health: SkillHealth,
    /// The event types that a broadcast brings to it.
    pub subscriptions: Vec<String>,
    /// What it may do, after its manifest was narrowed.
    pub grants: Grants,
    /// What its events may use, after its manifest was narrowed. A native skill has no engine's limits.
    pub limits: SkillLimits,
    /// The manifest of a wasm skill, as its author wrote it.
    pub manifest: Option<Arc<Manifest>>,
    /// What the runtime's artifact cache did for this version of a wasm skill.
    pub cache: Option<CacheOutcome>,
    /// Which compiler's code the next instance of a wasm skill runs.
    pub tier: Option<Tier>,
    /// Events that run now.
    pub running: usize,
    /// Events that wait for the skill to be resumed.
    pub queued: usize,
    /// What became of the others.
    pub events: EventCounts,
}

/// What of it is the slot's.
pub(super) struct Standing {
    pub(super) state: SkillState,
    pub(super) health: SkillHealth,
    pub(super) running: usize,
    pub(super) queued: usize,
    pub(super) events: EventCounts,
}

impl SkillInfo {
    pub(super) fn new(version: &Version, standing: Standing) -> SkillInfo {
        let Standing { state, health, running, queued, events } = standing;
        let (skill, scope) = (&version.skill, &version.scope);
        let wasm = skill.as_wasm();
        let native = SkillLimits { budget: scope.budget, quota: scope.quota, ..SkillLimits::UNLIMITED };
        SkillInfo {
            name: scope.name.clone(),
            version: skill.version().to_owned(),
            description: skill.description().to_owned(),
            state,
            health,
            subscriptions: skill.subscriptions().into_iter().map(str::to_owned).collect(),
            grants: scope.grants.clone(),
            limits: wasm.map_or(native, |skill| *skill.limits()),
            manifest: wasm.map(|skill| skill.shared_manifest()),
            cache: wasm.map(WasmSkill::cache_outcome),
            tier: wasm.map(WasmSkill::tier),
            running,
            queued,
            events,
        }
    }
}

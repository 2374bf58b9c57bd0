//! The table `limits`: what one event may use, and what a skill may keep.

use std::time::Duration;

use cis_wasm_host::{Amounts, Limits, Quota, Resource};

use super::ManifestError;
use super::document::Table;

const MIB: u64 = 1 << 20;
/// What TOML's integers can write.
const MOST: u64 = i64::MAX as u64;

/// Every limit of a skill: the engine's, the budget of an event, and the quota over all events.
///
/// The default is what a manifest has that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkillLimits {
    /// Memory, tables, fuel and time of one event.
    pub engine: Limits,
    /// What one event may make the host do.
    pub budget: Amounts,
    /// What the skill's memory may hold.
    pub quota: Quota,
    /// How long an event of a fresh skill may keep a thread of the runtime while a host call waits. After that it is put
    /// down, and takes none until the call is answered. An event reaches no end by it.
    pub park_after: Duration,
}

impl Default for SkillLimits {
    fn default() -> Self {
        SkillLimits {
            engine: Limits::default(),
            budget: Amounts::DEFAULT_LIMITS,
            quota: Quota::default(),
            park_after: Limits::PARK_AFTER,
        }
    }
}

impl SkillLimits {
    /// No limit at all: what narrows nothing.
    pub const UNLIMITED: SkillLimits = SkillLimits {
        engine: Limits { memory_bytes: u64::MAX, table_elements: u32::MAX, fuel: u64::MAX, deadline: Duration::MAX },
        budget: {
            let mut budget = Amounts::DEFAULT_LIMITS;
            let mut index = 0;
            while index < Resource::ALL.len() {
                budget = budget.with(Resource::ALL[index], u64::MAX);
                index += 1;
            }
            budget
        },
        quota: Quota { keys: u64::MAX, bytes: u64::MAX },
        park_after: Duration::MAX,
    };

    /// The smaller of both, limit by limit.
    #[must_use]
    pub fn min(self, other: SkillLimits) -> SkillLimits {
        SkillLimits {
            engine: self.engine.min(other.engine),
            budget: self.budget.min(other.budget),
            quota: Quota {
                keys: self.quota.keys.min(other.quota.keys),
                bytes: self.quota.bytes.min(other.quota.bytes),
            },
            park_after: self.park_after.min(other.park_after),
        }
    }

    /// The limits by the names they have in a manifest, with what is written there. Parts of a unit are rounded down.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let engine = [
            ("memory_mib", self.engine.memory_bytes / MIB),
            ("deadline_ms", millis(self.engine.deadline)),
            ("park_after_ms", millis(self.park_after)),
            ("fuel", self.engine.fuel),
            ("table_elements", u64::from(self.engine.table_elements)),
        ];
        let quota = [("stored_keys", self.quota.keys), ("stored_bytes", self.quota.bytes)];
        engine.into_iter().chain(quota).chain(self.budget.iter().map(|(resource, amount)| (resource.name(), amount)))
    }

    pub(super) fn read(table: &Table<'_>) -> Result<Self, ManifestError> {
        let mut limits = SkillLimits::default();
        let known: Vec<&str> = limits.entries().map(|(name, _)| name).collect();
        table.only(&known)?;
        for (name, value) in table.entries() {
            match name {
                // What 32-bit memories can have.
                "memory_mib" => limits.engine.memory_bytes = value.number(1..=4096)? * MIB,
                "deadline_ms" => limits.engine.deadline = Duration::from_millis(value.number(1..=3_600_000)?),
                "park_after_ms" => limits.park_after = Duration::from_millis(value.number(0..=3_600_000)?),
                "fuel" => limits.engine.fuel = value.number(1..=MOST)?,
                "table_elements" => {
                    let number = value.number(0..=10_000_000)?;
                    limits.engine.table_elements = u32::try_from(number).expect("the range ends below 2^32");
                }
                "stored_keys" => limits.quota.keys = value.number(0..=MOST)?,
                "stored_bytes" => limits.quota.bytes = value.number(0..=MOST)?,
                _ => {
                    let resource = Resource::from_name(name).expect("every other known name is a resource's");
                    limits.budget = limits.budget.with(resource, value.number(0..=MOST)?);
                }
            }
        }
        Ok(limits)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

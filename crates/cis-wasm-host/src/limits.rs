//! What one event of a skill may use of the machine, and what it leaves behind.

use std::time::Duration;

/// What becomes of a skill's memory between events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Every event starts from the state after `skill_init`. Events run in parallel.
    #[default]
    Fresh,
    /// One instance sees all events, one at a time, and keeps its memory until it is unloaded, traps or exceeds a limit.
    Kept,
}

/// The engine's limits on one event of a skill. What the host does for it is bounded by the
/// [budget](crate::SkillScope::budget) instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most linear memory, in bytes; rounded down to pages of 64 KiB. Counts declared and grown pages, and the pages
    /// the host adds for a guest without an allocator.
    pub memory_bytes: u64,
    /// The most elements of all tables together.
    pub table_elements: u32,
    /// The most fuel. A unit is about one instruction: code is paid for by stretches when it is entered (`docs/limits.md`).
    pub fuel: u64,
    /// The most time, guest code and waiting together.
    pub deadline: Duration,
}

impl Limits {
    /// How long an event of a fresh skill that waits keeps a thread of the runtime's where nobody said otherwise.
    pub const PARK_AFTER: Duration = Duration::from_millis(2);

    /// The smaller of both, limit by limit.
    #[must_use]
    pub fn min(self, other: Limits) -> Limits {
        Limits {
            memory_bytes: self.memory_bytes.min(other.memory_bytes),
            table_elements: self.table_elements.min(other.table_elements),
            fuel: self.fuel.min(other.fuel),
            deadline: self.deadline.min(other.deadline),
        }
    }
}

impl Default for Limits {
    /// 64 MiB of memory, 100,000 table elements, 10 billion units of fuel, 5 seconds.
    fn default() -> Self {
        Limits {
            memory_bytes: 64 << 20,
            table_elements: 100_000,
            fuel: 10_000_000_000,
            deadline: Duration::from_secs(5),
        }
    }
}

//! What a manager is made of.

use std::time::Duration;

use cis_wasm_host::{Amounts, Grants, Host, MemoryBackend, Quota};
use cis_wasm_runtime::{Limits, WasmRuntime};
use serde_json::{Map, Value as Json};

use super::SkillManager;
use super::health::FailurePolicy;
use crate::Result;
use crate::manifest::SkillLimits;

/// How many events a paused skill queues where nobody said otherwise.
const DEFAULT_QUEUE_BOUND: usize = 64;

/// What a [`SkillManager`] can be made of directly: a [`Host`], or any [`MemoryBackend`], which is then all of the
/// host's services. `Kind` only tells the two apart and is never written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a `Host` nor a `MemoryBackend`",
    note = "implement `MemoryBackend` for it, or put a host together with `Host::builder()`"
)]
pub trait Services<Kind> {
    /// The host.
    fn into_host(self) -> Host;
}

/// Marks [`Services`] that are a whole host.
#[derive(Debug)]
pub enum WholeHost {}

/// Marks [`Services`] that are a memory and nothing else.
#[derive(Debug)]
pub enum MemoryOnly {}

impl Services<WholeHost> for Host {
    fn into_host(self) -> Host {
        self
    }
}

impl<M: MemoryBackend> Services<MemoryOnly> for M {
    fn into_host(self) -> Host {
        Host::builder().memory(self).build()
    }
}

/// Puts a [`SkillManager`] together.
///
/// ```
/// use std::time::Duration;
/// use cis_skill::wasm::{Compiler, Limits, WasmRuntime};
/// use cis_skill::{Host, InMemory, SkillManager};
///
/// let manager = SkillManager::builder()
///     .host(Host::builder().memory(InMemory::new()).build())
///     .runtime(WasmRuntime::builder().compiler(Compiler::Cranelift).build()?)
///     .limits(Limits { deadline: Duration::from_secs(1), ..Limits::default() })
///     .queue_bound(16)
///     .build()?;
/// assert!(manager.list().is_empty());
/// # Ok::<(), cis_skill::Error>(())
/// ```
#[must_use]
pub struct ManagerBuilder {
    host: Host,
    runtime: Option<WasmRuntime>,
    ceiling: SkillLimits,
    rules: Rules,
}

/// How every skill of a manager is dealt with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// How many events a paused skill queues.
    pub(super) queue_bound: usize,
    pub(super) failures: FailurePolicy,
    /// How often a durable event may fail.
    pub(super) durable_attempts: u32,
    /// How often one may be resumed where it is.
    pub(super) durable_recoveries: u32,
}

impl Default for ManagerBuilder {
    fn default() -> Self {
        ManagerBuilder {
            host: Host::default(),
            runtime: None,
            ceiling: SkillLimits::UNLIMITED,
            rules: Rules {
                queue_bound: DEFAULT_QUEUE_BOUND,
                failures: FailurePolicy::default(),
                durable_attempts: 3,
                durable_recoveries: 3,
            },
        }
    }
}

impl ManagerBuilder {
    /// The services that skills reach. Without it, none: a skill then has its log and its settings.
    pub fn host(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    /// The runtime for wasm skills. Without it, a new one with defaults.
    pub fn runtime(mut self, runtime: WasmRuntime) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// The most memory, fuel, table elements and time an event of any wasm skill may have, whatever its manifest says.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.ceiling.engine = self.ceiling.engine.min(limits);
        self
    }

    /// The most an event of any wasm skill may make the host do, whatever its manifest says.
    pub fn budget(mut self, budget: Amounts) -> Self {
        self.ceiling.budget = self.ceiling.budget.min(budget);
        self
    }

    /// The most the memory of any wasm skill may hold, whatever its manifest says.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.ceiling = self.ceiling.min(SkillLimits { quota, ..SkillLimits::UNLIMITED });
        self
    }

    /// The longest that an event of any fresh wasm skill may keep a thread of the runtime while a host call waits, whatever
    /// its manifest says.
    pub fn park_after(mut self, park_after: Duration) -> Self {
        self.ceiling.park_after = self.ceiling.park_after.min(park_after);
        self
    }

    /// How many events a paused skill queues before it refuses more. 64 by default.
    pub fn queue_bound(mut self, events: usize) -> Self {
        self.rules.queue_bound = events;
        self
    }

    /// When a skill's failures make the manager refuse its events, and for how long. By default 5 in a row; for 1 second,
    /// doubling up to 5 minutes.
    pub fn failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.rules.failures = policy;
        self
    }

    /// After how many failures a durable event becomes a dead letter. 3 by default; at least 1.
    ///
    /// Its second attempt comes after [`FailurePolicy::back_off`], each further one after twice as long, up to
    /// `longest_back_off`; and none while its skill is refused events for its failures. A process that finds an event which
    /// an earlier one left between two attempts tries it at once.
    pub fn durable_attempts(mut self, attempts: u32) -> Self {
        self.rules.durable_attempts = attempts.max(1);
        self
    }

    /// How often [`recover`](SkillManager::recover) resumes a durable event without its getting any further, before the
    /// event becomes a dead letter: then the process has ended each time while it was at that event, which may well be the
    /// reason. 3 by default, after the event's first run; at least 1.
    ///
    /// A process that is killed for reasons of its own counts as well, while it is at an event. It does not where it ends
    /// with [`shutdown`](SkillManager::shutdown).
    pub fn durable_recoveries(mut self, times: u32) -> Self {
        self.rules.durable_recoveries = times.max(1);
        self
    }

    /// The manager.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) when no runtime was given and none can be made.
    pub fn build(self) -> Result<SkillManager> {
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => WasmRuntime::new()?,
        };
        Ok(SkillManager::from_parts(self.host, runtime, self.ceiling, self.rules))
    }
}

/// How a native skill is registered. The default grants what a wasm skill without a manifest has: its own memory and
/// its log.
#[derive(Clone, Debug)]
#[must_use]
pub struct RegisterOptions {
    pub(super) grants: Grants,
    pub(super) limits: SkillLimits,
    pub(super) config: Map<String, Json>,
    pub(super) activate: bool,
}

impl Default for RegisterOptions {
    fn default() -> Self {
        let config = Map::new();
        RegisterOptions { grants: Grants::default(), limits: SkillLimits::default(), config, activate: true }
    }
}

impl RegisterOptions {
    /// What the skill may do through its context.
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// What one event may make the host do.
    pub fn budget(mut self, budget: Amounts) -> Self {
        self.limits.budget = budget;
        self
    }

    /// What the skill's memory may hold.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.limits.quota = quota;
        self
    }

    /// The value of one of the skill's settings.
    pub fn config(mut self, name: impl Into<String>, value: impl Into<Json>) -> Self {
        self.config.insert(name.into(), value.into());
        self
    }

    /// Whether the skill takes events at once. `true` by default.
    pub fn activate(mut self, activate: bool) -> Self {
        self.activate = activate;
        self
    }
}

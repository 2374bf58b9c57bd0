//! The manager: loads skills, knows where each stands, and brings them their events.

mod attempts;
mod config;
mod detached;
mod durable;
mod flight;
mod health;
mod in_air;
mod info;
mod lifecycle;
mod queue;
mod registry;
mod reload;
mod routing;
mod slot;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cis_wasm_host::{Host, SkillName, SkillScope};
use cis_wasm_runtime::WasmRuntime;
use futures_util::FutureExt;

pub use config::{ManagerBuilder, MemoryOnly, RegisterOptions, Services, WholeHost};
pub use durable::{DurableHandle, Recovered};
pub use health::{FailurePolicy, SkillHealth};
pub use info::{EventCounts, SkillInfo};
pub use lifecycle::{SkillState, Transition};

use crate::manifest::SkillLimits;
use crate::wasm::WasmSkill;
use crate::{Error, ErrorKind, LoadOptions, Result, Skill, SkillContext};
use config::Rules;
use flight::{Version, panicked};
use in_air::InAir;
use registry::{Registry, Reservation};
use slot::Slot;

/// Loads skills and brings them their events. Cheap to clone; clones are the same manager.
///
/// It needs no async runtime and makes none: its futures run under any executor. Events of different skills, and of one
/// fresh skill, run in parallel; a kept skill has one event at a time.
///
/// Dropping the last clone lets its skills go without their shutdown hooks; [`shutdown`](Self::shutdown) runs them.
///
/// ```
/// use cis_skill::{Event, InMemory, LoadOptions, SkillManager};
///
/// # let wasm_bytes = wat::parse_str(r#"(module (memory (export "memory") 1) (data (i32.const 16) "hello")
/// #     (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
/// #         (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 5))))"#)?;
/// # pollster::block_on(async {
/// let manager = SkillManager::new(InMemory::new())?;
/// manager.load_wasm("hello", &wasm_bytes, LoadOptions::default())?;
/// assert_eq!(manager.send_event("hello", Event::tick(0)).await?.text()?, "hello");
///
/// manager.deactivate("hello")?;
/// let error = manager.pause("hello").unwrap_err();
/// assert_eq!(error.to_string(), "`hello` is inactive and cannot become paused by `pause`, which takes a skill that is active");
/// # Ok::<(), cis_skill::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SkillManager {
    shared: Arc<Shared>,
}

struct Shared {
    host: Host,
    runtime: WasmRuntime,
    ceiling: SkillLimits,
    rules: Rules,
    registry: Registry,
    durable: Arc<InAir>,
}

impl SkillManager {
    /// A manager whose skills reach these services: a whole [`Host`], or a memory alone. See
    /// [`builder`](Self::builder) for everything else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Runtime`] when no runtime can be made.
    pub fn new<Kind>(services: impl Services<Kind>) -> Result<Self> {
        SkillManager::builder().host(services.into_host()).build()
    }

    /// Starts putting a manager together.
    pub fn builder() -> ManagerBuilder {
        ManagerBuilder::default()
    }

    fn from_parts(host: Host, runtime: WasmRuntime, ceiling: SkillLimits, rules: Rules) -> Self {
        let (registry, durable) = (Registry::default(), Arc::default());
        SkillManager { shared: Arc::new(Shared { host, runtime, ceiling, rules, registry, durable }) }
    }

    /// Loads a wasm skill under a name. The name is the integrator's: the skill is sent events and keeps its memory
    /// under it, whatever its manifest calls it, so that one module can be loaded twice and be two skills.
    ///
    /// Compiling the module and its `skill_init` happen on the calling thread. Under an async executor, call this where
    /// blocking is fine.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadName`], [`ErrorKind::NameTaken`], [`ErrorKind::ShutDown`], [`ErrorKind::BadManifest`],
    /// [`ErrorKind::ManifestMismatch`] and [`ErrorKind::BadConfig`]; and [`ErrorKind::Runtime`] when the module is
    /// refused or does not start. Nothing stays behind then.
    pub fn load_wasm(&self, name: &str, wasm: &[u8], options: LoadOptions) -> Result<()> {
        let shared = &*self.shared;
        let reservation = shared.registry.reserve(name.parse()?)?;
        let plan = options.plan(reservation.name().clone(), wasm, &shared.ceiling)?;
        let skill = WasmSkill::load(&shared.runtime, &shared.host, wasm, plan)?;
        let scope = skill.shared_scope();
        let version = Version::new(Arc::new(skill), shared.host.clone(), scope);
        self.settle(reservation, version, options.activates())
    }

    /// Registers a native skill under its own name, with the default [`RegisterOptions`]. Its `init` is awaited first.
    ///
    /// A [`WasmSkill`] can be registered too. It keeps its own host, scope and limits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadName`], [`ErrorKind::NameTaken`], [`ErrorKind::ShutDown`], and the error of `init`.
    pub async fn register(&self, skill: impl Skill) -> Result<()> {
        self.register_with(skill, RegisterOptions::default()).await
    }

    /// Registers a native skill with options. They make no difference to a [`WasmSkill`], except for
    /// [`activate`](RegisterOptions::activate).
    ///
    /// # Errors
    ///
    /// As for [`register`](Self::register).
    pub async fn register_with(&self, skill: impl Skill, options: RegisterOptions) -> Result<()> {
        let shared = &*self.shared;
        let reservation = shared.registry.reserve(skill.name().parse()?)?;
        let (host, scope) = match skill.as_wasm() {
            Some(wasm) => (wasm.host().clone(), wasm.shared_scope()),
            None => {
                let RegisterOptions { grants, limits, config, .. } = options;
                let name = reservation.name().clone();
                let scope = SkillScope { name, grants, budget: limits.budget, quota: limits.quota, config };
                (shared.host.clone(), Arc::new(scope))
            }
        };
        let mut context = SkillContext::new(host.clone(), scope.clone());
        let init = AssertUnwindSafe(skill.init(&mut context)).catch_unwind().await;
        if let Err(error) = init.unwrap_or_else(|panic| Err(panicked(&*panic))) {
            let (receipt, log) = context.finish();
            return Err(error.with_event(receipt, log));
        }
        self.settle(reservation, Version::new(Arc::new(skill), host, scope), options.activate)
    }

    /// Lets a skill take events, also one that failed: its failures are forgotten then.
    ///
    /// # Errors
    ///
    /// As for every change of state: [`ErrorKind::UnknownSkill`], and [`ErrorKind::IllegalTransition`] where the
    /// skill's state does not allow it.
    pub fn activate(&self, skill: &str) -> Result<()> {
        self.slot(skill)?.apply(Transition::Activate)
    }

    /// Lets a skill refuse events. Those that run already end as they would have; queued ones are given back to their
    /// senders.
    ///
    /// # Errors
    ///
    /// As for [`activate`](Self::activate).
    pub fn deactivate(&self, skill: &str) -> Result<()> {
        self.slot(skill)?.apply(Transition::Deactivate)
    }

    /// Lets a skill queue events. Those that run already end as they would have.
    ///
    /// # Errors
    ///
    /// As for [`activate`](Self::activate).
    pub fn pause(&self, skill: &str) -> Result<()> {
        self.slot(skill)?.apply(Transition::Pause)
    }

    /// Serves the queued events of a paused skill, in order of their arrival, and lets it take events.
    ///
    /// # Errors
    ///
    /// As for [`activate`](Self::activate).
    pub fn resume(&self, skill: &str) -> Result<()> {
        self.slot(skill)?.apply(Transition::Resume)
    }

    /// Lets a skill go: refuses new events, gives back queued ones, waits for those that run, then runs its shutdown
    /// hook. Its memory stays with the host.
    ///
    /// When the future is dropped half way, the skill is left unloading, and a second call finishes it. A skill that
    /// awaits this for itself waits forever.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownSkill`], or the error of the shutdown hook. The skill is gone even then.
    pub async fn unload(&self, skill: &str) -> Result<()> {
        let slot = self.slot(skill)?;
        slot.apply(Transition::Unload)?;
        self.close(&slot).await
    }

    /// Lets all skills go, as [`unload`](Self::unload) does, and takes no more. Returns the errors of the shutdown
    /// hooks that failed.
    pub async fn shutdown(&self) -> Vec<(SkillName, Error)> {
        self.shared.registry.close();
        let slots = self.slots();
        for (_, slot) in &slots {
            slot.apply(Transition::Unload).expect("every state has a way to unloading");
        }
        // After that, so that none of them is let in again.
        self.shared.durable.close();
        let mut failed = Vec::new();
        for (name, slot) in slots {
            if let Err(error) = self.close(&slot).await {
                failed.push((name, error));
            }
        }
        self.shared.durable.clear().await;
        failed
    }

    /// All skills, in order of their names.
    pub fn list(&self) -> Vec<SkillInfo> {
        self.slots().into_iter().map(|(_, slot)| slot.info()).collect()
    }

    /// One skill.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownSkill`]
    pub fn info(&self, skill: &str) -> Result<SkillInfo> {
        Ok(self.slot(skill)?.info())
    }

    fn settle(&self, reservation: Reservation<'_>, version: Version, activate: bool) -> Result<()> {
        let state = if activate { SkillState::Active } else { SkillState::Inactive };
        let slot = Slot::new(reservation.name().clone(), version, state, &self.shared.rules);
        if reservation.fill(slot) { Ok(()) } else { Err(ErrorKind::ShutDown.into()) }
    }

    async fn close(&self, slot: &Arc<Slot>) -> Result<()> {
        let result = slot.close().await;
        self.shared.registry.remove(slot.name(), slot);
        result
    }

    fn slot(&self, skill: &str) -> Result<Arc<Slot>> {
        self.shared.registry.find(skill)
    }

    fn slots(&self) -> Vec<(SkillName, Arc<Slot>)> {
        self.shared.registry.all()
    }

    fn runtime(&self) -> &WasmRuntime {
        &self.shared.runtime
    }

    fn ceiling(&self) -> &SkillLimits {
        &self.shared.ceiling
    }
}

//! Running events, counted per version of their skill.
//!
//! Invariant: an event is counted from the moment its skill's state allowed it until its [`Flight`] is dropped, however
//! it ends: answered, failed, cancelled or panicked. A version goes only when nothing flies on it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};

use cis_wasm_host::{Host, HostError, SkillScope};
use cis_wasm_runtime::{ErrorKind as EngineErrorKind, nested};
use futures_channel::oneshot;
use futures_util::FutureExt;

use super::detached::detach;
use super::durable::native;
use super::health::Trial;
use super::slot::Slot;
use crate::recording::recorder::cannot;
use crate::wasm::WasmSkill;
use crate::{ErrorKind, Event, Response, Result, Skill, SkillContext};

/// One version of a skill: what a reload replaces.
pub(super) struct Version {
    pub(super) skill: Arc<dyn Skill>,
    pub(super) host: Host,
    pub(super) scope: Arc<SkillScope>,
    air: Mutex<Air>,
}

/// What flies on a version.
#[derive(Default)]
struct Air {
    flights: usize,
    /// Set when another version has taken its place: the last flight then sees to the shutdown.
    retired: bool,
    /// Set once the shutdown hook was begun, so that it runs once.
    closing: bool,
    /// Set once a retired version's shutdown hook has run.
    closed: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Air {
    fn is_clear(&self) -> bool {
        self.flights == 0 && (!self.retired || self.closed)
    }

    fn tell(&mut self) {
        for waiting in self.waiting.drain(..) {
            // Whoever stopped waiting needs no word.
            let _ = waiting.send(());
        }
    }
}

impl Version {
    pub(super) fn new(skill: Arc<dyn Skill>, host: Host, scope: Arc<SkillScope>) -> Self {
        Version { skill, host, scope, air: Mutex::default() }
    }

    /// The context of a new event.
    pub(super) fn context(&self) -> SkillContext {
        SkillContext::new(self.host.clone(), self.scope.clone())
    }

    pub(super) fn flights(&self) -> usize {
        self.air().flights
    }

    /// Waits until nothing flies any more, and for the shutdown hook if the version is retired.
    pub(super) async fn clear(&self) {
        let landed = {
            let mut air = self.air();
            if air.is_clear() {
                return;
            }
            let (sender, landed) = oneshot::channel();
            air.waiting.push(sender);
            landed
        };
        // The sender is dropped with the version only, which `self` keeps.
        let _ = landed.await;
    }

    /// Runs the shutdown hook, unless it was run.
    pub(super) async fn shut_down(&self) -> Result<()> {
        if std::mem::replace(&mut self.air().closing, true) {
            return Ok(());
        }
        let mut context = self.context();
        let hook = AssertUnwindSafe(self.skill.shutdown(&mut context)).catch_unwind().await;
        let result = hook.unwrap_or_else(|panic| Err(panicked(&*panic)));
        let (receipt, log) = context.finish();
        result.map_err(|error| error.with_event(receipt, log))
    }

    /// Lets the version go when its last flight has landed. When nothing flies that is now, and the shutdown hook has run
    /// when this returns.
    pub(super) fn retire(self: &Arc<Self>) {
        let clear = {
            let mut air = self.air();
            air.retired = true;
            air.flights == 0
        };
        if clear {
            pollster::block_on(self.close());
        }
    }

    fn take_off(&self) {
        self.air().flights += 1;
    }

    fn land(self: &Arc<Self>) {
        let last_of_retired = {
            let mut air = self.air();
            air.flights -= 1;
            if air.is_clear() {
                air.tell();
            }
            air.flights == 0 && air.retired
        };
        if last_of_retired {
            // The thread that lands the last event may be one of an executor, and the hook is guest code: it runs on the
            // runtime's workers, and what is left to do then is done by the one that ends it.
            let version = self.clone();
            detach(async move { version.close().await });
        }
    }

    /// Runs a retired version's shutdown hook.
    async fn close(&self) {
        if let Err(error) = self.shut_down().await {
            tracing::warn!(target: "cis_skill", skill = %self.scope.name, "the replaced version's shutdown: {error}");
        }
        let mut air = self.air();
        air.closed = true;
        air.tell();
    }

    fn air(&self) -> MutexGuard<'_, Air> {
        // Nothing panics while it holds the lock, and each change is whole by itself.
        self.air.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One running event. Dropping it ends the event's count.
pub(super) struct Flight {
    slot: Arc<Slot>,
    version: Arc<Version>,
    trial: Trial,
    landed: bool,
}

impl Flight {
    /// Counts an event in. The caller holds the slot's lock, so that its state cannot change in between.
    pub(super) fn begin(slot: &Arc<Slot>, version: &Arc<Version>, trial: Trial) -> Self {
        version.take_off();
        Flight { slot: slot.clone(), version: version.clone(), trial, landed: false }
    }

    pub(super) fn wasm(&self) -> Option<&WasmSkill> {
        self.version.skill.as_wasm()
    }

    pub(super) async fn run(self, event: Event) -> Result<Response> {
        let result = match self.wasm() {
            Some(skill) => skill.handle(event).await,
            None => self.run_native(event).await,
        };
        self.land(result)
    }

    pub(super) fn run_blocking(self, event: Event) -> Result<Response> {
        let result = match self.wasm() {
            Some(skill) => skill.run(event),
            None => pollster::block_on(self.run_native(event)),
        };
        self.land(result)
    }

    async fn run_native(&self, event: Event) -> Result<Response> {
        if event.journal().is_some() {
            return Err(native());
        }
        if let Some(recorder) = event.recorder() {
            recorder.add(Err(cannot(
                "the skill is native; only what a wasm skill asks and is answered is all that it sees",
            )));
        }
        let mut context = self.version.context();
        let handled =
            nested(AssertUnwindSafe(self.version.skill.handle_event(&mut context, event)).catch_unwind()).await;
        let result = match handled {
            Ok(handled) => handled.unwrap_or_else(|panic| Err(panicked(&*panic))),
            Err(error) => Err(error.into()),
        };
        let (receipt, log) = context.finish();
        match result {
            Ok(response) => Ok(response.with_event(receipt, log)),
            // One with a receipt is another event's, which the skill hands on.
            Err(error) if error.receipt().is_none() && is_budget(&error) => {
                let note = "a native skill has no manifest; its budget is that of its `RegisterOptions`";
                Err(error.with_event(receipt, log).with_note(note))
            }
            Err(error) => Err(error.with_event(receipt, log)),
        }
    }

    /// Ends the event with its result.
    pub(super) fn land(mut self, result: Result<Response>) -> Result<Response> {
        self.landed = true;
        self.slot.tally(self.trial, &result);
        result
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            self.slot.tally_cancelled(self.trial);
        }
        self.version.land();
    }
}

fn is_budget(error: &crate::Error) -> bool {
    let ErrorKind::Runtime(engine) = error.kind() else { return false };
    matches!(engine.kind(), EngineErrorKind::Host(HostError::BudgetExhausted { .. }))
}

/// The error of a native skill's panic.
pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> crate::Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    ErrorKind::SkillPanicked { message: text.unwrap_or("no message").to_owned() }.into()
}

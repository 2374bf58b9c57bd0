//! A loaded module as a [`Skill`].

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_host::{Host, Journal, LogLine, SkillScope};
use cis_wasm_runtime::{CacheOutcome, LoadSpec, Outcome, State, Tier, WasmInstance, WasmRuntime};

use crate::manifest::{Manifest, SkillLimits};
use crate::options::Plan;
use crate::recording::recorder::{self, Recordable};
use crate::{Error, ErrorKind, Event, Response, Result, Skill, SkillContext};

/// A skill that is a wasm module, loaded and ready. Cheap to clone; clones are the same skill.
///
/// It runs on its own runtime against its own host: what context it is called with makes no difference to it.
///
/// ```
/// use cis_skill::wasm::WasmSkillBuilder;
/// use cis_skill::{Event, InMemory};
///
/// # let wasm_bytes = wat::parse_str(r#"(module (memory (export "memory") 1) (data (i32.const 16) "hello")
/// #     (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
/// #         (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 5))))"#)?;
/// let skill = WasmSkillBuilder::new().name("hello").wasm_bytes(wasm_bytes).memory_service(InMemory::new()).build()?;
/// let response = skill.run(Event::tick(0))?;
/// assert_eq!(response.text()?, "hello");
/// assert!(response.receipt().unwrap().fuel > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WasmSkill {
    inner: Arc<Inner>,
}

struct Inner {
    instance: WasmInstance,
    host: Host,
    plan: Plan,
    version: String,
    recordable: Option<Recordable>,
}

impl WasmSkill {
    /// Compiles a module as planned and runs its `skill_init`. Blocks for as long as that takes.
    pub(crate) fn load(runtime: &WasmRuntime, host: &Host, wasm: &[u8], plan: Plan) -> Result<Self> {
        let mut spec = LoadSpec::new((*plan.scope).clone(), host.clone());
        spec.limits = plan.limits.engine;
        spec.state = plan.manifest.state;
        spec.recorded = plan.recordable;
        spec.park_after = plan.limits.park_after;
        let instance = runtime.load(wasm, spec).map_err(|error| plan.narrowed.blame(error.into()))?;
        let version = plan.manifest.version.to_string();
        let recordable = plan
            .recordable
            .then(|| Recordable { module: Bytes::copy_from_slice(wasm), compiler: runtime.compiler().name() });
        Ok(WasmSkill { inner: Arc::new(Inner { instance, host: host.clone(), plan, version, recordable }) })
    }

    /// Handles an event on the calling thread, which it blocks until the skill has answered.
    ///
    /// # Errors
    ///
    /// As for [`handle`](Self::handle).
    pub fn run(&self, event: Event) -> Result<Response> {
        self.inner.check(&event)?;
        let outcome = self.inner.instance.run_with(event.event_type(), event.data(), journal(&event));
        self.inner.record(&event, &outcome);
        self.inner.answer(outcome)
    }

    /// Handles an event on the runtime's workers, under any executor. Dropping the future cancels the event.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime), with the event's receipt and log.
    pub fn handle(&self, event: Event) -> impl Future<Output = Result<Response>> + Send + 'static + use<> {
        let inner = self.inner.clone();
        async move {
            inner.check(&event)?;
            let data = event.data().clone();
            let outcome = inner.instance.handle_with(event.event_type(), data, journal(&event)).await;
            inner.record(&event, &outcome);
            inner.answer(outcome)
        }
    }

    /// The manifest, as the skill's author wrote it.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.plan.manifest
    }

    /// What the skill may do and use, after it was narrowed.
    pub fn scope(&self) -> &SkillScope {
        &self.inner.plan.scope
    }

    /// The limits, after they were narrowed.
    pub fn limits(&self) -> &SkillLimits {
        &self.inner.plan.limits
    }

    /// What the runtime's artifact cache did for the module.
    pub fn cache_outcome(&self) -> CacheOutcome {
        self.inner.instance.cache_outcome()
    }

    /// Which compiler's code its next instance runs.
    pub fn tier(&self) -> Tier {
        self.inner.instance.tier()
    }

    /// What the skill logged while it was loaded.
    pub fn init_log(&self) -> &[LogLine] {
        self.inner.instance.init_log()
    }

    /// Runs the skill's `skill_shutdown` on the calling thread. Does nothing for a fresh skill, which has nothing that
    /// could be lost, and nothing the second time.
    ///
    /// # Errors
    ///
    /// When it trapped or reached a limit.
    pub fn shutdown_blocking(&self) -> Result<()> {
        if self.manifest().state == State::Fresh {
            return Ok(());
        }
        self.inner.ended(self.inner.instance.shutdown())
    }

    pub(crate) fn host(&self) -> &Host {
        &self.inner.host
    }

    pub(crate) fn shared_manifest(&self) -> Arc<Manifest> {
        self.inner.plan.manifest.clone()
    }

    pub(crate) fn shared_scope(&self) -> Arc<SkillScope> {
        self.inner.plan.scope.clone()
    }
}

impl Inner {
    /// Whether the skill can run the event as it is to be run.
    fn check(&self, event: &Event) -> Result<()> {
        match (event.journal(), self.plan.manifest.state) {
            (Some(_), State::Kept) => Err(kept()),
            _ => Ok(()),
        }
    }

    /// What an event came to, with errors that say whose limit it was.
    fn answer(&self, outcome: Outcome) -> Result<Response> {
        answer(outcome).map_err(|error| self.plan.narrowed.blame(error))
    }

    fn ended(&self, shutdown: std::result::Result<(), cis_wasm_runtime::Error>) -> Result<()> {
        shutdown.map_err(|error| self.plan.narrowed.blame(error.into()))
    }

    /// Gives an event's recorder, if it has one, what it came for, and its sender its journal back.
    fn record(&self, event: &Event, outcome: &Outcome) {
        if let Some(cell) = event.journal() {
            *cell.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(outcome.journal.clone());
        }
        if let Some(recorder) = event.recorder() {
            let recordable = self.recordable.as_ref();
            recorder.add(recorder::recording(recordable, &self.plan, &self.instance, &self.host, event, outcome));
        }
    }
}

/// The journal that an event runs with.
fn journal(event: &Event) -> Journal {
    let kept = event.journal().and_then(|cell| cell.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take());
    match (kept, event.recorder()) {
        (Some(journal), None) => journal,
        (Some(journal), Some(_)) => journal.traced(),
        (None, Some(_)) => recorder::journal(),
        (None, None) => Journal::OFF,
    }
}

/// Why an event of a kept skill is not durable.
pub(crate) fn kept() -> Error {
    let why = "the skill is kept: what it does depends on memory that a crash takes along; `state = \"fresh\"` in its manifest";
    ErrorKind::NotDurable { why }.into()
}

pub(crate) fn answer(outcome: Outcome) -> Result<Response> {
    let Outcome { result, log, receipt, .. } = outcome;
    match result {
        Ok(body) => Ok(Response::new(body).with_event(receipt, log)),
        Err(error) => Err(Error::from(error).with_event(receipt, log)),
    }
}

#[async_trait]
impl Skill for WasmSkill {
    fn name(&self) -> &str {
        self.scope().name.as_str()
    }

    fn version(&self) -> &str {
        &self.inner.version
    }

    fn description(&self) -> &str {
        &self.manifest().description
    }

    fn subscriptions(&self) -> Vec<&str> {
        self.manifest().subscriptions.iter().map(String::as_str).collect()
    }

    async fn handle_event(&self, _ctx: &mut SkillContext, event: Event) -> Result<Response> {
        self.handle(event).await
    }

    async fn shutdown(&self, _ctx: &mut SkillContext) -> Result<()> {
        if self.manifest().state == State::Fresh {
            return Ok(());
        }
        // Guest code may run until its deadline; the caller's executor is not the place for that.
        self.inner.ended(self.inner.instance.close().await)
    }

    fn as_wasm(&self) -> Option<&WasmSkill> {
        Some(self)
    }
}

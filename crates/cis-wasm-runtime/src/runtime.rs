//! The runtime: which compiler, and the threads that events run on.

use std::sync::Arc;

use cis_wasm_host::{Host, SkillName, SkillScope};

#[cfg(feature = "singlepass")]
use crate::background::Background;
use crate::cache::ArtifactCache;
use crate::checkpoint::{ALLOWANCE, Checkpoints};
use crate::compiler::Compiler;
use crate::error::{Error, ErrorKind};
use crate::interrupt::{self, Watch};
use crate::making::Making;
use crate::meter::Metering;
use crate::pool::Pools;
use crate::processor;
use crate::run::WasmInstance;
use crate::spec::LoadSpec;
use crate::worker::{Scope, Workers};

/// Loads skills and runs their events. Cheap to clone; clones are the same runtime.
#[derive(Clone)]
pub struct WasmRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    making: Making,
    watch: Arc<Watch>,
    /// Whether guest code is stopped by signals.
    signals: bool,
    #[cfg(feature = "singlepass")]
    background: Background,
    workers: Arc<Workers>,
    reuse: bool,
    pools: Arc<Pools>,
    checkpoints: Arc<Checkpoints>,
}

/// Puts a [`WasmRuntime`] together.
#[derive(Clone)]
pub struct RuntimeBuilder {
    making: Making,
    workers: Option<usize>,
    max_held: usize,
    scope: Option<Scope>,
    signals: bool,
    reuse: bool,
    max_idle: usize,
    max_idle_bytes: u64,
    max_checkpoint_bytes: u64,
    repeated_fuel: u64,
}

/// How many events may be away from the workers at a time, where nobody said otherwise.
const DEFAULT_MAX_HELD: usize = 64;

/// How many instances may wait for events. Each takes 8 GiB of addresses, of which a process has 128 TiB.
const DEFAULT_MAX_IDLE: usize = 1_000;

/// How many bytes of their own they may have.
const DEFAULT_MAX_IDLE_BYTES: u64 = 256 << 20;

/// How many bytes runs that were suspended may take.
const DEFAULT_MAX_CHECKPOINT_BYTES: u64 = 64 << 20;

impl RuntimeBuilder {
    /// The compiler. [`Compiler::Cranelift`] where nobody said otherwise.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.making.compiler = compiler;
        self
    }

    /// Where machine code is kept, so that a module that was compiled once need not be again. Without it, nothing is
    /// written to any disk.
    #[must_use]
    pub fn cache(mut self, cache: ArtifactCache) -> Self {
        self.making.cache = Some(cache);
        self
    }

    /// How many threads run guest code at a time. As many as there are processors where nobody said otherwise.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How many events may wait for backends or run for long at a time, each with a thread of its own, before further ones
    /// have to wait for a worker. 64 where nobody said otherwise.
    ///
    /// Half of them is the most that one skill can have. A skill that has nothing running does not have to wait: beyond
    /// this number there is a thread for one event of each such skill.
    #[must_use]
    pub fn max_held(mut self, max_held: usize) -> Self {
        self.max_held = max_held;
        self
    }

    /// Wraps all that a worker thread ever does. Backends are polled on workers, so this is where to enter the context of
    /// the async runtime that they were written for. It must call what it is given, once. What runs on a thread of the
    /// caller's own ([`WasmInstance::run`], loading) does not pass here: enter the context there too.
    ///
    /// ```no_run
    /// # struct Handle;
    /// # impl Handle { fn current() -> Self { Handle } fn enter(&self) {} }
    /// use cis_wasm_runtime::WasmRuntime;
    ///
    /// let tokio = Handle::current(); // tokio::runtime::Handle
    /// let runtime = WasmRuntime::builder()
    ///     .worker_scope(move |work| {
    ///         let _context = tokio.enter();
    ///         work()
    ///     })
    ///     .build()?;
    /// # Ok::<(), cis_wasm_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn worker_scope(mut self, scope: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) -> Self {
        self.scope = Some(Arc::new(scope));
        self
    }

    /// Whether guest code is stopped by a signal, `SIGURG`, sent to the thread that it runs on. It is where nobody said
    /// otherwise, on Linux on x86-64 and ARM64.
    ///
    /// Without, guest code asks for the time at short intervals instead, which costs it more: `docs/limits.md` has figures.
    /// A signal that is not this runtime's goes on to the handler that was set before. Do not replace that handler
    /// later, or deadlines do not hold any more.
    #[must_use]
    pub fn signals(mut self, signals: bool) -> Self {
        self.signals = signals;
        self
    }

    /// Whether a fresh skill's instance, set back to its state after `skill_init`, sees another event. Yes where nobody
    /// said otherwise; else every event has an instance made for it. What an event sees is the same.
    ///
    /// It is done on Linux on x86-64 and AArch64, and for skills that can be set back exactly: those that change no
    /// tables, drop no segments and keep no references in globals.
    #[must_use]
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.reuse = reuse;
        self
    }

    /// How many instances of fresh skills, running or not, there may be before those that wait for events are given up,
    /// of the skills first that had none for the longest time. 1,000 where nobody said otherwise.
    ///
    /// An instance takes 8 GiB of address space, of which a process has 128 TiB, however little memory it uses.
    #[must_use]
    pub fn max_idle(mut self, instances: usize) -> Self {
        self.max_idle = instances;
        self
    }

    /// The same in bytes of memory that they have to themselves. 256 MiB where nobody said otherwise.
    #[must_use]
    pub fn max_idle_bytes(mut self, bytes: u64) -> Self {
        self.max_idle_bytes = bytes;
        self
    }

    /// How many bytes may be kept of events that wait for a host call, so that they go on where they were instead of being run
    /// again from their start. 64 MiB where nobody said otherwise.
    ///
    /// Kept are the stack and the memory that the event has written, of events for which more than some ten microseconds of
    /// work would be repeated a second time. An event for which there is no room is run again from its start each time that it
    /// has waited; what comes of it is the same.
    #[must_use]
    pub fn max_checkpoint_bytes(mut self, bytes: u64) -> Self {
        self.max_checkpoint_bytes = bytes;
        self
    }

    /// How much fuel of an event may be used for nothing, because it is run again from its start when it has waited for a host
    /// call, before what it comes to is [kept](Self::max_checkpoint_bytes) instead. 100,000 where nobody said otherwise.
    ///
    /// An event uses this, and at the most once its own fuel, beside what stands in its receipt.
    #[must_use]
    pub fn repeated_fuel(mut self, fuel: u64) -> Self {
        self.repeated_fuel = fuel;
        self
    }

    /// Guest code without fuel and deadline: nothing ends it but its own end, a trap, or a host call. For measuring what
    /// limits cost, and for nothing else.
    #[cfg(feature = "unmetered")]
    #[must_use]
    pub fn unmetered(mut self) -> Self {
        self.making.metering = Metering::Off;
        self
    }

    /// The runtime. Its threads start when there is something to do.
    ///
    /// # Errors
    ///
    /// When the system has no thread for the watch, which ends what is due.
    pub fn build(self) -> Result<WasmRuntime, Error> {
        let workers = self.workers.unwrap_or_else(|| processor::count().get());
        let pools = Pools::new(self.max_idle, self.max_idle_bytes, workers);
        let workers = Workers::new(workers, self.max_held, self.scope);
        let mut making = self.making;
        let watch = Watch::shared().map_err(|error| ErrorKind::Internal { message: format!("the watch: {error}") })?;
        let signals = self.signals && interrupt::are_possible();
        if !signals && making.metering == Metering::Traps {
            making.metering = Metering::Asks;
        }
        let inner = Inner {
            making,
            watch,
            signals,
            #[cfg(feature = "singlepass")]
            background: Background::new(),
            workers: Arc::new(workers),
            reuse: self.reuse,
            pools: Arc::new(pools),
            checkpoints: Checkpoints::new(self.repeated_fuel, self.max_checkpoint_bytes),
        };
        Ok(WasmRuntime { inner: Arc::new(inner) })
    }
}

impl WasmRuntime {
    /// A runtime with Cranelift and as many workers as there are processors.
    ///
    /// # Errors
    ///
    /// See [`RuntimeBuilder::build`].
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Starts putting a runtime together.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder {
            making: Making { compiler: Compiler::default(), metering: Metering::Traps, cache: None },
            workers: None,
            max_held: DEFAULT_MAX_HELD,
            scope: None,
            signals: true,
            reuse: true,
            max_idle: DEFAULT_MAX_IDLE,
            max_idle_bytes: DEFAULT_MAX_IDLE_BYTES,
            max_checkpoint_bytes: DEFAULT_MAX_CHECKPOINT_BYTES,
            repeated_fuel: ALLOWANCE,
        }
    }

    /// The compiler it uses.
    pub fn compiler(&self) -> Compiler {
        self.inner.making.compiler
    }

    /// Its artifact cache, if it has one.
    pub fn cache(&self) -> Option<&ArtifactCache> {
        self.inner.making.cache.as_ref()
    }

    /// Loads a skill named `skill` that has its log and nothing else: a host without any backend. See
    /// [`WasmRuntime::load`] for one that has.
    ///
    /// # Errors
    ///
    /// As [`WasmRuntime::load`].
    pub fn load_skill(&self, wasm: &[u8]) -> Result<WasmInstance, Error> {
        let name: SkillName = "skill".parse().map_err(|error| ErrorKind::Internal { message: format!("{error}") })?;
        self.load(wasm, LoadSpec::new(SkillScope::new(name), Host::builder().build()))
    }

    /// Checks and compiles a module, and runs its `skill_init`, all on the calling thread.
    ///
    /// # Errors
    ///
    /// When the module is not one that can be loaded, or when its `skill_init` fails, traps or exceeds a limit.
    pub fn load(&self, wasm: &[u8], spec: LoadSpec) -> Result<WasmInstance, Error> {
        WasmInstance::load(self.clone(), wasm, spec)
    }

    /// Gives up all instances that wait for events, and all that is kept of events that wait, for when the process runs short of
    /// memory or addresses. Later events get new ones, and events that wait are run again from their start.
    pub fn release_idle(&self) {
        self.inner.pools.release_all();
        self.inner.checkpoints.release_all();
    }

    /// Bytes that are kept of events that wait: see [`RuntimeBuilder::max_checkpoint_bytes`].
    pub fn checkpoint_bytes(&self) -> u64 {
        self.inner.checkpoints.bytes()
    }

    pub(crate) fn reuses(&self) -> bool {
        self.inner.reuse
    }

    pub(crate) fn pools(&self) -> &Arc<Pools> {
        &self.inner.pools
    }

    pub(crate) fn checkpoints(&self) -> &Arc<Checkpoints> {
        &self.inner.checkpoints
    }

    pub(crate) fn making(&self) -> &Making {
        &self.inner.making
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.inner.watch
    }

    /// Whether guest code is stopped by signals.
    pub(crate) fn signals(&self) -> bool {
        self.inner.signals
    }

    #[cfg(feature = "singlepass")]
    pub(crate) fn background(&self) -> &Background {
        &self.inner.background
    }

    pub(crate) fn workers(&self) -> &Arc<Workers> {
        &self.inner.workers
    }
}

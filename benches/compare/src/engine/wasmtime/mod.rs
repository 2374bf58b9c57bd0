//! wasmtime at its best: what its guide to fast instantiation and the documentation of its pool advise, and the same
//! contract spoken by hand.
//!
//! - pooling allocator, memories and tables staying resident, `PAGEMAP_SCAN` where the kernel has it;
//! - memory from a copy-on-write image, `InstancePre`, exports found by index, typed functions;
//! - epochs for the deadline, with a thread that ticks; a `StoreLimits` for the memory cap;
//! - a build without the features that nobody here uses.
//!
//! Invariant: a precompiled module is only ever loaded from a file that this program wrote and nobody else can write to.

mod contract;
mod flight;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{
    Cache, Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Module, PoolingAllocationConfig, Store,
};

use self::contract::{Context, Exports, Guest};
use super::memory::Memory;
use super::{DEADLINE, Loaded, MEMORY_CAP, State};
use crate::Fallible;

pub(crate) use self::flight::InFlight;

/// How often the epoch advances: the deadline is held to this.
const TICK: Duration = Duration::from_millis(10);

/// Bytes of memory that a slot of the pool may keep resident: more than any workload writes.
const KEPT_RESIDENT: usize = 16 << 20;

/// What differs from one measurement to another.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The most instances at a time.
    pub(crate) instances: u32,
    /// The epoch deadline and its checks. Off only to measure what a guest costs by itself.
    pub(crate) deadline: Option<Duration>,
    /// Bytes of a fiber's stack, for events that wait.
    pub(crate) stack: Option<usize>,
    /// Where compiled modules are kept.
    pub(crate) cache: Option<std::path::PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options { instances: 128, deadline: Some(DEADLINE), stack: None, cache: None }
    }
}

/// Whether the kernel has what resets pages soonest.
pub(crate) fn pagemap_scan() -> bool {
    PoolingAllocationConfig::is_pagemap_scan_available()
}

/// An engine, and what makes its time pass.
pub(crate) struct Wasmtime {
    engine: Engine,
    ticks: Option<u64>,
    _ticker: Option<Ticker>,
}

impl Wasmtime {
    pub(crate) fn new(options: Options) -> Fallible<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(options.instances);
        pool.total_memories(options.instances);
        pool.total_tables(options.instances);
        pool.total_stacks(options.instances);
        pool.max_unused_warm_slots(options.instances);
        pool.max_memory_size(usize::try_from(MEMORY_CAP)?);
        pool.table_elements(10_000);
        pool.linear_memory_keep_resident(KEPT_RESIDENT);
        pool.table_keep_resident(1 << 20);
        pool.pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        config.memory_init_cow(true);
        config.concurrency_support(false);
        config.epoch_interruption(options.deadline.is_some());
        if let Some(stack) = options.stack {
            config.async_stack_size(stack);
            config.max_wasm_stack(stack / 2);
        }
        if let Some(folder) = options.cache {
            let mut settings = wasmtime::CacheConfig::new();
            settings.with_directory(folder);
            config.cache(Some(Cache::new(settings)?));
        }
        let engine = Engine::new(&config)?;
        let ticks = options.deadline.map(|deadline| (deadline.as_millis() / TICK.as_millis()) as u64);
        let ticker = ticks.is_some().then(|| Ticker::start(engine.clone()));
        Ok(Wasmtime { engine, ticks, _ticker: ticker })
    }

    pub(crate) fn load(self, wasm: &[u8], state: State) -> Fallible<Running> {
        let module = Module::new(&self.engine, wasm)?;
        Running::new(Arc::new(self), &module, state)
    }

    /// Loads one of many modules.
    pub(crate) fn load_shared(self: &Arc<Self>, wasm: &[u8], state: State) -> Fallible<Running> {
        Running::new(self.clone(), &Module::new(&self.engine, wasm)?, state)
    }

    /// Writes what the compiler made of a module to a file.
    pub(crate) fn precompile(&self, wasm: &[u8], to: &Path) -> Fallible<()> {
        Ok(std::fs::write(to, self.engine.precompile_module(wasm)?)?)
    }

    /// Loads what [`Wasmtime::precompile`] wrote.
    ///
    /// # Safety
    ///
    /// The file is one that [`Wasmtime::precompile`] wrote and nobody changed since.
    pub(crate) unsafe fn load_precompiled(self, file: &Path, state: State) -> Fallible<Running> {
        // SAFETY: as this function's own.
        let module = unsafe { Module::deserialize_file(&self.engine, file)? };
        Running::new(Arc::new(self), &module, state)
    }
}

/// A module that is ready for events.
pub(crate) struct Running {
    wasmtime: Arc<Wasmtime>,
    pre: InstancePre<Context>,
    exports: Exports,
    memory: Arc<Memory>,
    kept: Option<(Store<Context>, Guest)>,
}

impl Running {
    fn new(wasmtime: Arc<Wasmtime>, module: &Module, state: State) -> Fallible<Self> {
        let pre = contract::linker(&wasmtime.engine)?.instantiate_pre(module)?;
        let exports = Exports::of(module)?;
        let mut running = Running { wasmtime, pre, exports, memory: Arc::new(Memory::new()), kept: None };
        if state == State::Kept {
            running.kept = Some(running.instance(true)?);
        }
        Ok(running)
    }

    fn store(&self) -> Store<Context> {
        let mut store = Store::new(&self.wasmtime.engine, Context::new(self.memory.clone()));
        store.limiter(|context| &mut context.limits);
        self.wasmtime.start_clock(&mut store);
        store
    }

    /// A new instance, which has started up.
    fn instance(&self, reused: bool) -> Fallible<(Store<Context>, Guest)> {
        let mut store = self.store();
        let instance = self.pre.instantiate(&mut store)?;
        let guest = Guest::of(&instance, &mut store, &self.exports, reused)?;
        guest.init(&mut store)?;
        Ok((store, guest))
    }
}

impl Wasmtime {
    fn start_clock(&self, store: &mut Store<Context>) {
        if let Some(ticks) = self.ticks {
            store.set_epoch_deadline(ticks);
        }
    }
}

impl Loaded for Running {
    fn event(&mut self, kind: &str, data: &[u8], seen: &mut dyn FnMut(&[u8])) -> Fallible<()> {
        match &mut self.kept {
            Some((store, guest)) => {
                self.wasmtime.start_clock(store);
                seen(&guest.event(store, kind, data)?);
                // What an event logged goes with its answer.
                drop(std::mem::take(&mut store.data_mut().log));
            }
            None => {
                let (mut store, guest) = self.instance(false)?;
                seen(&guest.event(&mut store, kind, data)?);
            }
        }
        Ok(())
    }
}

/// The thread that makes an engine's time pass.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: Engine) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                engine.increment_epoch();
            }
        });
        Ticker { stop, thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does nothing that could fail.
            let _ = thread.join();
        }
    }
}

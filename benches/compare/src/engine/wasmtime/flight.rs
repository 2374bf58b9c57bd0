//! wasmtime's async host: events on fibers, many in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::{Caller, InstancePre, Linker, Module, Store};

use super::contract::{self, Context, Exports, Guest};
use super::{Options, Wasmtime};
use crate::Fallible;
use crate::engine::memory::Memory;

/// A module that events run on at the same time, each clean and on a fiber of its own.
pub(crate) struct InFlight {
    wasmtime: Wasmtime,
    pre: InstancePre<Context>,
    exports: Exports,
    memory: Arc<Memory>,
    /// How many events have asked the AI.
    asked: Arc<AtomicUsize>,
}

impl InFlight {
    /// Events that ask nobody who lets them wait. Without an asynchronous import, a host call is a plain call.
    pub(crate) fn load(wasm: &[u8], options: Options) -> Fallible<Self> {
        let wasmtime = Wasmtime::new(options)?;
        let linker = contract::linker(&wasmtime.engine)?;
        InFlight::linked(wasmtime, linker, wasm, Arc::default())
    }

    /// Events that ask an AI, which never answers.
    pub(crate) fn load_stalled(wasm: &[u8], options: Options) -> Fallible<Self> {
        let wasmtime = Wasmtime::new(options)?;
        let mut linker = contract::common(&wasmtime.engine)?;
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        linker.func_wrap_async("env", "host_ai_chat", move |_: Caller<'_, Context>, (_, _): (u32, u32)| {
            count.fetch_add(1, Ordering::Relaxed);
            Box::new(std::future::pending::<i64>())
        })?;
        InFlight::linked(wasmtime, linker, wasm, asked)
    }

    fn linked(wasmtime: Wasmtime, linker: Linker<Context>, wasm: &[u8], asked: Arc<AtomicUsize>) -> Fallible<Self> {
        let module = Module::new(&wasmtime.engine, wasm)?;
        let exports = Exports::of(&module)?;
        let pre = linker.instantiate_pre(&module)?;
        Ok(InFlight { wasmtime, pre, exports, memory: Arc::new(Memory::new()), asked })
    }

    /// One event, and its answer.
    pub(crate) async fn event(&self, kind: &str, data: &[u8]) -> Fallible<Vec<u8>> {
        let mut store = self.store();
        let instance = self.pre.instantiate(&mut store)?;
        let guest = Guest::of(&instance, &mut store, &self.exports, false)?;
        guest.init(&mut store)?;
        guest.event_on_fiber(&mut store, kind, data).await
    }

    /// The same on the calling thread's own stack.
    pub(crate) fn event_now(&self, kind: &str, data: &[u8]) -> Fallible<Vec<u8>> {
        let mut store = self.store();
        let instance = self.pre.instantiate(&mut store)?;
        let guest = Guest::of(&instance, &mut store, &self.exports, false)?;
        guest.init(&mut store)?;
        guest.event(&mut store, kind, data)
    }

    /// One event that asks the stalled AI.
    pub(crate) async fn wait(&self, kind: &str) -> Fallible<()> {
        let mut store = self.store();
        let instance = self.pre.instantiate_async(&mut store).await?;
        let guest = Guest::of(&instance, &mut store, &self.exports, false)?;
        guest.wait(&mut store, kind).await
    }

    fn store(&self) -> Store<Context> {
        let mut store = Store::new(&self.wasmtime.engine, Context::new(self.memory.clone()));
        store.limiter(|context| &mut context.limits);
        self.wasmtime.start_clock(&mut store);
        store
    }

    /// How many events have asked the AI.
    pub(crate) fn asked(&self) -> &AtomicUsize {
        &self.asked
    }
}

//! The contract of skills (`docs/abi.md`), spoken to wasmtime by hand: only what the workloads use of it.
//!
//! Invariant: [`Exports`] exists only of modules whose exports have the types of the contract, so that an instance's need
//! no second look.

use std::sync::Arc;

use wasmtime::{
    AsContextMut, Caller, Engine, ExternType, FuncType, Instance, Linker, Module, ModuleExport, Store, StoreLimits,
    StoreLimitsBuilder, TypedFunc, ValType, WasmParams, WasmResults,
};

use crate::Fallible;
use crate::engine::MEMORY_CAP;
use crate::engine::memory::Memory;

/// What belongs to one instance.
pub(super) struct Context {
    memory: Arc<Memory>,
    /// Level and text of each line.
    pub(super) log: Vec<(i32, String)>,
    pub(super) limits: StoreLimits,
    /// The guest's memory, and its allocator: for the host's own blocks, and for answers to host calls.
    guest: Option<(wasmtime::Memory, TypedFunc<u32, u32>)>,
}

impl Context {
    pub(super) fn new(memory: Arc<Memory>) -> Self {
        let limits = StoreLimitsBuilder::new().memory_size(MEMORY_CAP as usize).build();
        Context { memory, log: Vec::new(), limits, guest: None }
    }
}

/// Where a module's exports are, found once.
pub(super) struct Exports {
    memory: ModuleExport,
    alloc: ModuleExport,
    free: ModuleExport,
    init: ModuleExport,
    on_event: ModuleExport,
}

impl Exports {
    pub(super) fn of(module: &Module) -> Fallible<Self> {
        use wasmtime::ValType::{I32, I64};
        let export = |name: &str| module.get_export_index(name).ok_or_else(|| format!("the guest exports no {name}"));
        let function = |name: &str, params: &[ValType], results: &[ValType]| {
            let ty = FuncType::new(module.engine(), params.iter().cloned(), results.iter().cloned());
            match module.get_export(name) {
                Some(ExternType::Func(found)) if FuncType::eq(&found, &ty) => export(name),
                _ => Err(format!("the guest exports no {name} of the contract's type")),
            }
        };
        Ok(Exports {
            memory: export("memory")?,
            alloc: function("cis_alloc", &[I32], &[I32])?,
            free: function("cis_free", &[I32, I32], &[])?,
            init: function("skill_init", &[], &[I32])?,
            on_event: function("skill_on_event", &[I32, I32, I32, I32], &[I64])?,
        })
    }
}

/// An instance's exports.
pub(super) struct Guest {
    memory: wasmtime::Memory,
    init: TypedFunc<(), i32>,
    on_event: TypedFunc<(u32, u32, u32, u32), i64>,
    /// Only of an instance that sees more than one event.
    free: Option<TypedFunc<(u32, u32), ()>>,
}

impl Guest {
    pub(super) fn of(
        instance: &Instance,
        store: &mut Store<Context>,
        exports: &Exports,
        reused: bool,
    ) -> Fallible<Self> {
        let memory = instance.get_module_export(&mut *store, &exports.memory).and_then(|export| export.into_memory());
        let memory = memory.ok_or("`memory` is not a memory")?;
        // SAFETY: each is of the type that stands beside it in `Exports::of`, here and below.
        let alloc = unsafe { function(instance, store, &exports.alloc)? };
        store.data_mut().guest = Some((memory, alloc));
        // SAFETY: as above.
        unsafe {
            Ok(Guest {
                memory,
                init: function(instance, store, &exports.init)?,
                on_event: function(instance, store, &exports.on_event)?,
                free: if reused { Some(function(instance, store, &exports.free)?) } else { None },
            })
        }
    }

    pub(super) fn init(&self, store: &mut Store<Context>) -> Fallible<()> {
        match self.init.call(store, ())? {
            0 => Ok(()),
            status => Err(format!("skill_init answered {status}").into()),
        }
    }

    /// One event, and its answer. An instance that will see another gets its blocks back.
    pub(super) fn event(&self, store: &mut Store<Context>, kind: &str, data: &[u8]) -> Fallible<Vec<u8>> {
        let kind = (block(&mut *store, kind.as_bytes())?, kind.len() as u32);
        let data = (block(&mut *store, data)?, data.len() as u32);
        let packed = self.on_event.call(&mut *store, (kind.0, kind.1, data.0, data.1))?;
        let (answer, block) = self.answer(store, packed)?;
        if let Some(free) = &self.free {
            free.call(&mut *store, kind)?;
            free.call(&mut *store, data)?;
            free.call(&mut *store, block)?;
        }
        Ok(answer)
    }

    /// The same on a fiber, for a guest all of whose host calls are answered at once: what comes before the event needs
    /// no fiber.
    pub(super) async fn event_on_fiber(
        &self,
        store: &mut Store<Context>,
        kind: &str,
        data: &[u8],
    ) -> Fallible<Vec<u8>> {
        let kind = (block(&mut *store, kind.as_bytes())?, kind.len() as u32);
        let data = (block(&mut *store, data)?, data.len() as u32);
        let packed = self.on_event.call_async(&mut *store, (kind.0, kind.1, data.0, data.1)).await?;
        Ok(self.answer(&*store, packed)?.0)
    }

    /// The start-up and an event of a guest with host calls that may wait. Its answer is left out: it never comes.
    pub(super) async fn wait(&self, store: &mut Store<Context>, kind: &str) -> Fallible<()> {
        self.init.call_async(&mut *store, ()).await?;
        let (memory, alloc) = store.data_mut().guest.take().ok_or_else(not_there)?;
        let at = alloc.call_async(&mut *store, kind.len() as u32).await?;
        store.data_mut().guest = Some((memory, alloc));
        memory.write(&mut *store, at as usize, kind.as_bytes())?;
        self.on_event.call_async(&mut *store, (at, kind.len() as u32, 16, 0)).await?;
        Ok(())
    }

    /// The bytes that a packed result names, and where they lie.
    fn answer(&self, store: &Store<Context>, packed: i64) -> Fallible<(Vec<u8>, (u32, u32))> {
        let (at, len) = ((packed >> 32) as u32, packed as u32);
        if at == 0 {
            return Err(format!("the guest answered {}", len as i32).into());
        }
        Ok((slice(self.memory.data(store), at, len)?.to_vec(), (at, len)))
    }
}

/// A block of the guest's with these bytes. The allocator is out of its place while it runs: taking it is cheaper than
/// a copy of it, and it calls nobody.
fn block(mut store: impl AsContextMut<Data = Context>, bytes: &[u8]) -> Called<u32> {
    let (memory, alloc) = store.as_context_mut().data_mut().guest.take().ok_or_else(not_there)?;
    let at = alloc.call(&mut store, bytes.len() as u32);
    store.as_context_mut().data_mut().guest = Some((memory, alloc));
    let at = at?;
    memory.write(&mut store, at as usize, bytes)?;
    Ok(at)
}

fn not_there() -> wasmtime::Error {
    wasmtime::Error::msg("the guest called before it was there")
}

/// A function of the contract.
///
/// # Safety
///
/// The types are those that [`Exports::of`] found this export to have.
unsafe fn function<P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut Store<Context>,
    export: &ModuleExport,
) -> Fallible<TypedFunc<P, R>> {
    let export = instance.get_module_export(&mut *store, export).and_then(|export| export.into_func());
    let function = export.ok_or("an export is not a function")?;
    // SAFETY: as this function's own.
    Ok(unsafe { TypedFunc::new_unchecked(store, function) })
}

/// The imports, all answered at once.
pub(super) fn linker(engine: &Engine) -> Fallible<Linker<Context>> {
    let mut linker = common(engine)?;
    // Nothing there: no workload that is timed asks it.
    linker.func_wrap("env", "host_ai_chat", |_: Caller<'_, Context>, _: u32, _: u32| 0_i64)?;
    Ok(linker)
}

/// The imports but for the AI's.
pub(super) fn common(engine: &Engine) -> Fallible<Linker<Context>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("env", "host_memory_get", memory_get)?;
    linker.func_wrap("env", "host_memory_set", memory_set)?;
    linker.func_wrap("env", "host_log", log)?;
    linker.func_wrap("env", "host_set_error", |_: Caller<'_, Context>, _: u32, _: u32| {})?;
    Ok(linker)
}

type Called<T> = wasmtime::Result<T>;

fn memory_get(mut caller: Caller<'_, Context>, key: u32, key_len: u32) -> Called<i64> {
    let (bytes, context) = parts(&mut caller)?;
    let Some(value) = context.memory.get(text(slice(bytes, key, key_len)?)?) else { return Ok(0) };
    let at = block(&mut caller, &value)?;
    Ok(i64::from(at) << 32 | value.len() as i64)
}

fn memory_set(mut caller: Caller<'_, Context>, key: u32, key_len: u32, value: u32, value_len: u32) -> Called<i32> {
    let (bytes, context) = parts(&mut caller)?;
    context.memory.set(text(slice(bytes, key, key_len)?)?, slice(bytes, value, value_len)?);
    Ok(0)
}

fn log(mut caller: Caller<'_, Context>, level: i32, line: u32, line_len: u32) -> Called<()> {
    let (bytes, context) = parts(&mut caller)?;
    context.log.push((level, String::from_utf8_lossy(slice(bytes, line, line_len)?).into_owned()));
    Ok(())
}

fn parts<'a>(caller: &'a mut Caller<'_, Context>) -> Called<(&'a [u8], &'a mut Context)> {
    let memory = caller.data().guest.as_ref().map(|(memory, _)| *memory).ok_or_else(not_there)?;
    let (bytes, context) = memory.data_and_store_mut(caller);
    Ok((bytes, context))
}

/// Bytes of the guest's, checked to be its own.
fn slice(bytes: &[u8], at: u32, len: u32) -> Called<&[u8]> {
    let end = (at as usize).checked_add(len as usize);
    end.and_then(|end| bytes.get(at as usize..end)).ok_or_else(|| wasmtime::Error::msg("a bad pointer"))
}

fn text(bytes: &[u8]) -> Called<&str> {
    std::str::from_utf8(bytes).map_err(|_| wasmtime::Error::msg("a key is not UTF-8"))
}

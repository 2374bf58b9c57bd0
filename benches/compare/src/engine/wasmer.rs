//! Plain wasmer, by hand: a new store and instance for every event that has to start clean, one that is kept where it
//! need not.
//!
//! Invariant: what the engine promises about a memory's or table's place is passed on as it is.

use std::ptr::NonNull;
use std::sync::Arc;

use wasmer::sys::vm::{VMMemory, VMMemoryDefinition, VMTable, VMTableDefinition};
use wasmer::sys::{BaseTunables, CompilerConfig, Cranelift, EngineBuilder, NativeEngineExt, Tunables};
use wasmer::{
    Engine, Function, FunctionEnv, FunctionEnvMut, Instance, MemoryError, MemoryStyle, MemoryType, Module, Pages,
    RuntimeError, Store, TableStyle, TableType, TypedFunction, imports,
};
use wasmer_middlewares::Metering;
use wasmer_middlewares::metering::set_remaining_points;

use super::memory::Memory;
use super::{Loaded, MEMORY_CAP, State};
use crate::Fallible;

/// What an event may execute. The engine has no clock: its metering is what ends a loop.
const POINTS: u64 = 10_000_000_000;

/// A compiled module.
pub(crate) struct Wasmer {
    module: Module,
    engine: Engine,
    memory: Arc<Memory>,
}

impl Wasmer {
    pub(crate) fn compile(wasm: &[u8]) -> Fallible<Self> {
        let mut compiler = Cranelift::default();
        compiler.push_middleware(Arc::new(Metering::new(POINTS, |_| 1)));
        let mut engine = Engine::from(EngineBuilder::new(compiler).engine());
        engine.set_tunables(Capped(BaseTunables::new()));
        let module = Module::new(&engine, wasm)?;
        Ok(Wasmer { module, engine, memory: Arc::new(Memory::new()) })
    }

    pub(crate) fn load(wasm: &[u8], state: State) -> Fallible<Running> {
        Wasmer::compile(wasm)?.ready(state)
    }

    /// Takes the module from what [`Wasmer::serialize`] wrote.
    ///
    /// # Safety
    ///
    /// The bytes are those that [`Wasmer::serialize`] gave.
    pub(crate) unsafe fn deserialize(artifact: &std::path::Path) -> Fallible<Self> {
        let mut engine = Engine::from(EngineBuilder::headless().engine());
        engine.set_tunables(Capped(BaseTunables::new()));
        // SAFETY: as this function's own.
        let module = unsafe { Module::deserialize_from_file(&engine, artifact)? };
        Ok(Wasmer { module, engine, memory: Arc::new(Memory::new()) })
    }

    /// Writes what the compiler made of the module to a file.
    pub(crate) fn serialize(&self, to: &std::path::Path) -> Fallible<()> {
        Ok(self.module.serialize_to_file(to)?)
    }

    pub(crate) fn ready(self, state: State) -> Fallible<Running> {
        let kept = if state == State::Kept { Some(self.instance()?) } else { None };
        Ok(Running { wasmer: self, kept })
    }

    fn instance(&self) -> Fallible<Live> {
        let mut store = Store::new(self.engine.clone());
        let env = Env { memory: self.memory.clone(), log: Vec::new(), guest: None };
        let env = FunctionEnv::new(&mut store, env);
        let imports = imports! {
            "env" => {
                "host_memory_get" => Function::new_typed_with_env(&mut store, &env, memory_get),
                "host_memory_set" => Function::new_typed_with_env(&mut store, &env, memory_set),
                "host_log" => Function::new_typed_with_env(&mut store, &env, log),
                "host_set_error" => Function::new_typed(&mut store, |_: u32, _: u32| {}),
                "host_ai_chat" => Function::new_typed(&mut store, |_: u32, _: u32| 0_i64),
            }
        };
        let instance = Instance::new(&mut store, &self.module, &imports)?;
        let memory = instance.exports.get_memory("memory")?.clone();
        let alloc: TypedFunction<u32, u32> = instance.exports.get_typed_function(&store, "cis_alloc")?;
        env.as_mut(&mut store).guest = Some((memory.clone(), alloc.clone()));
        let free = instance.exports.get_typed_function(&store, "cis_free")?;
        let on_event = instance.exports.get_typed_function(&store, "skill_on_event")?;
        let init: TypedFunction<(), i32> = instance.exports.get_typed_function(&store, "skill_init")?;
        match init.call(&mut store)? {
            0 => Ok(Live { store, instance, env, memory, alloc, free, on_event }),
            status => Err(format!("skill_init answered {status}").into()),
        }
    }
}

/// A module that is ready for events.
pub(crate) struct Running {
    wasmer: Wasmer,
    kept: Option<Live>,
}

impl Loaded for Running {
    fn event(&mut self, kind: &str, data: &[u8], seen: &mut dyn FnMut(&[u8])) -> Fallible<()> {
        match &mut self.kept {
            Some(live) => {
                set_remaining_points(&mut live.store, &live.instance, POINTS);
                seen(&live.event(kind, data, true)?);
                // What an event logged goes with its answer.
                drop(std::mem::take(&mut live.env.as_mut(&mut live.store).log));
            }
            None => seen(&self.wasmer.instance()?.event(kind, data, false)?),
        }
        Ok(())
    }
}

/// An instance, and the store it lives in.
struct Live {
    store: Store,
    instance: Instance,
    env: FunctionEnv<Env>,
    memory: wasmer::Memory,
    alloc: TypedFunction<u32, u32>,
    free: TypedFunction<(u32, u32), ()>,
    on_event: TypedFunction<(u32, u32, u32, u32), i64>,
}

impl Live {
    /// One event, and its answer. An instance that will see another gets its blocks back.
    fn event(&mut self, kind: &str, data: &[u8], reused: bool) -> Fallible<Vec<u8>> {
        let kind = self.block(kind.as_bytes())?;
        let data = self.block(data)?;
        let packed = self.on_event.call(&mut self.store, kind.0, kind.1, data.0, data.1)?;
        let (at, len) = ((packed >> 32) as u32, packed as u32);
        if at == 0 {
            return Err(format!("the guest answered {}", len as i32).into());
        }
        let answer = bytes(&self.memory.view(&self.store), at, len)?;
        if reused {
            for (at, len) in [kind, data, (at, len)] {
                self.free.call(&mut self.store, at, len)?;
            }
        }
        Ok(answer)
    }

    fn block(&mut self, bytes: &[u8]) -> Fallible<(u32, u32)> {
        let at = self.alloc.call(&mut self.store, bytes.len() as u32)?;
        self.memory.view(&self.store).write(at.into(), bytes)?;
        Ok((at, bytes.len() as u32))
    }
}

/// What a guest reaches.
struct Env {
    memory: Arc<Memory>,
    /// Level and text of each line.
    log: Vec<(i32, String)>,
    /// Where answers to host calls go.
    guest: Option<(wasmer::Memory, TypedFunction<u32, u32>)>,
}

type Called<T> = Result<T, RuntimeError>;

fn memory_get(mut env: FunctionEnvMut<'_, Env>, key: u32, key_len: u32) -> Called<i64> {
    let (env, mut store) = env.data_and_store_mut();
    let Some((memory, alloc)) = &env.guest else { return Ok(0) };
    let key = text(bytes(&memory.view(&store), key, key_len)?)?;
    let Some(value) = env.memory.get(&key) else { return Ok(0) };
    let at = alloc.call(&mut store, value.len() as u32)?;
    memory.view(&store).write(at.into(), &value).map_err(bad_pointer)?;
    Ok(i64::from(at) << 32 | value.len() as i64)
}

fn memory_set(mut env: FunctionEnvMut<'_, Env>, key: u32, key_len: u32, value: u32, value_len: u32) -> Called<i32> {
    let (env, store) = env.data_and_store_mut();
    let Some((memory, _)) = &env.guest else { return Ok(-8) };
    let view = memory.view(&store);
    env.memory.set(&text(bytes(&view, key, key_len)?)?, &bytes(&view, value, value_len)?);
    Ok(0)
}

fn log(mut env: FunctionEnvMut<'_, Env>, level: i32, line: u32, line_len: u32) -> Called<()> {
    let (env, store) = env.data_and_store_mut();
    let Some((memory, _)) = &env.guest else { return Ok(()) };
    let line = bytes(&memory.view(&store), line, line_len)?;
    env.log.push((level, String::from_utf8_lossy(&line).into_owned()));
    Ok(())
}

fn bytes(view: &wasmer::MemoryView<'_>, at: u32, len: u32) -> Called<Vec<u8>> {
    if u64::from(at) + u64::from(len) > view.data_size() {
        return Err(RuntimeError::new("a bad pointer"));
    }
    let mut bytes = vec![0; len as usize];
    view.read(at.into(), &mut bytes).map_err(bad_pointer)?;
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> Called<String> {
    String::from_utf8(bytes).map_err(|_| RuntimeError::new("a key is not UTF-8"))
}

fn bad_pointer(error: wasmer::MemoryAccessError) -> RuntimeError {
    RuntimeError::new(error.to_string())
}

/// The engine's own tunables with a cap on memories.
struct Capped(BaseTunables);

impl Capped {
    fn capped(ty: &MemoryType) -> MemoryType {
        let pages = Pages((MEMORY_CAP / 65_536) as u32);
        let mut capped = *ty;
        capped.maximum = Some(ty.maximum.map_or(pages, |maximum| maximum.min(pages)));
        capped
    }
}

impl Tunables for Capped {
    fn memory_style(&self, memory: &MemoryType) -> MemoryStyle {
        self.0.memory_style(memory)
    }

    fn table_style(&self, table: &TableType) -> TableStyle {
        self.0.table_style(table)
    }

    fn create_host_memory(&self, ty: &MemoryType, style: &MemoryStyle) -> Result<VMMemory, MemoryError> {
        self.0.create_host_memory(&Capped::capped(ty), style)
    }

    unsafe fn create_vm_memory(
        &self,
        ty: &MemoryType,
        style: &MemoryStyle,
        place: NonNull<VMMemoryDefinition>,
    ) -> Result<VMMemory, MemoryError> {
        // SAFETY: the caller's promise about the place is passed on as it is.
        unsafe { self.0.create_vm_memory(&Capped::capped(ty), style, place) }
    }

    fn create_host_table(&self, ty: &TableType, style: &TableStyle) -> Result<VMTable, String> {
        self.0.create_host_table(ty, style)
    }

    unsafe fn create_vm_table(
        &self,
        ty: &TableType,
        style: &TableStyle,
        place: NonNull<VMTableDefinition>,
    ) -> Result<VMTable, String> {
        // SAFETY: the caller's promise about the place is passed on as it is.
        unsafe { self.0.create_vm_table(ty, style, place) }
    }
}

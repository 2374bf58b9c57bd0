//! One instance of a skill: a store, and the exports the host calls.
//!
//! Invariants:
//! - Guest code runs only inside [`Live::run`], so there is always an event to charge, and a clock that stops it.
//! - After a run that ended in an error other than the skill's own answer, the instance's state is unknown: its owner
//!   drops it. See [`is_known`].
//! - The definitions of an instance's globals lie in the instance's own block of memory, which lives as long as the store
//!   and does not move. They are read and written only while no call is in progress.
//! - A `Live` is one closed world: whatever its store points to is owned by that store, or is immutable code that the
//!   module's engine shares between threads. Nothing of it is tied to a thread except while a call is in progress, and
//!   then `&mut self` keeps it where it is. So it may move from one thread to another between calls.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use bytes::Bytes;
use cis_wasm_abi::{
    EXPORT_ABI_VERSION, EXPORT_ALLOC, EXPORT_FREE, EXPORT_INIT, EXPORT_MALLOC, EXPORT_MEMORY, EXPORT_ON_EVENT,
    EXPORT_SHUTDOWN, Packed, Region, Status, Unpacked, ValType, ceilings,
};
use cis_wasm_host::unwired::{Limit, unwired};
use cis_wasm_host::{CallContext, CallFailure, Journal, Ledger, LogLine};
use wasmer::sys::NativeEngineExt;
use wasmer::sys::vm::{
    LinearMemory, StoreObject, VMCallerCheckedAnyfunc, VMGlobalDefinition, VMMemory, VMMemoryDefinition,
};
use wasmer::{
    AsStoreMut, FunctionEnv, FunctionEnvMut, Instance, InstantiationError, LinkError, MemoryStyle, Mutability,
    RuntimeError, Store, TypedFunction, Value, WasmTypeList,
};

use crate::counter::Counter;
use crate::error::{Error, ErrorKind};
use crate::faults;
use crate::guest::{Allocator, Arena, Guest, Kit, Parts, PutDown, Running, give, internal};
use crate::imports::imports;
use crate::interrupt::{self, Entry};
use crate::memory::{GuestMemory, bad_pointer};
use crate::meter::{CODE_BEGIN, CODE_END, START};
use crate::program::{Code, Program};
use crate::reset::{Image, Space};
use crate::trap::{self, TrapKind};
use crate::tunables::{CappedTunables, Spaces};

/// An instance.
pub(crate) struct Live {
    store: Store,
    env: FunctionEnv<Guest>,
    exports: Exports,
    /// For its next run. None while one has it.
    kit: Option<Kit>,
    /// Which version of its skill's code it runs.
    pub(crate) version: u32,
    counter: Counter,
    /// Where the guest's code lies in memory. The store keeps the module, and with it the code.
    code: Range<usize>,
    /// Its memory, when that can be set back.
    space: Option<Arc<Space>>,
    /// Its globals that can change, our own among them, when it can be set back.
    globals: Box<[NonNull<VMGlobalDefinition>]>,
}

/// Where an instance starts from.
pub(crate) enum Origin<'s> {
    /// Its module. It is never set back.
    Module,
    /// Its module, so that a [`Snapshot`] can be taken of it.
    Template,
    /// A template that has started up.
    Snapshot(&'s Snapshot),
}

/// The state of an instance after it started up: all of it, see [`crate::reset`].
pub(crate) struct Snapshot {
    image: Arc<Image>,
    globals: Box<[VMGlobalDefinition]>,
    arena: Option<Arena>,
}

// SAFETY: see the last invariant above. wasmer 7.4.2 does not say `Send` of its store because of raw pointers into its
// own heap blocks (instances, tables, globals), of `dyn Any` environments, of which the only one here is a `Guest`
// (checked below), and of a hook (`on_called`) that nobody here sets. Its only thread-local state is a stack of stores
// with calls in progress, and the trap handler of the call in progress. `globals` points into the store's instance.
unsafe impl Send for Live {}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Guest>();
};

/// What the host calls. Looked up once.
#[derive(Clone)]
struct Exports {
    start: Option<TypedFunction<(), ()>>,
    abi_version: Option<TypedFunction<(), i32>>,
    init: Option<TypedFunction<(), i32>>,
    on_event: OnEvent,
    free: Option<TypedFunction<(i32, i32), ()>>,
    shutdown: Option<TypedFunction<(), ()>>,
}

/// `skill_on_event` in either of its forms.
#[derive(Clone)]
enum OnEvent {
    Packed(TypedFunction<(i32, i32, i32, i32), i64>),
    Status(TypedFunction<(i32, i32, i32, i32), i32>),
}

/// What is left of a run beside its result.
pub(crate) struct Ran {
    pub ledger: Ledger,
    pub journal: Journal,
    pub log: Vec<LogLine>,
    /// Units of fuel used.
    pub fuel: u64,
    /// Bytes of linear memory at its end.
    pub memory_bytes: u64,
    /// Why the run was put down, if it was. There is no result then.
    pub put_down: Option<PutDown>,
}

impl Live {
    /// Makes an instance. None of the guest's code runs here: its start function waits for [`Live::start_up`]. One that
    /// starts from a snapshot has started up.
    pub(crate) fn new(program: &Program, origin: &Origin<'_>) -> Result<Self, Error> {
        // First, so that code which is replaced meanwhile is an old version's.
        let version = program.current.version();
        let Code { module, engine } = &*program.code();
        let mut engine = engine.clone();
        let spaces = match origin {
            Origin::Module => None,
            Origin::Template => Some(Spaces::default()),
            Origin::Snapshot(snapshot) => Some(Spaces { image: Some(snapshot.image.clone()), ..Spaces::default() }),
        };
        if let Some(spaces) = &spaces {
            let caps = CappedTunables::new(&program.limits, program.shape.tables, program.shape.table_elements);
            engine.set_tunables(caps.with_spaces(spaces.clone()));
        }
        let mut store = Store::new(engine);
        let guest = Guest {
            imports: program.shape.imports.len() as u32,
            memory_cap: program.limits.memory_bytes,
            parts: None,
            running: None,
        };
        let env = FunctionEnv::new(&mut store, guest);
        let imports = imports(&mut store, &env, &program.shape.imports);
        let instance = Instance::new(&mut store, module, &imports).map_err(|error| not_instantiated(error, program))?;
        let space = spaces.and_then(|spaces| spaces.made.get().cloned());
        let globals = match &space {
            Some(space) => {
                space.watch(&mut store);
                globals(&mut store)
            }
            None => Box::default(),
        };
        let memory = instance.exports.get_memory(EXPORT_MEMORY).map_err(missing)?.clone();
        // SAFETY: it stays with this store, here and in the environment.
        let counter = unsafe { Counter::of_last_instance() }.ok_or_else(|| internal("no counter was made"))?;
        let code = address(&instance, &store, CODE_BEGIN)?..address(&instance, &store, CODE_END)?;
        let exports = Exports {
            start: optional(&instance, &store, START)?,
            abi_version: optional(&instance, &store, EXPORT_ABI_VERSION)?,
            init: optional(&instance, &store, EXPORT_INIT)?,
            on_event: match program.shape.on_event_result() {
                Some(ValType::I64) => OnEvent::Packed(required(&instance, &store, EXPORT_ON_EVENT)?),
                _ => OnEvent::Status(required(&instance, &store, EXPORT_ON_EVENT)?),
            },
            free: optional(&instance, &store, EXPORT_FREE)?,
            shutdown: optional(&instance, &store, EXPORT_SHUTDOWN)?,
        };
        let alloc = match optional(&instance, &store, EXPORT_ALLOC)? {
            Some(alloc) => Some(alloc),
            None => optional(&instance, &store, EXPORT_MALLOC)?,
        };
        let allocator = alloc.map_or(Allocator::Arena(Arena::default()), Allocator::Guest);
        let definition = memory_definition(&mut store).ok_or_else(|| internal("an instance without a memory"))?;
        // SAFETY: an instance has one memory, its own; the engine makes them static; and this goes into its environment.
        let memory = unsafe { GuestMemory::new(memory, definition, space.clone()) };
        env.as_mut(&mut store).parts = Some(Parts { memory, fuel: counter, allocator });
        let kit = Some(program.kit());
        let mut live = Live { store, env, exports, kit, version, counter, code, space, globals };
        if let Origin::Snapshot(snapshot) = origin {
            live.set_back_host_side(snapshot)?;
        }
        Ok(live)
    }

    /// The state of a template that has started up, for instances like it. The template is one of them from now on.
    pub(crate) fn snapshot(&mut self) -> Result<Snapshot, Error> {
        let space = self.space.as_ref().ok_or_else(|| internal("a snapshot of an instance that is no template"))?;
        let image = space.take_image().map_err(|error| internal(&format!("taking a snapshot: {error}")))?;
        // SAFETY: see the invariants on globals.
        let globals = self.globals.iter().map(|global| unsafe { global.as_ref().clone() }).collect();
        let arena = self.arena().cloned();
        Ok(Snapshot { image, globals, arena })
    }

    /// Sets everything that an event can have changed back to where the snapshot was taken. After an error, the instance
    /// is not to be used again.
    pub(crate) fn reset(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        if unwired(Limit::Reset) {
            return Ok(());
        }
        let space = self.space.as_ref().ok_or_else(|| internal("an instance that cannot be set back was to be"))?;
        space.reset().map_err(|error| internal(&format!("setting an instance back: {error}")))?;
        self.set_back_host_side(snapshot)
    }

    /// What a run on it begins with.
    pub(crate) fn kit(&mut self, program: &Program) -> Kit {
        self.kit.take().unwrap_or_else(|| program.kit())
    }

    /// Bytes of memory that are this instance's alone, about.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.space.as_ref().map_or(0, |space| space.resident_bytes())
    }

    /// Sets back what is not in linear memory.
    fn set_back_host_side(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        if self.globals.len() != snapshot.globals.len() {
            return Err(internal("an instance has other globals than its template"));
        }
        for (global, value) in self.globals.iter().zip(&snapshot.globals) {
            // SAFETY: see the invariants on globals.
            unsafe { global.write(value.clone()) };
        }
        match (self.arena(), &snapshot.arena) {
            (Some(arena), Some(to)) => arena.set_back(to),
            (None, None) => {}
            _ => return Err(internal("an instance has another allocator than its template")),
        }
        Ok(())
    }

    fn arena(&mut self) -> Option<&mut Arena> {
        match &mut self.env.as_mut(&mut self.store).parts {
            Some(Parts { allocator: Allocator::Arena(arena), .. }) => Some(arena),
            _ => None,
        }
    }

    /// Runs what comes before the first event: the start function, then `skill_init`.
    pub(crate) fn start_up(&mut self, running: Running) -> (Result<(), Error>, Ran) {
        self.run(running, |exports, env| {
            if let Some(start) = &exports.start {
                called(start.call(env), env)?;
            }
            if let Some(abi_version) = &exports.abi_version {
                let guest = called(abi_version.call(env), env)?;
                if !(1..=cis_wasm_abi::ABI_VERSION).contains(&guest) {
                    return Err(ErrorKind::UnsupportedAbi { guest, host: cis_wasm_abi::ABI_VERSION }.into());
                }
            }
            let Some(init) = &exports.init else { return Ok(()) };
            match called(init.call(env), env)? {
                0 => Ok(()),
                status => {
                    let (text, cause) = told(env, status)?;
                    Err(ErrorKind::InitFailed { status, text, cause }.into())
                }
            }
        })
    }

    /// Handles one event. `reused` says whether the instance will see another: then what the event took is given back.
    pub(crate) fn event(
        &mut self,
        event_type: &str,
        data: &[u8],
        running: Running,
        reused: bool,
    ) -> (Result<Bytes, Error>, Ran) {
        self.run(running, |exports, env| {
            let blocks = [block(env, event_type.as_bytes())?, block(env, data)?];
            let [ty, data] = blocks;
            if overlap(ty, data) && !unwired(Limit::Allocator) {
                let what = "gave out memory that it had given out before".into();
                return Err(ErrorKind::BadAllocation { what }.into());
            }
            let args = (ty.ptr as i32, ty.len as i32, data.ptr as i32, data.len as i32);
            let returned = match &exports.on_event {
                OnEvent::Packed(function) => {
                    let result = function.call(env, args.0, args.1, args.2, args.3);
                    Packed::from_i64(called(result, env)?)
                }
                OnEvent::Status(function) => {
                    let result = function.call(env, args.0, args.1, args.2, args.3);
                    Packed::code(called(result, env)?)
                }
            };
            let answer = match returned.unpack() {
                Unpacked::Status(status) if status == Status::Ok.code() => Ok((Bytes::new(), None)),
                Unpacked::Status(status) => {
                    let (text, cause) = told(env, status)?;
                    Err(ErrorKind::SkillFailed { status, text, cause }.into())
                }
                Unpacked::Bytes { ptr, len } => {
                    let region = Region { ptr, len };
                    Ok((response(env, region)?, Some(region)))
                }
            };
            if reused {
                let response = answer.as_ref().ok().and_then(|(_, region)| *region);
                give_back(exports, env, blocks, response)?;
            }
            answer.map(|(bytes, _)| bytes)
        })
    }

    /// Runs `skill_shutdown`, when there is one.
    pub(crate) fn shut_down(&mut self, running: Running) -> (Result<(), Error>, Ran) {
        self.run(running, |exports, env| match &exports.shutdown {
            Some(shutdown) => called(shutdown.call(env), env),
            None => Ok(()),
        })
    }

    fn run<T>(
        &mut self,
        mut running: Running,
        body: impl FnOnce(&Exports, &mut FunctionEnvMut<'_, Guest>) -> Result<T, Error>,
    ) -> (Result<T, Error>, Ran) {
        faults::let_through();
        // The counter starts where the run's fuel does.
        let slice = running.fuel.next_slice(0);
        let (clock, watched) = (running.clock.clone(), running.watched);
        let turn = running.worker.as_ref().filter(|_| watched).map(|worker| (worker.workers.clone(), worker.skill));
        let mut env = self.env.clone().into_mut(&mut self.store);
        env.data_mut().running = Some(running);
        // SAFETY: the counter is there as long as the store, whose exclusive borrow is held until the entry is gone.
        let entry = unsafe { Entry::new(&clock, watched, self.code.clone(), self.counter.at()) };
        let counter = self.counter;
        let result = slice.and_then(|slice| {
            counter.set(slice);
            interrupt::during(&entry, turn, || body(&self.exports, &mut env))
        });
        let left = entry.fuel_left(counter.get());
        let memory_bytes = env.data().parts().map_or(0, |parts| parts.memory.len());
        let Some(mut running) = env.data_mut().running.take() else {
            unreachable!("`running` was set above, and nothing else takes it")
        };
        let fuel = running.fuel.used(left);
        let result = result.map_err(|error| {
            let stopped = is_limit(&error).then(|| match entry.stopped() {
                true => clock.check().err(),
                false => running.out_of_fuel(left),
            });
            stopped.flatten().unwrap_or_else(|| with_text(error, &mut running.context))
        });
        let Running { host, mut context, put_down, .. } = running;
        let ran = Ran {
            ledger: context.ledger,
            journal: std::mem::take(&mut context.journal),
            log: std::mem::take(&mut context.log),
            fuel,
            memory_bytes,
            put_down,
        };
        context.renew();
        self.kit = Some(Kit { host, context });
        (result, ran)
    }
}

/// Whether an error may come of a limit on guest code. The guest's own traps may look the same: then its counter is not below
/// zero, and nobody stopped it. And an empty counter looks like all fuel used where nobody knows that it was emptied.
fn is_limit(error: &Error) -> bool {
    let trap = matches!(error.kind(), ErrorKind::Trapped { trap: TrapKind::Unreachable | TrapKind::StackOverflow, .. });
    trap || matches!(error.kind(), ErrorKind::OutOfFuel { .. })
}

/// Where a function's code begins.
fn address(instance: &Instance, store: &Store, name: &str) -> Result<usize, Error> {
    let function = instance.exports.get_function(name).map_err(missing)?.clone();
    let raw = Value::FuncRef(Some(function)).as_raw(store);
    // SAFETY: the raw form of a reference to a function of this store's is a pointer to what the engine calls it by, which
    // the store keeps.
    let anyfunc = unsafe { (raw.funcref as *const VMCallerCheckedAnyfunc).as_ref() };
    anyfunc.map(|anyfunc| anyfunc.func_ptr as usize).ok_or_else(|| internal("a function has no address"))
}

/// Whether an instance's state is known after a run with this result, so that it may see another.
pub(crate) fn is_known<T>(result: &Result<T, Error>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => matches!(error.kind(), ErrorKind::SkillFailed { .. }),
    }
}

/// Where the one memory of a store's one instance is defined.
fn memory_definition(store: &mut Store) -> Option<NonNull<VMMemoryDefinition>> {
    let [memory] = &VMMemory::list(store.objects_mut().as_sys())[..] else { return None };
    (memory.style() == MemoryStyle::Static).then(|| memory.vmmemory())
}

/// The definitions of all globals of a store that can change. The one instance of the store defined them all.
fn globals(store: &mut Store) -> Box<[NonNull<VMGlobalDefinition>]> {
    let all = store.objects_mut().as_sys().iter_globals();
    all.filter(|global| global.ty().mutability == Mutability::Var).map(|global| global.vmglobal()).collect()
}

/// An export of the contract. The check saw its type, so another one is our bug.
fn required<Args: WasmTypeList, Rets: WasmTypeList>(
    instance: &Instance,
    store: &Store,
    name: &str,
) -> Result<TypedFunction<Args, Rets>, Error> {
    instance.exports.get_typed_function(store, name).map_err(missing)
}

fn optional<Args: WasmTypeList, Rets: WasmTypeList>(
    instance: &Instance,
    store: &Store,
    name: &str,
) -> Result<Option<TypedFunction<Args, Rets>>, Error> {
    match instance.exports.contains(name) {
        true => required(instance, store, name).map(Some),
        false => Ok(None),
    }
}

fn missing(error: impl std::fmt::Display) -> Error {
    internal(&format!("an export that was checked: {error}"))
}

fn not_instantiated(error: InstantiationError, program: &Program) -> Error {
    match error {
        // Segments that do not fit are the module's; that they do not can be seen only here.
        InstantiationError::Link(LinkError::Trap(error)) | InstantiationError::Start(error) => {
            trap::classify(error, program.shape.imports.len() as u32)
        }
        InstantiationError::Link(LinkError::Resource(message)) => {
            ErrorKind::Internal { message: format!("no memory for an instance: {message}") }.into()
        }
        error => internal(&format!("a module that was checked: {error}")),
    }
}

/// The result of a call into the guest.
fn called<T>(result: Result<T, RuntimeError>, env: &FunctionEnvMut<'_, Guest>) -> Result<T, Error> {
    result.map_err(|error| trap::classify(error, env.data().imports))
}

/// What the guest told beside a status: its text, and the failed host call that the status comes from.
fn told(env: &mut FunctionEnvMut<'_, Guest>, status: i32) -> Result<(Option<String>, Option<CallFailure>), Error> {
    let context = &mut env.data_mut().running()?.context;
    let cause = context.last_failure.take().filter(|failure| failure.status.code() == status);
    Ok((context.error_text.take(), cause))
}

/// A panic's message is set before the trap.
fn with_text(error: Error, context: &mut CallContext) -> Error {
    match error.kind() {
        ErrorKind::Trapped { trap, frames, .. } => {
            let text = context.error_text.take();
            ErrorKind::Trapped { trap: *trap, frames: frames.clone(), text }.into()
        }
        _ => error,
    }
}

/// Where a block without bytes lies: not at 0, and not read.
const NO_BYTES: Region = Region { ptr: 8, len: 0 };

fn block(env: &mut FunctionEnvMut<'_, Guest>, bytes: &[u8]) -> Result<Region, Error> {
    if bytes.is_empty() { Ok(NO_BYTES) } else { give(env, bytes) }
}

fn overlap(a: Region, b: Region) -> bool {
    let end = |region: Region| u64::from(region.ptr) + u64::from(region.len);
    a.len > 0 && b.len > 0 && u64::from(a.ptr) < end(b) && u64::from(b.ptr) < end(a)
}

fn response(env: &mut FunctionEnvMut<'_, Guest>, region: Region) -> Result<Bytes, Error> {
    if region.len as usize > ceilings::RESPONSE && !unwired(Limit::Response) {
        return Err(ErrorKind::ResponseTooLarge { len: region.len.into(), ceiling: ceilings::RESPONSE }.into());
    }
    env.data().parts()?.memory.read(region).map_err(|out| bad_pointer("the response of skill_on_event", out))
}

/// Gives back what an event took of an instance that will see another one.
fn give_back(
    exports: &Exports,
    env: &mut FunctionEnvMut<'_, Guest>,
    blocks: [Region; 2],
    response: Option<Region>,
) -> Result<(), Error> {
    if let Some(Parts { allocator: Allocator::Arena(arena), .. }) = &mut env.data_mut().parts {
        arena.rewind();
        return Ok(());
    }
    let Some(free) = &exports.free else { return Ok(()) };
    let response =
        response.filter(|response| response.len > 0 && !blocks.iter().any(|block| overlap(*block, *response)));
    for region in blocks.into_iter().filter(|block| block.len > 0).chain(response) {
        called(free.call(env, region.ptr as i32, region.len as i32), env)?;
    }
    Ok(())
}

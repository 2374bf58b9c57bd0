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
    EXPORT_ABI_VERSION, EXPORT_ALLOC, EXPORT_FREE, EXPORT_INIT, EXPORT_MALLOC, EXPORT_ON_EVENT, EXPORT_SHUTDOWN,
    Packed, Region, Status, Unpacked, ValType, ceilings,
};
use cis_wasm_host::unwired::{Limit, unwired};
use cis_wasm_host::{CallContext, CallFailure, Journal, Ledger, LogLine};
use wasmer::sys::NativeEngineExt;
use wasmer::sys::vm::{LinearMemory, StoreObject, VMGlobalDefinition, VMMemory, VMMemoryDefinition};
use wasmer::{AsStoreMut, Instance, InstantiationError, LinkError, MemoryStyle, Mutability, RuntimeError, Store, Type};

use crate::checkpoint::{Checkpoint, InstanceId, Resumption, Ticket};
use crate::clock::Fuel;
use crate::counter::Counter;
use crate::error::{Error, ErrorKind};
use crate::faults;
use crate::fiber::{Fiber, Suspended};
use crate::guest::{Guest, Parts, PutDown, Running, internal};
use crate::imports;
use crate::interrupt::{self, Entry};
use crate::memory::{GuestMemory, bad_pointer};
use crate::meter::{CODE_BEGIN, CODE_END, START};
use crate::native::{Env, Func, Home, address, enter, link};
use crate::program::Program;
use crate::reset::{Image, Space};
use crate::room::{Allocator, Arena, give, make_ready};
use crate::trap::{self, Authored, TrapKind};
use crate::tunables::{CappedTunables, Spaces};

/// An instance.
pub(crate) struct Live {
    /// Owns all that is made for the instance.
    _store: Store,
    guest: Home,
    exports: Exports,
    /// For its next run. None while one has it.
    idle: Option<Box<Running>>,
    /// Which version of its skill's code it runs.
    pub(crate) version: u32,
    counter: Counter,
    /// Where the guest's code lies in memory. The guest's home keeps the code.
    code: Range<usize>,
    /// Its memory, when that can be set back.
    space: Option<Arc<Space>>,
    /// Its globals that can change, our own among them, when it can be set back.
    globals: Box<[NonNull<VMGlobalDefinition>]>,
    /// For events that may be suspended, when it can be set back.
    fiber: Option<Arc<Fiber>>,
    id: InstanceId,
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
struct Exports {
    start: Option<Func>,
    abi_version: Option<Func>,
    init: Option<Func>,
    on_event: OnEvent,
    free: Option<Func>,
    shutdown: Option<Func>,
}

/// `skill_on_event` in either of its forms.
enum OnEvent {
    Packed(Func),
    Status(Func),
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
    /// What there is of a run that was put down. There is no result then. In a box, because few are, and all are handed on.
    pub put_down: Option<Box<PutDownRun>>,
}

/// A run that was put down.
pub(crate) struct PutDownRun {
    pub why: PutDown,
    /// The run itself, if it was suspended.
    pub left: Option<Left>,
    /// The same when it was taken out of the instance.
    pub ticket: Option<Ticket>,
    /// What it takes to go on from where the run did, or would have, if it did not come further.
    pub resumption: Option<Box<Resumption>>,
}

impl PutDownRun {
    /// One of which nothing was kept.
    pub(crate) fn of(why: PutDown) -> Self {
        PutDownRun { why, left: None, ticket: None, resumption: None }
    }
}

/// A run that was suspended, in an instance that is as it left it.
pub(crate) struct Left {
    suspended: Suspended,
    stack: Box<[u8]>,
    fuel: Fuel,
    counter: i64,
}

impl Live {
    /// Makes an instance. None of the guest's code runs here: its start function waits for [`Live::start_up`]. One that
    /// starts from a snapshot has started up.
    pub(crate) fn new(program: &Program, origin: &Origin<'_>) -> Result<Self, Error> {
        // First, so that code which is replaced meanwhile is an old version's.
        let version = program.current.version();
        let code = program.code();
        let mut engine = code.engine.clone();
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
            authored: Authored::of(&program.shape),
            memory_cap: program.limits.memory_bytes,
            parts: None,
            running: None,
        };
        let mut guest = Home::new(guest, code.clone());
        // SAFETY: both go into the result, which drops the store first; it alone enters the guest.
        let imports = unsafe { link(&mut store, guest.guest(), imports::names(&program.shape.imports)) };
        let instance =
            Instance::new(&mut store, &code.module, &imports).map_err(|error| not_instantiated(error, program))?;
        let space = spaces.and_then(|spaces| spaces.made.get().cloned());
        let fiber = space.is_some().then(Fiber::new);
        let globals = match (&space, &fiber) {
            (Some(space), Some(fiber)) => {
                guest.tell_of_faults(fiber.beside(space.watch()));
                globals(&mut store)
            }
            _ => Box::default(),
        };
        // SAFETY: it stays with this store, here and in the environment.
        let counter = unsafe { Counter::of_last_instance() }.ok_or_else(|| internal("no counter was made"))?;
        let export = |name, params: &[Type], results: &[Type]| Func::of(&instance, &store, name, params, results);
        let required = |name, params: &[Type], results: &[Type]| {
            export(name, params, results)?
                .ok_or_else(|| internal(&format!("an export that was checked, `{name}`, is missing")))
        };
        let code = address(&instance, &store, CODE_BEGIN)?..address(&instance, &store, CODE_END)?;
        let exports = Exports {
            start: export(START, &[], &[])?,
            abi_version: export(EXPORT_ABI_VERSION, &[], &[Type::I32])?,
            init: export(EXPORT_INIT, &[], &[Type::I32])?,
            on_event: match program.shape.on_event_result() {
                Some(ValType::I64) => OnEvent::Packed(required(EXPORT_ON_EVENT, &[Type::I32; 4], &[Type::I64])?),
                _ => OnEvent::Status(required(EXPORT_ON_EVENT, &[Type::I32; 4], &[Type::I32])?),
            },
            free: export(EXPORT_FREE, &[Type::I32; 2], &[])?,
            shutdown: export(EXPORT_SHUTDOWN, &[], &[])?,
        };
        let alloc = match export(EXPORT_ALLOC, &[Type::I32], &[Type::I32])? {
            Some(alloc) => Some(alloc),
            None => export(EXPORT_MALLOC, &[Type::I32], &[Type::I32])?,
        };
        let allocator = alloc.map_or(Allocator::Arena(Arena::default()), Allocator::Guest);
        let (memory, definition) = memory(&mut store).ok_or_else(|| internal("an instance without a memory"))?;
        // SAFETY: an instance has one memory, its own; the engine makes them static, and makes no other in this store, so that
        // it does not move; and this goes into its guest.
        let memory = unsafe { GuestMemory::new(memory, definition, space.clone()) };
        guest.get_mut().parts = Some(Parts { memory, fuel: counter, allocator });
        let (idle, id) = (Some(program.idle()), InstanceId::next());
        let mut live = Live { _store: store, guest, exports, idle, version, counter, code, space, globals, fiber, id };
        if let Origin::Snapshot(snapshot) = origin {
            live.set_back_host_side(snapshot)?;
        }
        Ok(live)
    }

    /// The state of a template that has started up, for instances like it. The template is one of them from now on.
    pub(crate) fn snapshot(&mut self) -> Result<Snapshot, Error> {
        make_ready(self.guest.get_mut());
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

    /// Whether a run on a thread that is not ours is stopped where it writes to many pages, and does not keep the thread by what
    /// comes after it.
    pub(crate) fn is_light(&self) -> bool {
        self.space.as_ref().is_none_or(|space| space.is_light())
    }

    /// Whether what a run takes of a thread is what its fuel is good for, and not many times that for its first look at memory.
    pub(crate) fn is_mapped(&self) -> bool {
        self.space.as_ref().is_none_or(|space| space.is_mapped())
    }

    /// Has that be so, on a thread of ours.
    pub(crate) fn map(&mut self) {
        if let Some(space) = &self.space {
            space.map();
        }
    }

    /// What a run on it begins with.
    pub(crate) fn idle(&mut self, program: &Program) -> Box<Running> {
        self.idle.take().unwrap_or_else(|| program.idle())
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
        match &mut self.guest.get_mut().parts {
            Some(Parts { allocator: Allocator::Arena(arena), .. }) => Some(arena),
            _ => None,
        }
    }

    /// Runs what comes before the first event: the start function, then `skill_init`.
    pub(crate) fn start_up(&mut self, running: Box<Running>) -> (Result<(), Error>, Ran) {
        self.run(running, |exports, home| {
            let started = |env: &mut Env| {
                if let Some(start) = &exports.start {
                    env.call(start, []);
                }
                if let Some(abi_version) = &exports.abi_version {
                    let guest = env.call(abi_version, []) as i32;
                    if !(1..=cis_wasm_abi::ABI_VERSION).contains(&guest) {
                        return Err(ErrorKind::UnsupportedAbi { guest, host: cis_wasm_abi::ABI_VERSION }.into());
                    }
                }
                Ok(exports.init.as_ref().map_or(0, |init| env.call(init, []) as i32))
            };
            // SAFETY: it borrows the functions of this instance, and owns nothing while it calls them.
            match entered(unsafe { enter(home, started) }, home)? {
                0 => Ok(()),
                status => {
                    let (text, cause) = told(home, status)?;
                    Err(ErrorKind::InitFailed { status, text, cause }.into())
                }
            }
        })
    }

    /// Which instance it is.
    pub(crate) fn id(&self) -> InstanceId {
        self.id
    }

    /// What a run came to that was suspended, in no more than so many bytes of memory. The instance can be set back then.
    pub(crate) fn checkpoint(&mut self, left: Left, most: usize) -> Option<Checkpoint> {
        let Left { suspended, stack, fuel, counter } = left;
        let memory = self.space.as_ref()?.written(most)?;
        // SAFETY: see the invariants on globals.
        let globals = self.globals.iter().map(|global| unsafe { global.as_ref().clone() }).collect();
        let arena = self.arena().cloned();
        Some(Checkpoint { instance: self.id, suspended, stack, memory, globals, arena, fuel, left: counter })
    }

    /// Brings an instance that stands where its snapshot was taken to where a run of its was suspended. When it cannot be
    /// brought there, it is to be set back.
    pub(crate) fn put_back(&mut self, checkpoint: &Checkpoint) -> bool {
        let Checkpoint { instance, memory, globals, arena, .. } = checkpoint;
        let written = self.space.as_ref().is_some_and(|space| *instance == self.id && space.write_again(memory));
        if !written || self.globals.len() != globals.len() {
            return false;
        }
        for (global, value) in self.globals.iter().zip(globals) {
            // SAFETY: see the invariants on globals.
            unsafe { global.write(value.clone()) };
        }
        if let (Some(arena), Some(to)) = (self.arena(), arena) {
            arena.set_back(to);
        }
        true
    }

    /// The rest of an event whose run was put back.
    pub(crate) fn rest(&mut self, checkpoint: &Checkpoint, mut running: Box<Running>) -> (Result<Bytes, Error>, Ran) {
        let Checkpoint { suspended, stack, fuel, left, .. } = checkpoint;
        if let Some(fiber) = &self.fiber {
            fiber.put_back(suspended, stack);
        }
        running.fiber = self.fiber.clone();
        running.fuel = fuel.by_slices_of(running.fuel);
        running.left = *left;
        let fiber = self.fiber.clone();
        self.run(running, |exports, home| {
            let fiber = fiber.as_deref();
            let rest = |_: &mut Env| fiber.and_then(Fiber::go_on);
            // SAFETY: it borrows the fiber of this instance, and owns nothing while the guest runs.
            let returned = unsafe { enter(home, rest) }.map_err(|error| trap::classify(error, home.get().authored))?;
            answered(exports, home, returned)
        })
    }

    /// Handles one event. `reused` says whether the instance will see another: then what the event took is given back.
    pub(crate) fn event(
        &mut self,
        event_type: &str,
        data: &[u8],
        mut running: Box<Running>,
        reused: bool,
    ) -> (Result<Bytes, Error>, Ran) {
        let fiber = self.fiber.as_ref().filter(|fiber| running.suspends && fiber.has_stack()).cloned();
        running.fiber = fiber.clone();
        self.run(running, |exports, home| {
            let fiber = fiber.as_deref();
            let handled = |env: &mut Env| {
                make_ready(env.guest());
                let blocks = [block(env, event_type.as_bytes())?, block(env, data)?];
                let [ty, data] = blocks;
                if overlap(ty, data) && !unwired(Limit::Allocator) {
                    let what = "gave out memory that it had given out before".into();
                    return Err(ErrorKind::BadAllocation { what }.into());
                }
                let args = [ty.ptr as i32, ty.len as i32, data.ptr as i32, data.len as i32];
                let (OnEvent::Packed(function) | OnEvent::Status(function)) = &exports.on_event;
                let returned = match fiber {
                    None => Some(env.call(function, args)),
                    Some(fiber) => env.call_on(fiber, function, args),
                };
                if let (true, Some(returned)) = (reused, returned) {
                    // Here, because entering the guest once more would cost as much as a host call.
                    let response = keep_response(env.guest(), exports.packed(returned))?;
                    give_back(exports, env, blocks, response);
                }
                Ok(returned)
            };
            // SAFETY: it borrows the functions of this instance and the event, and owns nothing while it calls them.
            let returned = entered(unsafe { enter(home, handled) }, home)?;
            match home.get_mut().running()?.response.take() {
                Some(response) => Ok(response),
                None => answered(exports, home, returned),
            }
        })
    }

    /// Runs `skill_shutdown`, when there is one.
    pub(crate) fn shut_down(&mut self, running: Box<Running>) -> (Result<(), Error>, Ran) {
        self.run(running, |exports, home| {
            let Some(shutdown) = &exports.shutdown else { return Ok(()) };
            let shut_down = |env: &mut Env| {
                env.call(shutdown, []);
                Ok(())
            };
            // SAFETY: it borrows a function of this instance, and owns nothing.
            entered(unsafe { enter(home, shut_down) }, home)
        })
    }

    fn run<T>(
        &mut self,
        mut running: Box<Running>,
        body: impl FnOnce(&Exports, &mut Home) -> Result<T, Error>,
    ) -> (Result<T, Error>, Ran) {
        faults::let_through();
        // The counter starts where the run's fuel does.
        let slice = running.fuel.next_slice(running.left);
        let (clock, watched, until) = (running.clock.clone(), running.watched, running.until());
        let turn = running.worker.as_ref().filter(|_| watched).map(|worker| (worker.workers.clone(), worker.skill));
        self.guest.get_mut().running = Some(running);
        // SAFETY: the counter is there as long as the store, whose exclusive borrow is held until the entry is gone.
        let entry = unsafe { Entry::new(&clock, watched, until, self.code.clone(), self.counter.at()) };
        let counter = self.counter;
        let result = slice.and_then(|slice| {
            counter.set(slice);
            interrupt::during(&entry, turn, || body(&self.exports, &mut self.guest))
        });
        let left = entry.fuel_left(counter.get());
        let guest = self.guest.get_mut();
        let memory_bytes = guest.parts.as_ref().map_or(0, |parts| parts.memory.len());
        let Some(mut running) = guest.running.take() else {
            unreachable!("`running` was set above, and nothing else takes it")
        };
        let fuel = running.fuel.used(left);
        let result = result.map_err(|error| {
            if entry.given_up() {
                return running.takes_long();
            }
            let stopped = is_limit(&error).then(|| match entry.stopped() {
                true => clock.check().err(),
                false => running.out_of_fuel(left),
            });
            stopped.flatten().unwrap_or_else(|| with_text(error, &mut running.context))
        });
        let left = running.fiber.as_ref().and_then(|fiber| fiber.left());
        let left = left.filter(|_| running.put_down.is_some() && !entry.stopped());
        let left = left.map(|(suspended, stack)| {
            let (fuel, counter) = (running.fuel, counter.get());
            Left { suspended, stack, fuel, counter }
        });
        let put_down = running.put_down.take().map(|why| Box::new(PutDownRun { left, ..PutDownRun::of(why) }));
        let CallContext { ledger, journal, log, .. } = &mut *running.context;
        let (journal, log) = (std::mem::take(journal), std::mem::take(log));
        let ran = Ran { ledger: *ledger, journal, log, fuel, memory_bytes, put_down };
        running.over();
        self.idle = Some(running);
        (result, ran)
    }
}

impl Exports {
    /// What the event's handler returned, in the form that says more.
    fn packed(&self, returned: i64) -> Packed {
        match self.on_event {
            OnEvent::Packed(_) => Packed::from_i64(returned),
            OnEvent::Status(_) => Packed::code(returned as i32),
        }
    }
}

/// What the event's handler answered. It returned nothing when it was suspended.
fn answered(exports: &Exports, home: &mut Home, returned: Option<i64>) -> Result<Bytes, Error> {
    let returned = returned.ok_or_else(|| internal("a run was suspended"))?;
    match exports.packed(returned).unpack() {
        Unpacked::Status(status) if status == Status::Ok.code() => Ok(Bytes::new()),
        Unpacked::Status(status) => {
            let (text, cause) = told(home, status)?;
            Err(ErrorKind::SkillFailed { status, text, cause }.into())
        }
        Unpacked::Bytes { ptr, len } => response(home.get(), Region { ptr, len }),
    }
}

/// Keeps the response with the run, before the guest has its room back. Where it was, if it is one.
fn keep_response(guest: &mut Guest, returned: Packed) -> Result<Option<Region>, Error> {
    let Unpacked::Bytes { ptr, len } = returned.unpack() else { return Ok(None) };
    let region = Region { ptr, len };
    // What is none is nothing to give back, and told of afterwards.
    let Ok(bytes) = response(guest, region) else { return Ok(None) };
    guest.running()?.response = Some(bytes);
    Ok(Some(region))
}

/// Whether an error may come of a limit on guest code. The guest's own traps may look the same: then its counter is not below
/// zero, and nobody stopped it. And an empty counter looks like all fuel used where nobody knows that it was emptied.
fn is_limit(error: &Error) -> bool {
    let trap = matches!(
        error.kind(),
        ErrorKind::Trapped { trap: TrapKind::DivisionByZero | TrapKind::Unreachable | TrapKind::StackOverflow, .. }
    );
    trap || matches!(error.kind(), ErrorKind::OutOfFuel { .. })
}

/// Whether an instance's state is known after a run with this result, so that it may see another.
pub(crate) fn is_known<T>(result: &Result<T, Error>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => matches!(error.kind(), ErrorKind::SkillFailed { .. }),
    }
}

/// The one memory of a store's one instance, and where it is defined.
fn memory(store: &mut Store) -> Option<(NonNull<VMMemory>, NonNull<VMMemoryDefinition>)> {
    let [memory] = &mut VMMemory::list_mut(store.objects_mut().as_sys_mut())[..] else { return None };
    (memory.style() == MemoryStyle::Static).then(|| (NonNull::from(&mut *memory), memory.vmmemory()))
}

/// The definitions of all globals of a store that can change. The one instance of the store defined them all.
fn globals(store: &mut Store) -> Box<[NonNull<VMGlobalDefinition>]> {
    let all = store.objects_mut().as_sys().iter_globals();
    all.filter(|global| global.ty().mutability == Mutability::Var).map(|global| global.vmglobal()).collect()
}

fn not_instantiated(error: InstantiationError, program: &Program) -> Error {
    match error {
        // Segments that do not fit are the module's; that they do not can be seen only here.
        InstantiationError::Link(LinkError::Trap(error)) | InstantiationError::Start(error) => {
            trap::classify(error, Authored::of(&program.shape))
        }
        InstantiationError::Link(LinkError::Resource(message)) => {
            ErrorKind::Internal { message: format!("no memory for an instance: {message}") }.into()
        }
        error => internal(&format!("a module that was checked: {error}")),
    }
}

/// What came of entering the guest.
fn entered<T>(result: Result<Result<T, Error>, RuntimeError>, home: &Home) -> Result<T, Error> {
    result.unwrap_or_else(|error| Err(trap::classify(error, home.get().authored)))
}

/// What the guest told beside a status: its text, and the failed host call that the status comes from.
fn told(home: &mut Home, status: i32) -> Result<(Option<String>, Option<CallFailure>), Error> {
    let context = &mut home.get_mut().running()?.context;
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

fn block(env: &mut Env, bytes: &[u8]) -> Result<Region, Error> {
    if bytes.is_empty() { Ok(NO_BYTES) } else { give(env, bytes) }
}

fn overlap(a: Region, b: Region) -> bool {
    let end = |region: Region| u64::from(region.ptr) + u64::from(region.len);
    a.len > 0 && b.len > 0 && u64::from(a.ptr) < end(b) && u64::from(b.ptr) < end(a)
}

fn response(guest: &Guest, region: Region) -> Result<Bytes, Error> {
    if region.len as usize > ceilings::RESPONSE && !unwired(Limit::Response) {
        return Err(ErrorKind::ResponseTooLarge { len: region.len.into(), ceiling: ceilings::RESPONSE }.into());
    }
    let bytes = guest.parts()?.memory.read(region);
    bytes.map(Bytes::copy_from_slice).map_err(|out| bad_pointer("the response of skill_on_event", out))
}

/// Gives back what an event took of an instance that will see another one.
fn give_back(exports: &Exports, env: &mut Env, blocks: [Region; 2], response: Option<Region>) {
    if let Some(Parts { allocator: Allocator::Arena(arena), .. }) = &mut env.guest().parts {
        return arena.rewind();
    }
    let Some(free) = &exports.free else { return };
    let response =
        response.filter(|response| response.len > 0 && !blocks.iter().any(|block| overlap(*block, *response)));
    for region in blocks.into_iter().filter(|block| block.len > 0).chain(response) {
        env.call(free, [region.ptr as i32, region.len as i32]);
    }
}

//! The way into guest code and out of it again.
//!
//! An event takes several calls into its guest: two for room for what it is given, one to handle it, some to give room back,
//! and one for every reply of the host that has bytes. The engine's own way in makes a stack for each of them, and its way
//! out finds the store again each time. Here all calls of an event up to its answer run on one stack, which [`enter`] has the
//! engine make and guard, and an import goes straight to the instance's [`Guest`].
//!
//! Invariants:
//! - **What traps is not cleaned up.** A trap leaves the guest's stack where it is: no destructor of a frame on it runs. So
//!   whenever guest code runs, no frame between it and [`enter`] owns anything. The frames are those of `enter`'s body, which
//!   are its caller's promise, and those of [`through`] below, which hold numbers.
//! - **The host works on the host's stack**, because a guest can have used up its own: all that an import does is within
//!   [`on_host`]. Only the body of `enter` works on the guest's, of which nothing is used yet when it does.
//! - **Panics do not cross guest code**: they are caught on the host's stack, and go on where the guest was entered.
//! - **One reference.** The `Guest` lies in a block of its own ([`Home`]) that lives as long as the store whose imports point
//!   to it. Who has a reference to it is either the body of `enter`, by an [`Env`] that it gives up for every call into the
//!   guest, or an import, which such a call led to. So there is never a second one.
//! - A [`Func`] is a function of the store that is entered: it is found once, with its type, and kept beside that store.
//!
//! The engine's entry points used here are `catch_traps`, `on_host_stack`, `raise_user_trap` and `resume_panic` (wasmer-vm
//! 7.4.2), in the way that its own `TypedFunction::call` and host functions use them; without the bookkeeping of stores in
//! between, which only functions that are made with its safe interface look at.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt::Display;
use std::mem::transmute;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

use wasmer::sys::vm::{
    Trap, TrapHandlerFn, VMCallerCheckedAnyfunc, VMConfig, VMFunctionBody, VMFunctionContext, catch_traps,
    on_host_stack, raise_user_trap, resume_panic,
};
use wasmer::{AsStoreRef, Function, Imports, Instance, RuntimeError, Store, Type, Value};

use crate::error::Error;
use crate::fiber::{Fiber, Suspension};
use crate::guest::{Guest, internal};
use crate::imports::{self, Answer, Stop};
use crate::program::Code;

/// Where an instance's [`Guest`] lies.
pub(crate) struct Home {
    guest: NonNull<Guest>,
    /// Is told of faults of the guest's code, before they are traps.
    faults: Option<Box<TrapHandlerFn<'static>>>,
    /// What the guest's code is a part of.
    code: Arc<Code>,
}

impl Home {
    pub(crate) fn new(guest: Guest, code: Arc<Code>) -> Self {
        Home { guest: NonNull::from(Box::leak(Box::new(guest))), faults: None, code }
    }

    /// From now on this is asked of every fault whether it has seen to it.
    pub(crate) fn tell_of_faults(&mut self, faults: Box<TrapHandlerFn<'static>>) {
        self.faults = Some(faults);
    }

    /// For what is entered or linked here.
    pub(crate) fn guest(&self) -> NonNull<Guest> {
        self.guest
    }

    pub(crate) fn get(&self) -> &Guest {
        // SAFETY: the block is there until `self` is dropped; and guest code, from where others reach it, runs only within
        // `enter`, which wants a home borrowed exclusively.
        unsafe { self.guest.as_ref() }
    }

    pub(crate) fn get_mut(&mut self) -> &mut Guest {
        // SAFETY: as above.
        unsafe { self.guest.as_mut() }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and nobody has it any more: guest code does not run while its instance is dropped.
        drop(unsafe { Box::from_raw(self.guest.as_ptr()) });
    }
}

/// A function of an instance's.
#[derive(Clone, Copy)]
pub(crate) struct Func(VMCallerCheckedAnyfunc);

// SAFETY: it moves between threads with the store that it belongs to, and only with it.
unsafe impl Send for Func {}

impl Func {
    /// An export with this type; `None` when there is none.
    pub(crate) fn of(
        instance: &Instance,
        store: &Store,
        name: &str,
        params: &[Type],
        results: &[Type],
    ) -> Result<Option<Self>, Error> {
        if !instance.exports.contains(name) {
            return Ok(None);
        }
        let function = exported(instance, name)?;
        let ty = function.ty(store);
        if ty.params() != params || ty.results() != results {
            return Err(missing(name, format!("its type is {ty}")));
        }
        // SAFETY: the store keeps what it calls the function by.
        Ok(Some(Func(unsafe { anyfunc(function, store).read() })))
    }

    /// Calls it with these arguments, and gives back the bits of its first result, or of its first argument when it has none.
    ///
    /// # Safety
    ///
    /// This runs on the stack of the guest, whose function it is; it has so many parameters, all `i32`; and no frame between
    /// this one and [`enter`] owns anything.
    unsafe fn call<const N: usize>(&self, args: [i32; N]) -> i64 {
        const { assert!(N <= 4) };
        // Each value has 16 bytes here, wherever its type ends.
        let mut values = [0_u128; 4];
        for (value, arg) in values.iter_mut().zip(args) {
            *value = u128::from(arg as u32);
        }
        let VMCallerCheckedAnyfunc { func_ptr, vmctx, call_trampoline, .. } = self.0;
        // SAFETY: the trampoline is that of the function's type, and takes what `wasmer_call_trampoline` gives it: arguments
        // in values of 16 bytes, of which there are enough for the result too.
        unsafe {
            let trampoline = transmute::<
                wasmer::sys::vm::VMTrampoline,
                unsafe extern "C" fn(VMFunctionContext, *const VMFunctionBody, *mut u128),
            >(call_trampoline);
            trampoline(vmctx, func_ptr, values.as_mut_ptr());
        }
        const { assert!(cfg!(target_endian = "little")) };
        values[0] as i64
    }
}

/// Where the code of an exported function begins, whatever its type.
pub(crate) fn address(instance: &Instance, store: &Store, name: &str) -> Result<usize, Error> {
    // SAFETY: the store keeps what it calls the function by.
    Ok(unsafe { anyfunc(exported(instance, name)?, store).read() }.func_ptr.addr())
}

fn exported<'i>(instance: &'i Instance, name: &str) -> Result<&'i Function, Error> {
    instance.exports.get_function(name).map_err(|error| missing(name, error))
}

/// An export that is not as the check saw it: our bug.
fn missing(name: &str, error: impl Display) -> Error {
    internal(&format!("an export that was checked, `{name}`: {error}"))
}

/// What the engine calls a function by.
fn anyfunc(function: &Function, store: &impl AsStoreRef) -> NonNull<VMCallerCheckedAnyfunc> {
    let raw = Value::FuncRef(Some(function.clone())).as_raw(store);
    // SAFETY: the raw form of a function reference is the pointer to it.
    let anyfunc = unsafe { raw.funcref } as *mut VMCallerCheckedAnyfunc;
    NonNull::new(anyfunc).expect("a reference to a function is not null")
}

/// A guest that was entered, between calls into it.
pub(crate) struct Env {
    guest: NonNull<Guest>,
}

impl Env {
    pub(crate) fn guest(&mut self) -> &mut Guest {
        // SAFETY: guest code does not run now, because that takes `self`; so nobody else has a reference.
        unsafe { self.guest.as_mut() }
    }

    /// Calls a function of the guest's that has so many parameters, all `i32`, and gives back the bits of its result. A trap
    /// does not come back here.
    pub(crate) fn call<const N: usize>(&mut self, func: &Func, args: [i32; N]) -> i64 {
        // SAFETY: there is an `Env` only within the body of `enter`, on the guest's stack, and whoever wrote the body
        // promised the rest.
        unsafe { func.call(args) }
    }

    /// The same on a fiber, where it can be suspended: then there is no result.
    pub(crate) fn call_on<const N: usize>(&mut self, fiber: &Fiber, func: &Func, args: [i32; N]) -> Option<i64> {
        let func = *func;
        // SAFETY: as above; and what is called there borrows nothing.
        fiber.begin(move || unsafe { func.call(args) })
    }
}

/// Runs a body on a stack for guest code, and has it call the guest.
///
/// # Errors
///
/// What the guest was stopped by: a trap, or what an import ended it with.
///
/// # Panics
///
/// When the body or an import does.
///
/// # Safety
///
/// Whenever the body calls the guest, it owns nothing that has to be dropped: what it borrows has to outlive this call. The
/// functions that it calls are the guest's own.
pub(crate) unsafe fn enter<T: 'static>(
    home: &mut Home,
    body: impl FnOnce(&mut Env) -> T + Copy,
) -> Result<T, RuntimeError> {
    struct Job<F, T> {
        body: F,
        guest: NonNull<Guest>,
        result: Option<T>,
    }

    /// # Safety
    ///
    /// `job` points to a job of these types that nobody else looks at.
    unsafe fn go<T, F: FnOnce(&mut Env) -> T + Copy>(job: NonNull<()>) {
        // SAFETY: the caller's promise.
        let job = unsafe { job.cast::<Job<F, T>>().as_mut() };
        job.result = Some((job.body)(&mut Env { guest: job.guest }));
    }

    fn go_of<T, F: FnOnce(&mut Env) -> T + Copy>(_: &F) -> unsafe fn(NonNull<()>) {
        go::<T, F>
    }

    let go = go_of::<T, _>(&body);
    let mut job = Job { body, guest: home.guest(), result: None };
    let at = NonNull::from(&mut job).cast::<()>();
    let faults = home.faults.as_deref().map(|faults| faults as *const _);
    // SAFETY: the closure has a function and a pointer, and ends before `job` does; the body keeps the invariant on what
    // traps by the caller's promise. The handler of faults is there as long as `home`. The stack has the usual size.
    let ended = unsafe { catch_traps(faults, &VMConfig { wasm_stack_size: None }, move || go(at)) };
    ended.map_err(|trap| {
        // What an import ended it with says itself what it is.
        if !matches!(trap, Trap::User(_)) {
            home.code.know_traps();
        }
        RuntimeError::from(trap)
    })?;
    Ok(job.result.expect("the body has ended, and was not stopped"))
}

type Raised = Box<dyn StdError + Send + Sync>;

/// Has the host do something for a guest that called it.
///
/// # Safety
///
/// This runs on the stack of this guest, in one of its imports; and the invariant on what traps holds.
unsafe fn on_host<T: Copy>(guest: NonNull<Guest>, work: impl FnOnce(&mut Guest) -> Result<T, Error> + Copy) -> T {
    let done: Result<Result<T, Raised>, Box<dyn Any + Send>> = on_host_stack(|| {
        catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the guest called an import, so by the last invariants nobody has a reference.
            work(unsafe { &mut *guest.as_ptr() }).map_err(|error| Box::new(Stop(error)) as Raised)
        }))
    });
    match done {
        Ok(Ok(value)) => value,
        // SAFETY: guest code is on the stack, and our frames own nothing: what is raised has been given away.
        Ok(Err(stop)) => unsafe { raise_user_trap(stop) },
        // SAFETY: as above.
        Err(panic) => unsafe { resume_panic(panic) },
    }
}

/// What every import does: it has the host answer, and finds room for an answer in bytes.
///
/// # Safety
///
/// As [`on_host`].
unsafe fn through(guest: NonNull<Guest>, answer: impl FnOnce(&mut Guest) -> Result<Answer, Error> + Copy) -> i64 {
    let answer = move |guest: &mut Guest| match answer(guest) {
        Err(error) => guest.suspension().map(Answer::Later).ok_or(error),
        answered => answered,
    };
    // SAFETY: the caller's promise, here and below; the frames of these functions have numbers and pointers.
    match unsafe { once(guest, answer) } {
        Ok(value) => value,
        // SAFETY: as above; it is that of the fiber that this runs on.
        Err(suspension) => unsafe { later(guest, answer, suspension) },
    }
}

/// The same as often as it takes, after a suspension each time.
///
/// Beyond a suspension this may be another thread. Whatever knows something of its thread, such as where its variables are, is in
/// a function of its own that is called anew: a compiler takes both for the same within one.
///
/// # Safety
///
/// As [`on_host`]. The suspension is that of the fiber that this runs on.
#[cold]
#[inline(never)]
unsafe fn later(
    guest: NonNull<Guest>,
    answer: impl FnOnce(&mut Guest) -> Result<Answer, Error> + Copy,
    mut suspension: Suspension,
) -> i64 {
    loop {
        // SAFETY: the caller's promise.
        let answered = unsafe {
            suspension.suspend();
            again(guest, answer)
        };
        match answered {
            Ok(value) => return value,
            Err(once_more) => suspension = once_more,
        }
    }
}

/// # Safety
///
/// As [`on_host`].
#[inline(never)]
unsafe fn again(
    guest: NonNull<Guest>,
    answer: impl FnOnce(&mut Guest) -> Result<Answer, Error> + Copy,
) -> Result<i64, Suspension> {
    // SAFETY: the caller's promise.
    unsafe { once(guest, answer) }
}

/// # Safety
///
/// As [`on_host`].
#[inline(always)]
unsafe fn once(
    guest: NonNull<Guest>,
    answer: impl FnOnce(&mut Guest) -> Result<Answer, Error> + Copy,
) -> Result<i64, Suspension> {
    // SAFETY: the caller's promise, here and below.
    match unsafe { on_host(guest, answer) } {
        Answer::Value(value) => Ok(value),
        Answer::Room { allocate, bytes } => {
            // SAFETY: the guest's allocator is its own, and takes a length.
            let ptr = unsafe { allocate.call([bytes as i32]) };
            // SAFETY: as above.
            Ok(unsafe { on_host(guest, move |guest| imports::fill(guest, ptr as u32)) })
        }
        Answer::Later(suspension) => Err(suspension),
    }
}

/// An import: a function like it, and the body that takes that one's place.
type Gate = (fn(&mut Store) -> Function, *const VMFunctionBody);

macro_rules! result_of {
    (($value:expr) as i64) => {
        $value
    };
    (($value:expr) as i32) => {
        $value as i32
    };
    (($value:expr) as ()) => {{
        $value;
    }};
}

/// The functions that a guest may import, by name: with their parameters, all `i32`, their results, and what answers them.
macro_rules! gates {
    ($($name:literal = $answer:path: ($($param:ident),*) -> $result:tt;)*) => {
        fn gate(name: &str) -> Option<Gate> {
            $({
                if name == $name {
                    /// # Safety
                    ///
                    /// For the engine alone: the environment is that of the guest that calls.
                    unsafe extern "C-unwind" fn body(guest: NonNull<Guest>, $($param: i32),*) -> $result {
                        // SAFETY: the engine calls it on the guest's stack, from guest code, which owns nothing.
                        result_of!((unsafe { through(guest, move |guest| $answer(guest, $($param),*)) }) as $result)
                    }
                    let like = |store: &mut Store| {
                        Function::new_typed(store, |$($param: gates!(@i32 $param)),*| -> $result {
                            $(let _ = $param;)*
                            Default::default()
                        })
                    };
                    let body: unsafe extern "C-unwind" fn(NonNull<Guest>, $(gates!(@i32 $param)),*) -> $result = body;
                    return Some((like, body as *const VMFunctionBody));
                }
            })*
            None
        }
    };
    (@i32 $param:ident) => { i32 };
}

gates! {
    "host_memory_get" = imports::memory_get: (key_ptr, key_len) -> i64;
    "host_memory_set" = imports::memory_set: (key_ptr, key_len, val_ptr, val_len) -> i32;
    "host_memory_delete" = imports::memory_delete: (key_ptr, key_len) -> i32;
    "host_memory_list" = imports::memory_list: (prefix_ptr, prefix_len) -> i64;
    "host_ai_chat" = imports::ai_chat: (prompt_ptr, prompt_len) -> i64;
    "host_http_post" = imports::http_post: (url_ptr, url_len, body_ptr, body_len) -> i64;
    "host_log" = imports::log: (level, msg_ptr, msg_len) -> ();
    "host_config_get" = imports::config_get: (key_ptr, key_len) -> i64;
    "host_set_error" = imports::set_error: (msg_ptr, msg_len) -> ();
    "refuel" = imports::refuel: () -> ();
}

/// The imports of a module, by module and name: those it has of the host's, and the meter's.
///
/// # Safety
///
/// The guest's home lives as long as the store. It is entered only as the guest of the instance that these are for.
pub(crate) unsafe fn link<'n>(
    store: &mut Store,
    guest: NonNull<Guest>,
    names: impl Iterator<Item = (&'n str, &'n str)>,
) -> Imports {
    let mut linked = Imports::new();
    for (module, name) in names {
        let Some((like, body)) = gate(name) else { continue };
        let function = like(store);
        // SAFETY: the store has just made the function, keeps what it calls it by in a cell, and nobody uses it. The body has
        // the parameters and results of the function whose place it takes, in C's calling convention as that has; what was
        // the environment of that one, it does not look at.
        unsafe {
            let mut anyfunc = anyfunc(&function, store);
            let anyfunc = anyfunc.as_mut();
            anyfunc.func_ptr = body;
            anyfunc.vmctx = VMFunctionContext { host_env: guest.as_ptr().cast() };
        }
        linked.define(module, name, function);
    }
    linked
}

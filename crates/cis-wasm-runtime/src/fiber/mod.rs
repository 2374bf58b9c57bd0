//! A stack of an instance's own, on which a run can be suspended in the middle of a host call.
//!
//! The engine runs guest code on a stack of its pool and unwinds it when it is left, so there is no leaving such a run and
//! coming back. A [`Fiber`] is one stack more for an instance. An event that may be suspended is entered as ever
//! ([`crate::native`]); there, on the engine's stack, the guest's handler is called on the fiber ([`Fiber::begin`]). Where an
//! import has no answer yet, it switches back ([`Suspension::suspend`]), and the engine's stack is left in the ordinary way.
//! Later the guest is entered again, on any thread; that switches to the fiber ([`Fiber::go_on`]), where the import asks once
//! more.
//!
//! Invariants:
//! - While a fiber is suspended, on its stack are frames of guest code, of the import's gate and of the switch, and nothing else:
//!   what the gate had the host do is over. None of these has a destructor, or keeps a pointer to another stack or to anything of
//!   a thread: see `later` in [`crate::native`]. So it may be resumed on another thread, dropped without being unwound, and its bytes taken away and put back.
//! - What those frames point to is the instance: its block, its memory, its code, its guest, this fiber. Bytes of the stack go
//!   back to where they were, in the fiber that they are of, and no other.
//! - A trap with the stack pointer on the fiber is ours to handle ([`Fiber::trapped`]), since the engine knows its own stacks
//!   alone. It ends the run on the fiber, and is raised again on the engine's stack.
//! - The engine may leave the fiber for good in the middle of anything (an import that failed, a trap of a library call): it does
//!   so without destructors, by its own rules. Then the coroutine is as good as ended.
//! - A fiber is used by whoever has its instance, so by one thread at a time.

mod trap;

use std::cell::{Cell, OnceCell, UnsafeCell};
use std::io;
use std::num::NonZero;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use corosensei::stack::{DefaultStack, Stack};
use corosensei::trap::CoroutineTrapHandler;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use wasmer::sys::vm::{TrapHandlerFn, get_stack_size, raise_lib_trap};

use self::trap::Ended;

/// A run on the fiber.
type Course = Coroutine<(), (), Ended, View>;

/// How far below the last frame that we know of the switch may have put what it needs, in bytes. It takes some 100.
const SWITCH: usize = 4 << 10;

/// See the module.
pub(crate) struct Fiber {
    /// Made for the first event that may be suspended.
    stack: OnceCell<DefaultStack>,
    /// The run that goes on, or is suspended. The engine may leave it at any time, so it is not borrowed.
    course: UnsafeCell<Option<Course>>,
    /// What switches back, while a run is going on.
    yielder: Cell<*const Yielder<(), ()>>,
    /// Where a run that traps is sent, while one is going on.
    trap_handler: Cell<Option<CoroutineTrapHandler<Ended>>>,
    /// Where the stack ended when the run was suspended, if it was.
    suspended: Cell<Option<usize>>,
    /// What the guest's handler returned.
    result: Cell<i64>,
}

/// The right to suspend a fiber's run, for an import that this run called.
#[derive(Clone, Copy)]
pub(crate) struct Suspension(NonNull<Fiber>);

impl Suspension {
    /// Suspends the run, until it goes on.
    ///
    /// # Safety
    ///
    /// The run is going on, and this is called on its stack.
    pub(crate) unsafe fn suspend(self) {
        // SAFETY: the fiber lives as long as the instance that runs.
        let fiber = unsafe { self.0.as_ref() };
        let yielder = fiber.yielder.get();
        fiber.suspended.set(Some(ptr::from_ref(&yielder) as usize));
        // SAFETY: it is that of the run that this is on, by the caller's promise. It lies on that stack, and so is where it was
        // when the run goes on.
        unsafe { (*yielder).suspend(()) };
        fiber.yielder.set(yielder);
    }
}

/// A run that was suspended, without the bytes of its stack.
pub(crate) struct Suspended {
    course: Course,
    /// Where its stack ends.
    top: usize,
}

// SAFETY: see the first invariant: nothing on its stack is a thread's.
unsafe impl Send for Suspended {}
// SAFETY: with a reference to one, its fiber alone can do anything, and that is one thread's at a time.
unsafe impl Sync for Suspended {}
// SAFETY: see the last invariant. What its pointers point to belongs to it or to the store it belongs to.
unsafe impl Send for Fiber {}
// SAFETY: as above. It is shared between the parts of one instance: its store, its signal handler, its owner.
unsafe impl Sync for Fiber {}

impl Drop for Suspended {
    fn drop(&mut self) {
        // SAFETY: nothing on its stack has a destructor.
        unsafe { self.course.force_reset() };
    }
}

/// A fiber's stack, as seen by a run. It belongs to the fiber.
struct View {
    base: NonZero<usize>,
    limit: NonZero<usize>,
}

// SAFETY: it is that of a `DefaultStack`, with its guard pages, which outlives every run on it: a run that is suspended is
// resumed by its own fiber or not at all.
unsafe impl Stack for View {
    fn base(&self) -> NonZero<usize> {
        self.base
    }

    fn limit(&self) -> NonZero<usize> {
        self.limit
    }
}

impl Fiber {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Fiber {
            stack: OnceCell::new(),
            course: UnsafeCell::new(None),
            yielder: Cell::new(ptr::null()),
            trap_handler: Cell::new(None),
            suspended: Cell::new(None),
            result: Cell::new(0),
        })
    }

    /// Whether there is a stack for it. The system may have none.
    pub(crate) fn has_stack(&self) -> bool {
        self.stack().is_ok()
    }

    /// What is told of faults, and then of traps on this fiber.
    pub(crate) fn beside(self: &Arc<Self>, faults: Box<TrapHandlerFn<'static>>) -> Box<TrapHandlerFn<'static>> {
        let fiber = self.clone();
        Box::new(move |signal, info, context| {
            // SAFETY: these are the system's own.
            faults(signal, info, context) || unsafe { fiber.trapped(signal, info, context.cast_mut()) }
        })
    }

    /// For an import that a run on this fiber called.
    pub(crate) fn suspension(&self) -> Suspension {
        Suspension(NonNull::from(self))
    }

    /// Calls a guest on the fiber: what it returned, or nothing when it was suspended. A trap does not come back here. To be
    /// called on the engine's stack, with nothing on it that has to be dropped; `call` must not either.
    pub(crate) fn begin(&self, call: impl FnOnce() -> i64 + Copy + 'static) -> Option<i64> {
        let stack = self.stack.get()?;
        let view = View { base: stack.base(), limit: stack.limit() };
        let fiber = NonNull::from(self);
        let course = Coroutine::with_stack(view, move |yielder: &Yielder<(), ()>, ()| {
            // SAFETY: the fiber outlives every run on it, and is one thread's at a time.
            let fiber = unsafe { fiber.as_ref() };
            fiber.yielder.set(yielder);
            fiber.result.set(call());
            Ended::Returned
        });
        // SAFETY: nobody has a reference to it.
        unsafe { *self.course.get() = Some(course) };
        self.go_on()
    }

    /// Goes on with the run that was [put back](Self::put_back), as [`begin`](Self::begin).
    pub(crate) fn go_on(&self) -> Option<i64> {
        // SAFETY: nobody else has a reference to it. The engine may leave this function at any point of the run and not come
        // back, and the reference with it.
        let course = unsafe { &mut *self.course.get() }.as_mut()?;
        self.trap_handler.set(Some(course.trap_handler()));
        let result = course.resume(());
        self.trap_handler.set(None);
        self.yielder.set(ptr::null());
        match result {
            CoroutineResult::Yield(()) => None,
            CoroutineResult::Return(Ended::Returned) => Some(self.result.get()),
            // SAFETY: this runs on the engine's stack, and has nothing to clean up.
            CoroutineResult::Return(Ended::Trapped(trap)) => unsafe { raise_lib_trap(trap.into_trap()) },
        }
    }

    /// Puts back a run that was suspended, whose bytes these are. It can be put back again when it has gone on from there.
    pub(crate) fn put_back(&self, suspended: &Suspended, bytes: &[u8]) {
        let Some(stack) = self.stack.get() else { return };
        debug_assert_eq!(suspended.top, stack.base().get() - bytes.len());
        // What the run leaves below its bytes is nothing to it.
        #[cfg(debug_assertions)]
        // SAFETY: no run is on this stack, of which so much is left above the guard.
        unsafe {
            ptr::write_bytes((suspended.top - SWITCH) as *mut u8, 0xAA, SWITCH);
        }
        // SAFETY: the bytes are those that were there, and no run is on this stack.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), suspended.top as *mut u8, bytes.len()) };
        // SAFETY: a course is a few addresses on the stack, to be gone on with when the bytes are there, as they are now: it owns
        // nothing, and so there may be two of them. Nobody has a reference to the place.
        unsafe { *self.course.get() = Some(ptr::read(&raw const suspended.course)) };
    }

    /// After the engine's call: the run, if it was suspended, and the bytes of its stack.
    pub(crate) fn left(&self) -> Option<(Suspended, Box<[u8]>)> {
        self.yielder.set(ptr::null());
        self.trap_handler.set(None);
        // SAFETY: the engine's call is over, so nobody has a reference to it.
        let course = unsafe { (*self.course.get()).take() };
        let (mut course, top, stack) = match (course, self.suspended.take(), self.stack.get()) {
            (Some(course), Some(top), Some(stack)) => (course, top, stack),
            (course, ..) => {
                if let Some(mut course) = course {
                    // SAFETY: the engine left it, and nothing on its stack has a destructor.
                    unsafe { course.force_reset() };
                }
                return None;
            }
        };
        let (base, limit) = (stack.base().get(), stack.limit().get());
        let top = top.saturating_sub(SWITCH) & !(align_of::<u128>() - 1);
        // The lowest page is the guard.
        let Some(len) = base.checked_sub(top).filter(|_| top >= limit + GUARD) else {
            // SAFETY: as above.
            unsafe { course.force_reset() };
            return None;
        };
        // SAFETY: the bytes are the stack's, which nobody runs on.
        let bytes = unsafe { std::slice::from_raw_parts(top as *const u8, len) };
        Some((Suspended { course, top }, bytes.into()))
    }

    fn stack(&self) -> io::Result<&DefaultStack> {
        match self.stack.get() {
            Some(stack) => Ok(stack),
            None => {
                // As large as the engine's own, so that a recursion that fits there fits here.
                let stack = DefaultStack::new(get_stack_size())?;
                Ok(self.stack.get_or_init(|| stack))
            }
        }
    }
}

/// The guard at the end of a stack, in bytes: a page, of which the largest has so many.
const GUARD: usize = 64 << 10;

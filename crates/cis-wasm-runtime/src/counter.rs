//! The guest's fuel counter, where the engine keeps it.
//!
//! Invariant: the counter is the last global of its module, because metering adds it, and the engine keeps it in the block
//! of memory that is the instance. That block neither moves nor goes before the instance's store does. Whoever has a
//! [`Counter`] belongs to that store, as an instance's environment does, so it is used only while the store is there and by
//! one thread at a time: guest code, the host in between, or a handler that interrupts them on the same thread.

use std::cell::Cell;
use std::ptr::NonNull;

use wasmer::sys::vm::VMGlobalDefinition;

thread_local! {
    /// The last global that was made on this thread.
    static LAST: Cell<Option<NonNull<VMGlobalDefinition>>> = const { Cell::new(None) };
}

/// A counter of an instance's.
#[derive(Clone, Copy)]
pub(crate) struct Counter(NonNull<i64>);

// SAFETY: it moves between threads with the store that it belongs to, and only with it.
unsafe impl Send for Counter {}

impl Counter {
    /// Notes a global that an instance is being made with.
    pub(crate) fn note(definition: NonNull<VMGlobalDefinition>) {
        LAST.set(Some(definition));
    }

    /// The counter of the instance that this thread made last.
    ///
    /// # Safety
    ///
    /// The counter must not be used when that instance's store is gone.
    pub(crate) unsafe fn of_last_instance() -> Option<Self> {
        // The definition begins with its value, of which the first eight bytes are an `i64`'s on a little-endian machine.
        const { assert!(cfg!(target_endian = "little")) };
        LAST.take().map(|definition| Counter(definition.cast()))
    }

    /// Where it is.
    pub(crate) fn at(self) -> NonNull<i64> {
        self.0
    }

    pub(crate) fn get(self) -> i64 {
        // SAFETY: it is there, by the invariant. A handler on this thread may have changed it since it was last looked at.
        unsafe { self.0.as_ptr().read_volatile() }
    }

    pub(crate) fn set(self, value: i64) {
        // SAFETY: as above.
        unsafe { self.0.as_ptr().write_volatile(value) }
    }
}

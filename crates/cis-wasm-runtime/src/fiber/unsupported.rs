//! Platforms without the mechanism.
//!
//! Invariant: no run is ever suspended.

use std::sync::Arc;

use wasmer::sys::vm::TrapHandlerFn;

/// A stack that no run begins on.
pub(crate) struct Fiber {}

/// There is none.
pub(crate) enum Suspended {}

/// Nobody has it.
#[derive(Clone, Copy)]
pub(crate) enum Suspension {}

impl Suspension {
    /// # Safety
    ///
    /// None.
    pub(crate) unsafe fn suspend(self) {
        match self {}
    }
}

impl Fiber {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Fiber {})
    }

    pub(crate) fn has_stack(&self) -> bool {
        false
    }

    pub(crate) fn beside(self: &Arc<Self>, faults: Box<TrapHandlerFn<'static>>) -> Box<TrapHandlerFn<'static>> {
        faults
    }

    pub(crate) fn suspension(&self) -> Suspension {
        unreachable!("no run is on a fiber")
    }

    pub(crate) fn begin(&self, _: impl FnOnce() -> i64 + Copy + 'static) -> Option<i64> {
        None
    }

    pub(crate) fn go_on(&self) -> Option<i64> {
        None
    }

    pub(crate) fn put_back(&self, suspended: &Suspended, _: &[u8]) {
        match *suspended {}
    }

    pub(crate) fn left(&self) -> Option<(Suspended, Box<[u8]>)> {
        None
    }
}

//! How deep events run within each other.
//!
//! A backend may send an event to a skill, in a host call of another event, and that skill may call the same backend. Each
//! level costs the thread that waits for it some stack, whether it is run there or its future is polled within the outer
//! one's, and a stack that is used up ends the process. So the levels are counted and bounded.
//!
//! Invariant: [`DEPTH`] is how many events are being run or polled on this thread, one within the other, together with those
//! on other threads within which they are.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;

use crate::error::{Error, ErrorKind};

/// The most events that run within each other: an event, one that a backend sends in a host call of it, one that a backend
/// sends in a host call of that, and so on. The next is refused with [`ErrorKind::NestedTooDeep`].
///
/// Counted are events that are begun on the thread that makes the host call, and those whose future is polled in it: what a
/// backend does by itself and by its own future. An event that it hands to another thread, or to a task of its executor, is
/// a first one again; it costs the thread that waits no stack. Loading a skill counts as an event does, its `skill_init`
/// calls backends too.
///
/// So much takes less than 384 KiB of a thread's stack, beside what the backends take.
pub const MAX_NESTING: u8 = 16;

thread_local! {
    static DEPTH: Cell<u8> = const { Cell::new(0) };
}

/// Where in the chain of events one is. It stays there, whichever thread goes on with it.
#[derive(Clone, Copy)]
pub(crate) struct Depth(u8);

impl Depth {
    /// That of an event which begins here.
    pub(crate) fn of_next() -> Result<Self, Error> {
        match DEPTH.get() {
            MAX_NESTING.. => Err(ErrorKind::NestedTooDeep { most: MAX_NESTING }.into()),
            outer => Ok(Depth(outer + 1)),
        }
    }

    /// That of the event which is run or polled here.
    pub(crate) fn here() -> Self {
        Depth(DEPTH.get())
    }

    /// Does something that may begin further events.
    pub(crate) fn within<T>(self, body: impl FnOnce() -> T) -> T {
        let _outer = Outer(DEPTH.replace(self.0));
        body()
    }
}

/// Where the thread goes on.
struct Outer(u8);

impl Drop for Outer {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}

/// Counts what a future does as an event, for what handles events beside [`WasmInstance`](crate::WasmInstance).
///
/// # Errors
///
/// [`ErrorKind::NestedTooDeep`] when there are [`MAX_NESTING`] around it already. It was not polled then.
pub async fn nested<F: Future>(event: F) -> Result<F::Output, Error> {
    let depth = Depth::of_next()?;
    let mut event = pin!(event);
    Ok(poll_fn(|context| depth.within(|| event.as_mut().poll(context))).await)
}

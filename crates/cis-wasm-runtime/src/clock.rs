//! The meter of one run: fuel, the deadline, and whether anybody still waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

use cis_wasm_host::unwired::{Limit, unwired};

use crate::error::{Error, ErrorKind, GUEST_CODE};
use crate::interrupt::{Slot, nudge, watch_time};

/// How much fuel a guest that has to ask for it gets at a time: some tens of microseconds of work.
pub(crate) const SLICE: u64 = 100_000;

/// Fuel given and used in one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fuel {
    limit: u64,
    slice: u64,
    given: u64,
}

impl Fuel {
    /// A run that may use so much, and gets so much at a time.
    pub(crate) fn new(limit: u64, slice: u64) -> Self {
        Fuel { limit: limit.min(i64::MAX as u64), slice, given: 0 }
    }

    /// The same run, that gets as much at a time as `other` from now on.
    pub(crate) fn by_slices_of(self, other: Fuel) -> Self {
        Fuel { slice: other.slice, ..self }
    }

    /// What was used, when the counter stands at `left`.
    pub(crate) fn used(&self, left: i64) -> u64 {
        self.given.saturating_add_signed(left.saturating_neg())
    }

    /// Whether it is more than may be used that was used, when the counter stands at `left`.
    pub(crate) fn check(&self, left: i64) -> Result<(), Error> {
        match self.used(left) > self.limit && !unwired(Limit::Fuel) {
            true => Err(ErrorKind::OutOfFuel { limit: self.limit }.into()),
            false => Ok(()),
        }
    }

    /// The counter's next value, when it stands at `left`.
    pub(crate) fn next_slice(&mut self, left: i64) -> Result<i64, Error> {
        self.check(left)?;
        let used = self.used(left);
        let slice = self.slice.min(self.limit.saturating_sub(used));
        self.given = used + slice;
        Ok(slice as i64)
    }
}

/// When a run has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    started: Instant,
    limit: Duration,
}

impl Deadline {
    /// So long from now.
    pub(crate) fn starting_now(limit: Duration) -> Self {
        Deadline { started: Instant::now(), limit }
    }

    /// The same after a time that does not count.
    pub(crate) fn after_a_break(self, spent: Duration) -> Self {
        let now = Instant::now();
        Deadline { started: now.checked_sub(spent).unwrap_or(now), limit: self.limit }
    }

    /// When it is, on the watch's clock.
    pub(crate) fn due(&self) -> u64 {
        if unwired(Limit::Deadline) {
            return u64::MAX;
        }
        watch_time(self.started).saturating_add(u64::try_from(self.limit.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long it has been.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long it has been since so much was left.
    pub(crate) fn since(&self, left: Duration) -> Duration {
        self.elapsed().saturating_add(left).saturating_sub(self.limit)
    }

    /// How long is left. `during` is what the guest is doing.
    pub(crate) fn left(&self, during: &'static str) -> Result<Duration, Error> {
        let left = self.limit.saturating_sub(self.elapsed());
        if left.is_zero() {
            let limit_ms = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX);
            return Err(ErrorKind::DeadlineExceeded { limit_ms, during }.into());
        }
        Ok(left)
    }
}

/// Whether whoever sent the event still waits for it. Clones are the same event's.
#[derive(Clone, Default)]
pub(crate) struct Cancel {
    /// None where nobody can stop waiting.
    inner: Option<Arc<CancelState>>,
}

#[derive(Default)]
struct CancelState {
    cancelled: AtomicBool,
    /// Wakes the run where it waits for a backend.
    waiting: Mutex<Option<Waker>>,
    /// Where it runs guest code.
    running: Mutex<Option<Arc<Slot>>>,
}

impl Cancel {
    /// One whose event can be given up.
    pub(crate) fn possible() -> Self {
        Cancel { inner: Some(Arc::default()) }
    }

    /// Nobody waits any more.
    pub(crate) fn cancel(&self) {
        let Some(state) = &self.inner else { return };
        state.cancelled.store(true, Ordering::SeqCst);
        if let Some(waker) = lock(&state.waiting).take() {
            waker.wake();
        }
        if let Some(slot) = lock(&state.running).take() {
            nudge(&slot);
        }
    }

    /// Has `waker` woken by a cancellation from now on.
    pub(crate) fn wake_on_cancel(&self, waker: &Waker) {
        if let Some(state) = &self.inner {
            *lock(&state.waiting) = Some(waker.clone());
        }
    }

    /// Has the thread of this slot signalled by a cancellation from now on.
    pub(crate) fn runs_on(&self, slot: &Arc<Slot>) {
        if let Some(state) = &self.inner {
            *lock(&state.running) = Some(slot.clone());
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.inner.as_ref().is_some_and(|state| state.cancelled.load(Ordering::SeqCst))
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() { Err(ErrorKind::Cancelled.into()) } else { Ok(()) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Everything that can stop a run from outside.
#[derive(Clone)]
pub(crate) struct Clock {
    pub deadline: Deadline,
    pub cancel: Cancel,
}

impl Clock {
    /// Whether the run may go on in guest code, and for how long.
    pub(crate) fn check(&self) -> Result<Duration, Error> {
        self.cancel.check()?;
        if unwired(Limit::Deadline) { Ok(Duration::MAX) } else { self.deadline.left(GUEST_CODE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuel_adds_up_over_slices() {
        let mut fuel = Fuel::new(250_000, SLICE);
        assert_eq!(fuel.next_slice(0).unwrap(), 100_000);
        assert_eq!(fuel.used(40_000), 60_000);
        // The guest went 7 below zero: it used them.
        assert_eq!(fuel.next_slice(-7).unwrap(), 100_000);
        assert_eq!(fuel.used(100_000), 100_007);
        assert_eq!(fuel.next_slice(-3).unwrap(), 49_990);
        assert_eq!(fuel.used(0), 250_000);
        assert_eq!(fuel.next_slice(-1).unwrap_err().code(), "out_of_fuel");
    }

    #[test]
    fn the_last_unit_may_be_used() {
        let mut fuel = Fuel::new(1, SLICE);
        assert_eq!(fuel.next_slice(0).unwrap(), 1);
        assert_eq!(fuel.used(0), 1);
        assert!(fuel.next_slice(-1).is_err());
        assert_eq!(Fuel::new(0, SLICE).next_slice(0).unwrap(), 0);
    }
}

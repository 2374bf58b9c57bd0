//! Waiting for a backend on the thread that runs the guest.

use std::cell::LazyCell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use cis_wasm_host::unwired::{Limit, unwired};

use crate::clock::Clock;
use crate::error::{Error, GUEST_CODE};
use crate::guest::{LONG, OnWorker};
use crate::interrupt;

/// Wakes the thread it was made on.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    static UNPARK: LazyCell<(Arc<Unpark>, Waker)> = LazyCell::new(|| {
        let unpark = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(false) });
        (unpark.clone(), Waker::from(unpark))
    });
}

/// How long a wait without a deadline is, which only a test has.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Runs a future to its end, to the deadline or to the event's cancellation, whichever comes first.
///
/// A future that is ready at once costs one poll. Otherwise the thread sleeps, and if it is a worker, another may take its
/// place while it does. `during` is named in the error.
///
/// In a run that is not `watched` the clock is looked at before and after: a call costs the guest next to no fuel, and the host
/// whatever it takes. When the deadline passes in a call that took no time to speak of, it was not the call that was late.
pub(crate) fn block_on<F: Future>(
    future: F,
    clock: &Clock,
    during: &'static str,
    worker: Option<&OnWorker>,
    watched: bool,
) -> Result<F::Output, Error> {
    let mut future = pin!(future);
    let output = poll_for(|context| future.as_mut().poll(context), clock, during, worker, watched, None)?;
    Ok(output.expect("there is no end to its patience"))
}

/// Has a call answered that does not wait. So there is only to see to it that its answer does not come too late, as in
/// [`block_on`].
#[inline]
pub(crate) fn on_the_spot<T>(
    answer: impl FnOnce() -> T,
    clock: &Clock,
    during: &'static str,
    watched: bool,
) -> Result<T, Error> {
    let left = left_before(clock, watched)?;
    let answer = answer();
    in_time(clock, left, false, during)?;
    Ok(answer)
}

/// How much time there is for a call. Nobody has to look at the clock for a run that the watch would have stopped.
#[inline]
fn left_before(clock: &Clock, watched: bool) -> Result<Option<Duration>, Error> {
    if watched && !interrupt::is_stopped() { Ok(None) } else { clock.check().map(Some) }
}

/// Whether an answer comes in time. A backend that blocks the thread is not interrupted, but its answer comes too late all the
/// same.
#[inline]
fn in_time(clock: &Clock, left: Option<Duration>, held: bool, during: &'static str) -> Result<(), Error> {
    let stopped = left.is_some() || held || interrupt::is_stopped();
    if stopped && !unwired(Limit::Wait) {
        // Where nobody looked at the clock before, a call that took long is known by how late it is.
        let took = clock.deadline.since(left.unwrap_or_default());
        let late = if !held && took < LONG { GUEST_CODE } else { during };
        clock.deadline.left(late)?;
    }
    Ok(())
}

/// The same for so long, if that is given: `None` when it is over.
pub(crate) fn poll_for<T>(
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    clock: &Clock,
    during: &'static str,
    worker: Option<&OnWorker>,
    watched: bool,
    patience: Option<Duration>,
) -> Result<Option<T>, Error> {
    let left = left_before(clock, watched)?;
    let mut until = None;
    UNPARK.with(|own| {
        let (unpark, waker) = &**own;
        let mut context = Context::from_waker(waker);
        let mut held = None;
        loop {
            unpark.woken.store(false, Ordering::Relaxed);
            if let Poll::Ready(output) = poll(&mut context) {
                in_time(clock, left, held.is_some(), during)?;
                return Ok(Some(output));
            }
            if patience == Some(Duration::ZERO) {
                return Ok(None);
            }
            if held.is_none() {
                until = patience.map(|patience| Instant::now() + patience);
                clock.cancel.wake_on_cancel(waker);
                held = Some(worker.map(OnWorker::wait));
            }
            while !unpark.woken.swap(false, Ordering::Acquire) {
                clock.cancel.check()?;
                // A wake-up for an earlier wait on this thread may end the sleep early: then it is slept again.
                let mut sleep = if unwired(Limit::Wait) { FOREVER } else { clock.deadline.left(during)? };
                if let Some(until) = until {
                    let patience = until.saturating_duration_since(Instant::now());
                    if patience.is_zero() {
                        return Ok(None);
                    }
                    sleep = sleep.min(patience);
                }
                thread::park_timeout(sleep);
            }
            clock.cancel.check()?;
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::clock::{Cancel, Deadline};
    use crate::error::ErrorKind;

    /// What is said to have been late when a call blocks its thread for so long, beyond a deadline of that.
    fn late(blocks: Duration, limit: Duration) -> Option<&'static str> {
        let clock = Clock { deadline: Deadline::starting_now(limit), cancel: Cancel::default() };
        let call = async {
            let begin = Instant::now();
            while begin.elapsed() < blocks {}
        };
        match block_on(call, &clock, "host_call", None, false).unwrap_err().kind() {
            ErrorKind::DeadlineExceeded { during, .. } => Some(during),
            _ => None,
        }
    }

    #[test]
    fn a_quick_call_is_not_blamed_for_the_deadline() {
        let quick = Duration::from_micros(100);
        // A machine that is busy elsewhere makes a quick call a slow one, but not every time.
        assert!((0..1_000).any(|_| late(quick, quick) == Some(GUEST_CODE)));
        assert_eq!(late(2 * LONG, LONG), Some("host_call"));
    }
}

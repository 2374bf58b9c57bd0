//! Waiting for a backend on the thread that runs the guest.

use std::cell::LazyCell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::clock::Clock;
use crate::error::Error;
use crate::guest::OnWorker;

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

/// Runs a future to its end, to the deadline or to the event's cancellation, whichever comes first.
///
/// A future that is ready at once costs one poll. Otherwise the thread sleeps, and if it is a worker, another may take its
/// place while it does. `during` is named in the error.
pub(crate) fn block_on<F: Future>(
    future: F,
    clock: &Clock,
    during: &'static str,
    worker: Option<&OnWorker>,
) -> Result<F::Output, Error> {
    let mut future = pin!(future);
    UNPARK.with(|own| {
        let (unpark, waker) = &**own;
        let mut context = Context::from_waker(waker);
        let mut held = None;
        loop {
            unpark.woken.store(false, Ordering::Relaxed);
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                // A backend that blocks the thread is not interrupted, but its answer comes too late all the same.
                clock.deadline.left(during)?;
                return Ok(output);
            }
            if held.is_none() {
                clock.cancel.wake_on_cancel(waker);
                held = Some(worker.and_then(OnWorker::wait));
            }
            while !unpark.woken.swap(false, Ordering::Acquire) {
                clock.cancel.check()?;
                // A wake-up for an earlier wait on this thread may end the sleep early: then it is slept again.
                thread::park_timeout(clock.deadline.left(during)?);
            }
            clock.cancel.check()?;
        }
    })
}

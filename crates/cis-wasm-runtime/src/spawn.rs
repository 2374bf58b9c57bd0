//! Futures that go on although nobody waits for them.
//!
//! Invariant: a future that was woken is polled after that, by a worker, until it is ready or the workers are gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use crate::runtime::WasmRuntime;
use crate::worker::SkillId;

impl WasmRuntime {
    /// Has the runtime's workers drive a future to its end. All futures together take turns with the skills, so a poll is
    /// to be short: an event's future hands over what takes long.
    ///
    /// A future that panics is dropped.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(future);
        let spawned =
            Spawned { runtime: self.clone(), future: Mutex::new(Some(future)), queued: AtomicBool::new(false) };
        Arc::new(spawned).wake();
    }
}

struct Spawned {
    runtime: WasmRuntime,
    /// `None` once it has ended.
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    /// Whether a job is on its way that will poll it.
    queued: AtomicBool,
}

impl Spawned {
    fn poll(self: Arc<Self>) {
        // Before the poll: what wakes it from here on needs another.
        self.queued.store(false, Ordering::SeqCst);
        // A future that panicked is not polled again.
        let Ok(mut future) = self.future.lock() else { return };
        let Some(polled) = future.as_mut() else { return };
        if polled.as_mut().poll(&mut Context::from_waker(&Waker::from(self.clone()))) == Poll::Ready(()) {
            *future = None;
        }
    }
}

impl Wake for Spawned {
    fn wake(self: Arc<Self>) {
        static TURN: OnceLock<SkillId> = OnceLock::new();
        if !self.queued.swap(true, Ordering::SeqCst) {
            let workers = self.runtime.workers().clone();
            workers.spawn(*TURN.get_or_init(SkillId::next), Box::new(move || self.poll()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn it_is_polled_as_often_as_it_is_woken() {
        let runtime = WasmRuntime::builder().workers(2).build().unwrap();
        let (say, said) = mpsc::channel();
        let mut polls = 0;
        runtime.spawn(poll_fn(move |context| {
            polls += 1;
            say.send(polls).unwrap();
            if polls == 100 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        // Ends because the future is dropped, and with it the sender.
        assert_eq!(said.iter().collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    }
}

//! Work that nobody waits for.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// Begins a future on the calling thread and goes on with it on whatever thread wakes it. There is no executor: this is
/// for futures whose own work is done elsewhere, with a few steps of bookkeeping after it.
pub(super) fn detach(future: impl Future<Output = ()> + Send + 'static) {
    let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(future);
    Arc::new(Detached { future: Mutex::new(Some(future)), woken: AtomicBool::new(false) }).wake();
}

struct Detached {
    /// `None` once it has ended.
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    woken: AtomicBool,
}

impl Wake for Detached {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        while self.woken.load(Ordering::SeqCst) {
            // Whoever polls it looks at `woken` again after it let go of the lock, so no wake-up is lost here. A future
            // that panicked is not polled again.
            let Ok(mut slot) = self.future.try_lock() else { return };
            self.woken.store(false, Ordering::SeqCst);
            let Some(future) = slot.as_mut() else { return };
            if future.as_mut().poll(&mut Context::from_waker(&Waker::from(self.clone()))) == Poll::Ready(()) {
                *slot = None;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;
    use std::thread;

    use futures_channel::oneshot;

    use super::*;

    #[test]
    fn it_goes_on_where_it_is_woken() {
        let (send, receive) = oneshot::channel::<()>();
        let (say, said) = mpsc::channel();
        detach(async move {
            say.send(thread::current().id()).unwrap();
            receive.await.unwrap();
            say.send(thread::current().id()).unwrap();
        });
        assert_eq!(said.recv().unwrap(), thread::current().id());
        let waking = thread::spawn(move || {
            send.send(()).unwrap();
            thread::current().id()
        });
        let woke = waking.join().unwrap();
        assert_eq!(said.recv().unwrap(), woke);
        // It is gone, and what it held with it.
        assert!(said.recv().is_err());
    }

    #[test]
    fn a_wake_up_while_it_is_polled_is_not_lost() {
        let (say, said) = mpsc::channel();
        let mut polls = 0;
        detach(poll_fn(move |context| {
            polls += 1;
            say.send(polls).unwrap();
            if polls == 3 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        assert_eq!(said.iter().collect::<Vec<_>>(), [1, 2, 3]);
    }
}

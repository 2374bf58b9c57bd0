//! Waiting for some time to pass, under any executor.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::interrupt::watch_time;
use crate::runtime::WasmRuntime;

impl WasmRuntime {
    /// A future that is ready after so long. The thread that knows when events are due wakes it, so it needs no timer of an
    /// executor's.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + 'static + use<> {
        // A time that is beyond the clock does not come.
        let due = Instant::now().checked_add(time);
        let watch = self.watch().clone();
        let mut _alarm = None;
        poll_fn(move |context| match due {
            Some(due) if due <= Instant::now() => Poll::Ready(()),
            Some(due) => {
                _alarm = Some(watch.alarm(watch_time(due), context.waker().clone()));
                Poll::Pending
            }
            None => Poll::Pending,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc::{self, Sender};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Wake, Waker};

    use super::*;

    struct Say(Mutex<Sender<()>>);

    impl Wake for Say {
        fn wake(self: Arc<Self>) {
            let _ = self.0.lock().unwrap().send(());
        }
    }

    #[test]
    fn it_is_woken_when_its_time_has_passed() {
        let runtime = WasmRuntime::new().unwrap();
        let (say, said) = mpsc::channel();
        let waker = Waker::from(Arc::new(Say(Mutex::new(say))));
        let mut context = Context::from_waker(&waker);
        let time = Duration::from_millis(20);
        let began = Instant::now();
        let mut sleep = pin!(runtime.sleep(time));
        while sleep.as_mut().poll(&mut context).is_pending() {
            said.recv().unwrap();
        }
        assert!(began.elapsed() >= time);
        let mut forever = pin!(runtime.sleep(Duration::MAX));
        assert!(forever.as_mut().poll(&mut context).is_pending());
    }
}

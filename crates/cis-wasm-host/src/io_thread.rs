//! The thread on which a network backend does its work.
//!
//! reqwest needs a tokio runtime around it, and whoever calls a backend may have another executor, or none. So a backend
//! owns one thread with a current-thread runtime, starts each request there, and hands out a future that any executor
//! can poll.
//!
//! What must stay true:
//! - the thread starts with the first request, and its runtime goes when the [`IoThread`] is dropped;
//! - dropping never waits, so that it is fine inside an async task and on the thread itself;
//! - a future of [`IoThread::run`] that is dropped aborts its work.

use std::future::Future;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::{BackendError, BackendErrorKind};

/// See the module.
pub(crate) struct IoThread {
    name: &'static str,
    started: Mutex<Option<Started>>,
}

struct Started {
    handle: Handle,
    /// Dropped, it ends the thread.
    _stop: oneshot::Sender<()>,
}

impl IoThread {
    /// A thread of this name, not yet started.
    pub(crate) fn new(name: &'static str) -> Self {
        IoThread { name, started: Mutex::new(None) }
    }

    /// Runs `work` on the thread and hands back what it came to.
    ///
    /// # Errors
    ///
    /// Those of `work`, and of the kind [`BackendErrorKind::Failed`] when the thread cannot be started or `work` panics.
    pub(crate) async fn run<T, W>(&self, work: W) -> Result<T, BackendError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        let task = self.handle()?.spawn(work);
        let _abort = AbortOnDrop(task.abort_handle());
        task.await.unwrap_or_else(|end| {
            let how = if end.is_panic() { "panicked" } else { "was shut down during the call" };
            Err(BackendError::new(BackendErrorKind::Failed, format!("the thread {} {how}", self.name)))
        })
    }

    fn handle(&self) -> Result<Handle, BackendError> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(started) = &*started {
            return Ok(started.handle.clone());
        }
        let fresh =
            start(self.name).map_err(|error| BackendError::failed("cannot start the network thread", &error))?;
        Ok(started.insert(fresh).handle.clone())
    }
}

fn start(name: &str) -> std::io::Result<Started> {
    let (send, receive) = mpsc::sync_channel(1);
    let (stop, stopped) = oneshot::channel::<()>();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                // Nobody listens only when `start` is gone, and it waits.
                let _ = send.send(Err(error));
                return;
            }
        };
        let _ = send.send(Ok(runtime.handle().clone()));
        // Nothing is ever sent: the other end is dropped.
        let _ = runtime.block_on(stopped);
        // A DNS lookup cannot be interrupted; it must not keep the thread.
        runtime.shutdown_background();
    })?;
    let handle = receive.recv().expect("the thread sends once before anything else")?;
    Ok(Started { handle, _stop: stop })
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

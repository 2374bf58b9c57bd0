//! The threads that events run on when their sender does not lend its own.
//!
//! Who owns what: [`Workers`] is a handle; the threads hold the shared state, not the handle, and end when the last handle
//! is gone and the queue is empty. Nobody joins them, because the last handle may go on one of them.
//!
//! Invariant: there are at most `active + max_held` threads, and a job waits only while `active` threads that are not held
//! have work. A thread that waits for a backend is *held*; another takes its place then. When the backend answers, the
//! thread goes on at once; whichever of the two ends its job first is too many then and goes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// One thing to do. It must not panic; if it does, the thread survives.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Wraps a worker thread's whole work, to enter an async runtime's context for one.
pub(crate) type Scope = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// A handle to the threads.
pub(crate) struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    active: usize,
    most: usize,
    scope: Option<Scope>,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    held: usize,
    closed: bool,
}

impl Workers {
    /// Workers that run at most `active` guests at a time, and wait for at most `max_held` backends beside.
    pub(crate) fn new(active: usize, max_held: usize, scope: Option<Scope>) -> Self {
        let active = active.max(1);
        let shared = Shared {
            active,
            most: active.saturating_add(max_held),
            scope,
            state: Mutex::default(),
            wake: Condvar::new(),
        };
        Workers { shared: Arc::new(shared) }
    }

    /// Has a job done, in order of arrival.
    pub(crate) fn spawn(&self, job: Job) {
        let mut state = self.shared.lock();
        state.queue.push_back(job);
        self.shared.staff(&mut state);
        // Where not even a first thread can be started, the sender's own is better than none.
        let unserved = if state.threads == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
        drop(state);
        for job in unserved {
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// Says that this thread waits, until the guard is dropped.
    pub(crate) fn hold(&self) -> Held<'_> {
        let mut state = self.shared.lock();
        state.held += 1;
        self.shared.staff(&mut state);
        Held { shared: &self.shared }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

/// A thread that waits for a backend.
pub(crate) struct Held<'w> {
    shared: &'w Shared,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.shared.lock().held -= 1;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds this lock, so its state is whole.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Sees to it that somebody takes the next job, if anybody may.
    fn staff(self: &Arc<Self>, state: &mut State) {
        if state.queue.is_empty() {
            return;
        }
        if state.idle > 0 {
            self.wake.notify_one();
        } else if state.threads < self.most && state.threads < self.active + state.held {
            let shared = self.clone();
            let name = format!("cis-worker-{}", state.threads);
            match thread::Builder::new().name(name).spawn(move || shared.serve()) {
                Ok(_) => state.threads += 1,
                Err(error) => tracing::warn!(target: "cis_skill", "no further worker thread: {error}"),
            }
        }
    }

    fn serve(self: Arc<Self>) {
        let mut work = || self.work();
        match &self.scope {
            Some(scope) => scope(&mut work),
            None => work(),
        }
    }

    fn work(self: &Arc<Self>) {
        let mut state = self.lock();
        loop {
            // Those that came for held ones are too many when those have gone on. The others see to the queue.
            let surplus = state.threads > self.active + state.held;
            if surplus {
                break;
            } else if let Some(job) = state.queue.pop_front() {
                drop(state);
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.lock();
            } else if state.closed {
                break;
            } else {
                state.idle += 1;
                state = self.wake.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
                state.idle -= 1;
            }
        }
        state.threads -= 1;
    }
}

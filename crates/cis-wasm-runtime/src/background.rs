//! Compiling for later, on a thread of the runtime's own.
//!
//! Invariants:
//! - At most one thread of a runtime compiles here, with one thread of the compiler's, and only while there is something to do.
//! - What waits is bounded in number and in bytes. A skill for which there is no room keeps the code that it has, and says so.
//! - Nobody waits for this thread. It holds no skill: when the skill is gone, or the runtime, what it does is given up at the
//!   next function.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread;

use crate::backend::Backend;
use crate::making::{Checked, Place};
use crate::program::Code;
use crate::tier::Current;

/// The most skills that wait.
const MOST_WAITING: usize = 16_384;
/// The most bytes of their modules.
const MOST_WAITING_BYTES: usize = 256 << 20;

/// What a runtime compiles for later. Dropping it ends that.
pub(crate) struct Background {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    bytes: usize,
    /// Whether a thread sees to it.
    served: bool,
    /// Whether a test keeps it from that.
    #[cfg(test)]
    held: bool,
}

/// A module to compile.
struct Job {
    skill: Weak<Current>,
    checked: Checked,
    place: Option<Place>,
}

impl Background {
    pub(crate) fn new() -> Self {
        Background { shared: Arc::default() }
    }

    /// Has a skill's better code compiled, and the skill switched to it.
    pub(crate) fn submit(&self, skill: &Arc<Current>, checked: Checked, place: Option<Place>) {
        let bytes = checked.metered.len();
        let mut queue = self.shared.queue();
        if queue.waiting.len() >= MOST_WAITING || queue.bytes + bytes > MOST_WAITING_BYTES {
            drop(queue);
            return skill.stick("too many modules wait to be compiled".into());
        }
        queue.bytes += bytes;
        queue.waiting.push_back(Job { skill: Arc::downgrade(skill), checked, place });
        self.shared.serve(queue);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        let given_up = std::mem::take(&mut self.shared.queue().waiting);
        drop(given_up);
    }
}

impl Shared {
    /// Has a thread see to the queue.
    fn serve(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>) {
        #[cfg(test)]
        if queue.held {
            return;
        }
        if queue.served || queue.waiting.is_empty() {
            return;
        }
        let shared = self.clone();
        match thread::Builder::new().name("cis-compile".into()).spawn(move || shared.work()) {
            Ok(_) => queue.served = true,
            Err(error) => {
                // The next submission would meet the same.
                let waiting = std::mem::take(&mut queue.waiting);
                queue.bytes = 0;
                drop(queue);
                for skill in waiting.iter().filter_map(|job| job.skill.upgrade()) {
                    skill.stick(format!("no thread to compile on: {error}"));
                }
            }
        }
    }

    /// Compiles until nothing waits any more.
    fn work(self: Arc<Self>) {
        while let Some(job) = self.next() {
            let skill = job.skill.clone();
            if catch_unwind(AssertUnwindSafe(|| job.run(&self))).is_err()
                && let Some(skill) = skill.upgrade()
            {
                skill.stick("compiling panicked".into());
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        #[cfg(test)]
        if queue.held {
            queue.served = false;
            return None;
        }
        let next = queue.waiting.pop_front();
        match &next {
            Some(job) => queue.bytes -= job.checked.metered.len(),
            None => queue.served = false,
        }
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing is left half done under this lock.
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Job {
    fn run(self, shared: &Arc<Shared>) {
        let Job { skill, checked, place } = self;
        let wanted = {
            let (skill, shared) = (skill.clone(), shared.clone());
            move || skill.strong_count() > 0 && !shared.closed.load(Ordering::Relaxed)
        };
        if !wanted() {
            return;
        }
        let backend = Backend::Cranelift;
        let engine = backend.engine_in_background(&checked.limits, &checked.shape);
        let module = backend.compile_while(&engine, &checked.metered, wanted.clone());
        let (limits, shape) = (checked.limits, checked.shape.clone());
        drop(checked);
        let Some(skill) = skill.upgrade().filter(|_| wanted()) else { return };
        match module {
            Ok(module) => {
                let (code, stored) =
                    Code { module, engine, mapped: None }.settle(backend, &limits, &shape, place.as_ref());
                skill.switch(backend, code);
                if stored {
                    skill.stored();
                }
            }
            Err(error) => skill.stick(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;

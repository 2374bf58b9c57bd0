//! The threads that events run on when their sender does not lend its own.
//!
//! Who owns what: [`Workers`] is a handle; the threads hold the shared state, not the handle, and end when the last handle
//! is gone and the queue is empty. Nobody joins them, because the last handle may go on one of them.
//!
//! Invariants:
//! - There are at most `active + max_away` threads, and a job waits only while `active` threads that are not *away* have
//!   work, or while its skill has its share. A thread is away while it waits for a backend, and from when its event has
//!   run for long; another takes its place then. When it is back, whichever of the two ends its job first is too many and
//!   goes.
//! - Skills take turns: however many events one has waiting, each other skill's next one is taken before its second next.
//! - A skill that has `active` events running for long gets no further thread until one of them ends. So a skill that
//!   never stops takes its share of the processors and leaves threads for the others.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// One thing to do. It must not panic; if it does, the thread survives.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Wraps a worker thread's whole work, to enter an async runtime's context for one.
pub(crate) type Scope = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// Whose job it is: skills take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SkillId(u64);

impl SkillId {
    /// One that no other skill of this process has.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        SkillId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A handle to the threads.
pub(crate) struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    active: usize,
    max_away: usize,
    scope: Option<Scope>,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queue: Queue,
    threads: usize,
    idle: usize,
    away: usize,
    closed: bool,
}

/// Jobs, by skill.
#[derive(Default)]
struct Queue {
    skills: BTreeMap<SkillId, Line>,
    /// Skills with jobs waiting, in the order of their turns.
    turns: VecDeque<SkillId>,
}

/// What one skill has waiting and running.
#[derive(Default)]
struct Line {
    waiting: VecDeque<Job>,
    /// How many of its events have been running for long.
    long: usize,
}

impl Queue {
    fn push(&mut self, skill: SkillId, job: Job) {
        let line = self.skills.entry(skill).or_default();
        if line.waiting.is_empty() {
            self.turns.push_back(skill);
        }
        line.waiting.push_back(job);
    }

    /// The next job of a skill that does not have its share.
    fn pop(&mut self, share: usize) -> Option<Job> {
        let turn = self.turns.iter().position(|skill| self.skills.get(skill).is_some_and(|line| line.long < share))?;
        let skill = self.turns.remove(turn)?;
        let line = self.skills.get_mut(&skill)?;
        let job = line.waiting.pop_front();
        if !line.waiting.is_empty() {
            self.turns.push_back(skill);
        }
        self.tidy(skill);
        job
    }

    fn has_next(&self, share: usize) -> bool {
        self.turns.iter().any(|skill| self.skills.get(skill).is_some_and(|line| line.long < share))
    }

    /// Forgets a skill of which there is nothing to know.
    fn tidy(&mut self, skill: SkillId) {
        if self.skills.get(&skill).is_some_and(|line| line.waiting.is_empty() && line.long == 0) {
            self.skills.remove(&skill);
        }
    }
}

impl Workers {
    /// Workers that run at most `active` guests at a time, and let at most `max_away` events wait or run for long beside.
    pub(crate) fn new(active: usize, max_away: usize, scope: Option<Scope>) -> Self {
        let shared = Shared { active: active.max(1), max_away, scope, state: Mutex::default(), wake: Condvar::new() };
        Workers { shared: Arc::new(shared) }
    }

    /// Has a job done, in its skill's turn.
    pub(crate) fn spawn(&self, skill: SkillId, job: Job) {
        let mut state = self.shared.lock();
        state.queue.push(skill, job);
        self.shared.staff(&mut state);
        // Where not even a first thread can be started, the sender's own is better than none.
        let unserved = if state.threads == 0 { std::mem::take(&mut state.queue) } else { Queue::default() };
        drop(state);
        for job in unserved.skills.into_values().flat_map(|line| line.waiting) {
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// Says that this thread waits for a backend, until the guard is dropped.
    pub(crate) fn wait(&self) -> Away {
        self.away(None)
    }

    /// Says that this thread's event, of this skill, has been running for long, until the guard is dropped.
    pub(crate) fn run_long(&self, skill: SkillId) -> Away {
        self.away(Some(skill))
    }

    fn away(&self, long: Option<SkillId>) -> Away {
        let mut state = self.shared.lock();
        state.away += 1;
        if let Some(skill) = long {
            state.queue.skills.entry(skill).or_default().long += 1;
        }
        self.shared.staff(&mut state);
        Away { shared: self.shared.clone(), long }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

/// A thread that another may stand in for.
pub(crate) struct Away {
    shared: Arc<Shared>,
    long: Option<SkillId>,
}

impl Drop for Away {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.away -= 1;
        if let Some(skill) = self.long {
            if let Some(line) = state.queue.skills.get_mut(&skill) {
                line.long -= 1;
            }
            state.queue.tidy(skill);
            // Jobs of this skill may have waited for its share, with nobody else to look at them.
            self.shared.staff(&mut state);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds this lock, so its state is whole.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How many threads there may be now.
    fn most(&self, state: &State) -> usize {
        self.active + state.away.min(self.max_away)
    }

    /// Sees to it that somebody takes the next job, if anybody may.
    fn staff(self: &Arc<Self>, state: &mut State) {
        if !state.queue.has_next(self.active) {
            return;
        }
        if state.idle > 0 {
            self.wake.notify_one();
        } else if state.threads < self.most(state) {
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
            // Those that stood in for others are too many when those are back. The others see to the queue.
            if state.threads > self.most(&state) {
                break;
            } else if let Some(job) = state.queue.pop(self.active) {
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// The order in which jobs of these skills are taken.
    fn order(queue: &mut Queue, share: usize, said: &mpsc::Receiver<&'static str>) -> Vec<&'static str> {
        while let Some(job) = queue.pop(share) {
            job();
        }
        said.try_iter().collect()
    }

    #[test]
    fn skills_take_turns() {
        let (say, said) = mpsc::channel();
        let (busy, calm) = (SkillId::next(), SkillId::next());
        let mut queue = Queue::default();
        for (skill, name) in [(busy, "b1"), (busy, "b2"), (busy, "b3"), (calm, "c1"), (calm, "c2")] {
            let say = say.clone();
            queue.push(skill, Box::new(move || say.send(name).unwrap()));
        }
        assert_eq!(order(&mut queue, 1, &said), ["b1", "c1", "b2", "c2", "b3"]);
        assert!(queue.skills.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn a_skill_with_its_share_of_long_events_waits() {
        let (say, said) = mpsc::channel();
        let (busy, calm) = (SkillId::next(), SkillId::next());
        let mut queue = Queue::default();
        for (skill, name) in [(busy, "b1"), (calm, "c1")] {
            let say = say.clone();
            queue.push(skill, Box::new(move || say.send(name).unwrap()));
        }
        queue.skills.get_mut(&busy).unwrap().long = 2;
        assert_eq!(order(&mut queue, 2, &said), ["c1"]);
        assert!(!queue.has_next(2));
        queue.skills.get_mut(&busy).unwrap().long = 1;
        assert_eq!(order(&mut queue, 2, &said), ["b1"]);
    }
}

//! The threads that events run on when their sender does not lend its own.
//!
//! Who owns what: [`Workers`] is a handle; the threads hold the shared state, not the handle, and end when the last handle
//! is gone and the queue is empty. Nobody joins them, because the last handle may go on one of them.
//!
//! Invariants:
//! - A thread is *away* while it waits for a backend, and from when its event has run for long; another takes its place
//!   then. When it is back, whichever of the two ends its job first is too many and goes. So never more than `active`
//!   threads are at work, and as long as fewer are, no job waits but for its skill's share.
//! - Skills take turns: however many events one has waiting, each other skill's next one is taken before its second next.
//! - A skill's share is `active` events that run for long, and half of `max_away` that are away. So a skill that never
//!   stops, or whose backend never answers, leaves threads for the others.
//! - When `max_away` threads are away, those skills that have nothing running still get a thread, for one event each. So
//!   there are at most `active + max_away` threads and one for each skill, and no skill keeps another from being served,
//!   however many of them mean to.

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
    /// How many of its jobs threads have taken.
    running: usize,
    /// How many of them are away.
    away: usize,
    /// How many of those because they have been running for long.
    long: usize,
}

/// Whose jobs a thread may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Take {
    /// Those of a skill that has less than its share.
    Share {
        /// The most of a skill's jobs that may run for long.
        long: usize,
        /// The most of a skill's jobs that may be away.
        away: usize,
    },
    /// Those of a skill that has nothing running.
    First,
}

impl Take {
    fn allows(self, line: &Line) -> bool {
        match self {
            Take::Share { long, away } => line.long < long && line.away < away,
            Take::First => line.running == 0,
        }
    }
}

impl Queue {
    fn push(&mut self, skill: SkillId, job: Job) {
        let line = self.skills.entry(skill).or_default();
        if line.waiting.is_empty() {
            self.turns.push_back(skill);
        }
        line.waiting.push_back(job);
    }

    /// The next job that may be taken, and whose it is.
    fn pop(&mut self, take: Take) -> Option<(SkillId, Job)> {
        let turn = self.next(take)?;
        let skill = self.turns.remove(turn)?;
        let line = self.skills.get_mut(&skill)?;
        let job = line.waiting.pop_front()?;
        line.running += 1;
        if !line.waiting.is_empty() {
            self.turns.push_back(skill);
        }
        Some((skill, job))
    }

    /// A job has ended.
    fn done(&mut self, skill: SkillId) {
        if let Some(line) = self.skills.get_mut(&skill) {
            line.running -= 1;
        }
        self.tidy(skill);
    }

    /// The place in `turns` of the next job that may be taken.
    fn next(&self, take: Take) -> Option<usize> {
        self.turns.iter().position(|skill| self.skills.get(skill).is_some_and(|line| take.allows(line)))
    }

    /// Forgets a skill of which there is nothing to know.
    fn tidy(&mut self, skill: SkillId) {
        if self.skills.get(&skill).is_some_and(|line| line.waiting.is_empty() && line.running == 0 && line.away == 0) {
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
        let wakes = self.shared.staff(&mut state);
        // Where not even a first thread can be started, the sender's own is better than none.
        let unserved = if state.threads == 0 { std::mem::take(&mut state.queue) } else { Queue::default() };
        drop(state);
        self.shared.wake(wakes);
        for job in unserved.skills.into_values().flat_map(|line| line.waiting) {
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// Whether jobs wait for a thread.
    pub(crate) fn are_wanted(&self) -> bool {
        !self.shared.lock().queue.turns.is_empty()
    }

    /// Does something on the calling thread as a worker would do it.
    pub(crate) fn scoped<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(scope) = &self.shared.scope else { return work() };
        let (mut work, mut done) = (Some(work), None);
        scope(&mut || done = work.take().map(|work| work()));
        // A scope that does not call what it is given breaks its promise; that is no reason for the work not to be done.
        done.or_else(|| work.map(|work| work())).expect("it is done above, or here")
    }

    /// Says that this thread, with an event of this skill, waits for a backend, until the guard is dropped.
    pub(crate) fn wait(&self, skill: SkillId) -> Away {
        self.away(skill, false)
    }

    /// Says that this thread's event, of this skill, has been running for long, until the guard is dropped.
    pub(crate) fn run_long(&self, skill: SkillId) -> Away {
        self.away(skill, true)
    }

    fn away(&self, skill: SkillId, long: bool) -> Away {
        let mut state = self.shared.lock();
        state.away += 1;
        let line = state.queue.skills.entry(skill).or_default();
        line.away += 1;
        line.long += usize::from(long);
        let wakes = self.shared.staff(&mut state);
        drop(state);
        self.shared.wake(wakes);
        Away { shared: self.shared.clone(), skill, long }
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
    skill: SkillId,
    long: bool,
}

impl Drop for Away {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.away -= 1;
        if let Some(line) = state.queue.skills.get_mut(&self.skill) {
            line.away -= 1;
            line.long -= usize::from(self.long);
        }
        state.queue.tidy(self.skill);
        // Jobs of this skill may have waited for its share, with nobody else to look at them.
        let wakes = self.shared.staff(&mut state);
        drop(state);
        self.shared.wake(wakes);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds this lock, so its state is whole.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How many threads there may be now, whatever they take.
    fn most(&self, state: &State) -> usize {
        self.active + state.away.min(self.max_away)
    }

    /// What one of so many threads that are not idle may take now, if anything.
    fn take(&self, state: &State, busy: usize) -> Option<Take> {
        if busy <= self.most(state) {
            Some(Take::Share { long: self.active, away: self.active.max(self.max_away / 2) })
        } else if busy <= self.active + state.away {
            Some(Take::First)
        } else {
            None
        }
    }

    /// Sees to it that somebody takes the next job, if anybody may. Whether a thread is to be [woken](Self::wake) for it.
    #[must_use]
    fn staff(self: &Arc<Self>, state: &mut State) -> bool {
        let one_more = state.threads - state.idle + 1;
        if self.take(state, one_more).and_then(|take| state.queue.next(take)).is_none() {
            return false;
        }
        if state.idle == 0 {
            let shared = self.clone();
            let name = format!("cis-worker-{}", state.threads);
            match thread::Builder::new().name(name).spawn(move || shared.serve()) {
                Ok(_) => state.threads += 1,
                Err(error) => tracing::warn!(target: "cis_skill", "no further worker thread: {error}"),
            }
            return false;
        }
        true
    }

    /// Wakes a thread if one is to be. Not under the lock: it would come to wait for that, and be woken a second time.
    fn wake(&self, wakes: bool) {
        if wakes {
            self.wake.notify_one();
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
            let take = self.take(&state, state.threads - state.idle);
            if let Some((skill, job)) = take.and_then(|take| state.queue.pop(take)) {
                // It may have been woken for two jobs.
                let wakes = self.staff(&mut state);
                drop(state);
                self.wake(wakes);
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.lock();
                state.queue.done(skill);
            } else if state.closed || state.threads > self.most(&state) {
                // Those that stood in for others are too many when those are back.
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

    const ANY: Take = Take::Share { long: 2, away: 3 };

    /// The order in which jobs of these skills are taken.
    fn order(queue: &mut Queue, take: Take, said: &mpsc::Receiver<&'static str>) -> Vec<&'static str> {
        while let Some((_, job)) = queue.pop(take) {
            job();
        }
        said.try_iter().collect()
    }

    /// A queue with these jobs, which say their names.
    fn queue(jobs: &[(SkillId, &'static str)]) -> (Queue, mpsc::Receiver<&'static str>) {
        let (say, said) = mpsc::channel();
        let mut queue = Queue::default();
        for (skill, name) in jobs.iter().copied() {
            let say = say.clone();
            queue.push(skill, Box::new(move || say.send(name).unwrap()));
        }
        (queue, said)
    }

    #[test]
    fn skills_take_turns() {
        let (busy, calm) = (SkillId::next(), SkillId::next());
        let (mut queue, said) = queue(&[(busy, "b1"), (busy, "b2"), (busy, "b3"), (calm, "c1"), (calm, "c2")]);
        assert_eq!(order(&mut queue, ANY, &said), ["b1", "c1", "b2", "c2", "b3"]);
        for skill in [busy, busy, busy, calm, calm] {
            queue.done(skill);
        }
        assert!(queue.skills.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn a_skill_with_its_share_of_threads_waits() {
        let (busy, calm) = (SkillId::next(), SkillId::next());
        for (long, away) in [(2, 2), (0, 3)] {
            let (mut queue, said) = queue(&[(busy, "b1"), (calm, "c1")]);
            let line = queue.skills.get_mut(&busy).unwrap();
            (line.running, line.long, line.away) = (3, long, away);
            assert_eq!(order(&mut queue, ANY, &said), ["c1"]);
            assert_eq!(queue.next(ANY), None);
            let line = queue.skills.get_mut(&busy).unwrap();
            (line.long, line.away) = (long.min(1), away - 1);
            assert_eq!(order(&mut queue, ANY, &said), ["b1"]);
        }
    }

    #[test]
    fn when_too_many_are_away_each_skill_has_one_job_all_the_same() {
        let (busy, calm) = (SkillId::next(), SkillId::next());
        let (mut queue, said) = queue(&[(busy, "b1"), (calm, "c1"), (calm, "c2")]);
        queue.skills.get_mut(&busy).unwrap().running = 1;
        assert_eq!(order(&mut queue, Take::First, &said), ["c1"]);
        queue.done(calm);
        assert_eq!(order(&mut queue, Take::First, &said), ["c2"]);
        let workers = Workers::new(2, 3, None);
        let away = |away| State { away, ..State::default() };
        let any = Take::Share { long: 2, away: 2 };
        for (busy, state, take) in [
            (2, away(0), Some(any)),
            (3, away(0), None),
            (5, away(3), Some(any)),
            (6, away(3), None),
            (6, away(4), Some(Take::First)),
            (7, away(4), None),
        ] {
            assert_eq!(workers.shared.take(&state, busy), take, "{busy} threads");
        }
    }
}

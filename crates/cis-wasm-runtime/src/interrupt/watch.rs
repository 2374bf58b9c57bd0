//! The thread that knows when each run is due.
//!
//! A thread that runs guest code has a [`Slot`], in which it writes when the run is due: two stores for a run, and no lock.
//! The watch sleeps until the first of them, or for a tick when events come and go, so that it is not woken for each. It is
//! woken only for one that is due before it would wake by itself.
//!
//! Invariant: between the watch's look at the slots and its sleep, [`PLANNED`] is `u64::MAX`, so that whoever becomes due
//! meanwhile wakes it. Both sides write first and read then, in one order for all (`SeqCst`), so one of them sees the other.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, Weak};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use super::{WorkersTurn, signal};
use crate::guest::LONG;
use crate::worker::Away;

/// Nanoseconds since some time before the first run of the process.
pub(crate) fn now() -> u64 {
    signal::monotonic()
}

/// A point in time on the clock of [`now`].
pub(crate) fn at(instant: Instant) -> u64 {
    static BASE: OnceLock<(Instant, u64)> = OnceLock::new();
    let (base, base_now) = *BASE.get_or_init(|| (Instant::now(), now()));
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    match instant.checked_duration_since(base) {
        Some(later) => base_now.saturating_add(nanos(later)),
        None => base_now.saturating_sub(nanos(base.duration_since(instant))),
    }
}

/// Nothing is due.
const NEVER: u64 = u64::MAX;
/// How long the watch sleeps at most after events have run, without and with events on workers among them.
const TICK: u64 = 1_000_000_000;
const SHORT_TICK: u64 = LONG.as_nanos() as u64;
/// A sleep that nobody ends is as good as any that is longer.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// How soon a signal is sent again: at first, and at last.
const AGAIN: u64 = 1_000_000;
const AT_LAST: u32 = 6;

/// What the watch knows of one thread.
pub(crate) struct Slot {
    thread: signal::ThreadId,
    /// When the first of its runs is due.
    due: AtomicU64,
    /// When its run will have been long.
    long_at: AtomicU64,
    /// How often the thread was signalled for what is due.
    tries: AtomicU32,
    turn: Mutex<Turn>,
}

/// The worker's turn that a run has, as far as somebody else may have to take its place.
#[derive(Default)]
struct Turn {
    on: Option<WorkersTurn>,
    /// Set from when the run has been long.
    long: Option<Away>,
}

/// When the watch wakes by itself.
static PLANNED: AtomicU64 = AtomicU64::new(NEVER);
/// Whether a run began since the watch last looked, and whether one on a worker did.
static RAN: AtomicBool = AtomicBool::new(false);
static WORKED: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<State> =
    Mutex::new(State { slots: Vec::new(), alarms: BTreeMap::new(), alarm: 0, watch: Weak::new() });
static WAKE: Condvar = Condvar::new();

struct State {
    slots: Vec<Arc<Slot>>,
    /// Whom to wake when, by the time and a number of its own.
    alarms: BTreeMap<(u64, u64), Waker>,
    alarm: u64,
    watch: Weak<Watch>,
}

fn state() -> MutexGuard<'static, State> {
    // Nothing panics while it holds this lock, so the state is whole.
    STATE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Keeps the watch's thread. It ends when the last of these is gone.
pub(crate) struct Watch(());

impl Watch {
    /// The process's watch. Starts its thread when there is none.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub(crate) fn shared() -> std::io::Result<Arc<Self>> {
        let mut state = state();
        if let Some(watch) = state.watch.upgrade() {
            return Ok(watch);
        }
        let watch = Arc::new(Watch(()));
        let kept = Arc::downgrade(&watch);
        thread::Builder::new().name("cis-watch".into()).spawn(move || keep_watch(&kept))?;
        state.watch = Arc::downgrade(&watch);
        Ok(watch)
    }

    /// Wakes somebody at a time on the clock of [`now`], unless the alarm is dropped before.
    pub(crate) fn alarm(&self, due: u64, waker: Waker) -> Alarm {
        let mut state = state();
        state.alarm += 1;
        let key = (due, state.alarm);
        state.alarms.insert(key, waker);
        drop(state);
        wake_before(due);
        Alarm(key)
    }
}

/// Somebody who is to be woken.
pub(crate) struct Alarm((u64, u64));

impl Alarm {
    /// Wakes this one instead.
    pub(crate) fn wakes(&self, waker: &Waker) {
        let mut state = state();
        let old = state.alarms.get_mut(&self.0).filter(|old| !old.will_wake(waker));
        let old = old.map(|old| std::mem::replace(old, waker.clone()));
        drop(state);
        drop(old);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let waker = state().alarms.remove(&self.0);
        // Not under the lock: what a waker does when it goes is not ours to know.
        drop(waker);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        wake();
    }
}

/// Sets a flag that is mostly set: the threads that do would take its cache line from each other.
fn note(flag: &AtomicBool) {
    if !flag.load(Ordering::Relaxed) {
        flag.store(true, Ordering::Relaxed);
    }
}

fn wake_before(due: u64) {
    if due < PLANNED.load(Ordering::SeqCst) {
        wake();
    }
}

fn wake() {
    // The watch holds the lock from its look at the slots to its sleep.
    drop(state());
    WAKE.notify_all();
}

/// Has the thread of a run that nobody waits for any more look at its runs.
pub(crate) fn nudge(slot: &Slot) {
    slot.due.store(0, Ordering::SeqCst);
    wake();
}

impl Slot {
    pub(super) fn set_due(&self, due: u64) {
        self.tries.store(0, Ordering::Relaxed);
        self.due.store(due, Ordering::SeqCst);
    }

    /// A run is over, and the next one is due later, if there is one. The watch may see that late: then it has the thread look in
    /// vain.
    pub(super) fn is_due_later(&self, due: u64) {
        self.tries.store(0, Ordering::Relaxed);
        self.due.store(due, Ordering::Release);
    }

    /// A run has begun: the watch is woken if it would wake too late for it.
    pub(super) fn begin(&self) {
        note(&RAN);
        wake_before(self.due.load(Ordering::Relaxed).min(self.long_at.load(Ordering::Relaxed)));
    }

    /// The thread has looked, and this is when the first of its runs is due.
    pub(super) fn looked(&self, due: u64) {
        if self.due.load(Ordering::Relaxed) == 0 {
            self.due.store(due, Ordering::Relaxed);
        }
    }

    /// Has another thread take this one's place when its run has been long.
    pub(super) fn take_turn<'s>(self: &'s Arc<Self>, turn: WorkersTurn) -> impl Drop + use<'s> {
        self.turn().on = Some(turn);
        note(&WORKED);
        self.long_at.store(now().saturating_add(SHORT_TICK), Ordering::SeqCst);
        TurnTaken(self)
    }

    /// Lets another thread take this one's place while it waits, unless one does already. Meanwhile it does not run long.
    pub(crate) fn wait(&self) -> Option<Away> {
        let turn = self.turn();
        let (workers, skill) = turn.on.as_ref()?;
        self.long_at.store(NEVER, Ordering::SeqCst);
        turn.long.is_none().then(|| workers.wait(*skill))
    }

    /// The wait is over.
    pub(crate) fn go_on(&self) {
        let turn = self.turn();
        if turn.on.is_some() && turn.long.is_none() {
            let long_at = now().saturating_add(SHORT_TICK);
            self.long_at.store(long_at, Ordering::SeqCst);
            drop(turn);
            wake_before(long_at);
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Its run has been long.
    fn make_room(&self) {
        let mut turn = self.turn();
        // Looked at under the lock: the run may have ended or begun to wait.
        if self.long_at.load(Ordering::SeqCst) <= now()
            && let Some((workers, skill)) = &turn.on
        {
            turn.long = Some(workers.run_long(*skill));
            self.long_at.store(NEVER, Ordering::SeqCst);
        }
    }
}

struct TurnTaken<'s>(&'s Arc<Slot>);

impl Drop for TurnTaken<'_> {
    fn drop(&mut self) {
        self.0.long_at.store(NEVER, Ordering::SeqCst);
        let turn = std::mem::take(&mut *self.0.turn());
        drop(turn);
    }
}

/// A thread's slot, for as long as the thread lives.
struct Own(Arc<Slot>);

impl Own {
    fn new() -> Self {
        signal::unblock();
        let slot = Arc::new(Slot {
            thread: signal::this_thread(),
            due: AtomicU64::new(NEVER),
            long_at: AtomicU64::new(NEVER),
            tries: AtomicU32::new(0),
            turn: Mutex::default(),
        });
        state().slots.push(slot.clone());
        Own(slot)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Under the lock under which signals are sent: none is sent to a thread that is gone.
        state().slots.retain(|slot| !Arc::ptr_eq(slot, &self.0));
    }
}

thread_local! {
    static OWN: OnceCell<Own> = const { OnceCell::new() };
}

/// Calls `body` with this thread's slot.
pub(crate) fn with_slot<T>(body: impl FnOnce(&Arc<Slot>) -> T) -> T {
    OWN.with(|own| body(&own.get_or_init(Own::new).0))
}

/// Sends no signal beyond the life of the last [`Watch`].
fn keep_watch(kept: &Weak<Watch>) {
    let mut state = state();
    while kept.strong_count() > 0 {
        PLANNED.store(NEVER, Ordering::SeqCst);
        let now = now();
        let mut next = match (RAN.swap(false, Ordering::Relaxed), WORKED.swap(false, Ordering::Relaxed)) {
            (_, true) => now + SHORT_TICK,
            (true, false) => now + TICK,
            (false, false) => NEVER,
        };
        let mut long = Vec::new();
        for slot in &state.slots {
            next = next.min(look(slot, now));
            let long_at = slot.long_at.load(Ordering::SeqCst);
            if long_at <= now {
                long.push(slot.clone());
            } else {
                next = next.min(long_at);
            }
        }
        let mut rung = Vec::new();
        while let Some(alarm) = state.alarms.first_entry().filter(|alarm| alarm.key().0 <= now) {
            rung.push(alarm.remove());
        }
        if let Some(((due, _), _)) = state.alarms.first_key_value() {
            next = next.min(*due);
        }
        if !rung.is_empty() || !long.is_empty() {
            // These take locks of others, and may start a thread: not under this lock.
            drop(state);
            rung.into_iter().for_each(Waker::wake);
            long.iter().for_each(|slot| slot.make_room());
            state = self::state();
            continue;
        }
        PLANNED.store(next, Ordering::SeqCst);
        let sleep = Duration::from_nanos(next.saturating_sub(self::now())).min(LONGEST_SLEEP);
        state = WAKE.wait_timeout(state, sleep).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
    }
}

/// Signals a thread with a run that is due, and says when to look at it again.
fn look(slot: &Slot, now: u64) -> u64 {
    let due = slot.due.load(Ordering::SeqCst);
    if due > now {
        return due;
    }
    let tries = slot.tries.fetch_add(1, Ordering::Relaxed);
    signal::send(slot.thread);
    now + (AGAIN << tries.min(AT_LAST))
}

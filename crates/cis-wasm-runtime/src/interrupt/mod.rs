//! Stopping guest code from outside: at its deadline, or when nobody waits for it any more.
//!
//! Guest code pays for itself and does nothing else about its limits: it looks at no clock and at no flag, because both would
//! cost every loop. Instead one thread of the process, the [`watch`], knows when each run is due. It sends that thread a
//! signal, and the handler, on the thread itself, does one of two things ([`signal`]):
//! - where the signal met guest code, the thread goes on at an instruction that traps, and the engine unwinds the run as it
//!   does for any trap. The guest's frames have nothing to clean up, so any of its instructions will do;
//! - where it met anything else (the engine, a backend, a host call), nothing can be done there and then: the guest's
//!   counter is emptied, so that it traps at its next payment. The signal comes again until the run has ended.
//!
//! Invariants:
//! - An [`Entry`] is on its thread's list exactly while [`during`] runs its body, and lives on that thread's stack. The
//!   handler runs on that thread alone, so it never sees an entry that is half made or gone.
//! - An entry's code is that of a module that is kept for as long, and its counter is that of an instance that is.
//! - What the handler does is safe in a handler: it reads the entries and the clock, and writes the counter and the
//!   registers. It takes no lock and allocates nothing.
//! - A run that was stopped is over: its instance is not used again.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod signal;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[path = "no_signal.rs"]
mod signal;
mod watch;

use std::cell::Cell;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Instant;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use signal::{gives_up, runs_out};
pub(crate) use watch::{Alarm, Slot, Watch, at as watch_time, nudge, with_slot};

use crate::clock::{Cancel, Clock};
use crate::worker::{SkillId, Workers};

/// What the counter is set to when it is emptied: far below anything that payments alone lead to.
const EMPTIED: i64 = i64::MIN / 2;

/// A run of guest code that can be stopped.
pub(crate) struct Entry {
    /// When it has to be over, on the clock of [`watch::now`].
    due: u64,
    cancel: Cancel,
    /// Where the guest's code lies.
    code: Range<usize>,
    /// The guest's counter.
    counter: NonNull<i64>,
    /// When it has had a thread that is not ours for long enough, on the same clock.
    until: u64,
    /// Whether it was ended for that.
    given_up: Cell<bool>,
    /// Whether the run was stopped.
    stopped: Cell<bool>,
    /// What the counter held when it was emptied.
    taken: Cell<Option<i64>>,
    /// The run on this thread within which this one goes on, if any: a backend may run a skill.
    outer: Cell<*const Entry>,
    /// The thread's slot, while the entry is on the list.
    slot: Cell<*const Slot>,
}

thread_local! {
    /// The innermost run on this thread.
    static INNERMOST: Cell<*const Entry> = const { Cell::new(ptr::null()) };
}

impl Entry {
    /// One that is stopped from outside if it is `watched`. If not, it is on the list all the same, so that others know of it.
    /// A run that has a thread only `until` then is given up from there on where it writes to another page: that takes time
    /// that no fuel is paid for.
    ///
    /// # Safety
    ///
    /// `counter` has to be readable and writable until the entry is dropped, and nobody else's meanwhile but this thread's.
    pub(crate) unsafe fn new(
        clock: &Clock,
        watched: bool,
        until: Option<Instant>,
        code: Range<usize>,
        counter: NonNull<i64>,
    ) -> Self {
        Entry {
            due: if watched { clock.deadline.due() } else { u64::MAX },
            cancel: if watched { clock.cancel.clone() } else { Cancel::default() },
            code,
            counter,
            until: until.map_or(u64::MAX, watch::at),
            given_up: Cell::new(false),
            stopped: Cell::new(false),
            taken: Cell::new(None),
            outer: Cell::new(ptr::null()),
            slot: Cell::new(ptr::null()),
        }
    }

    /// Whether the run was stopped from outside.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped.get() || self.taken.get().is_some()
    }

    /// Whether the run was ended because it had its thread for long enough.
    pub(crate) fn given_up(&self) -> bool {
        self.given_up.get()
    }

    /// What the counter would be had nobody emptied it.
    pub(crate) fn fuel_left(&self, counter: i64) -> i64 {
        match self.taken.get() {
            Some(taken) if counter < EMPTIED / 2 => taken.saturating_add(counter - EMPTIED),
            _ => counter,
        }
    }

    /// Whether it has to be over.
    fn overdue(&self, now: u64) -> bool {
        now >= self.due || self.cancel.is_cancelled()
    }

    /// Empties the counter, unless it is.
    fn empty(&self) {
        // SAFETY: the handler runs on the entry's own thread while the entry is on its list, so the counter is readable and
        // writable and nobody else's. It interrupts whoever else uses it, so both accesses are volatile.
        unsafe {
            let left = self.counter.as_ptr().read_volatile();
            if left > EMPTIED / 2 {
                self.taken.set(Some(left));
                self.counter.as_ptr().write_volatile(EMPTIED);
            }
        }
    }
}

/// Whether threads can be interrupted here.
pub(crate) fn are_possible() -> bool {
    let set = signal::handle();
    if let Err(error) = &set {
        tracing::debug!(target: "cis_skill", "no signals to stop guests with: {error}");
    }
    set.is_ok()
}

/// Whether the innermost run on this thread was stopped.
#[inline]
pub(crate) fn is_stopped() -> bool {
    entries().next().is_some_and(Entry::stopped)
}

/// Ends the innermost run on this thread at its next payment, if it has the thread only for a while.
pub(crate) fn give_up() {
    if let Some(entry) = entries().next().filter(|entry| entry.until != u64::MAX) {
        entry.given_up.set(true);
        entry.empty();
    }
}

/// Whether a run is going on on this thread.
pub(crate) fn is_running() -> bool {
    !INNERMOST.get().is_null()
}

/// The workers whose turn a run has, and for which skill.
pub(crate) type WorkersTurn = (Arc<Workers>, SkillId);

/// Runs guest code that is stopped when it is due. When it has a worker's turn, another takes its place once it runs long.
pub(crate) fn during<T>(entry: &Entry, turn: Option<WorkersTurn>, body: impl FnOnce() -> T) -> T {
    with_slot(|slot| {
        let _turn = turn.map(|turn| slot.take_turn(turn));
        let _listed = Listed::new(slot, entry);
        slot.begin();
        body()
    })
}

/// An entry on its thread's list.
struct Listed<'s> {
    slot: &'s Arc<Slot>,
    outer: *const Entry,
}

impl<'s> Listed<'s> {
    fn new(slot: &'s Arc<Slot>, entry: &Entry) -> Self {
        let outer = INNERMOST.get();
        entry.outer.set(outer);
        entry.slot.set(Arc::as_ptr(slot));
        INNERMOST.set(entry);
        entry.cancel.runs_on(slot);
        slot.set_due(earliest());
        Listed { slot, outer }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        INNERMOST.set(self.outer);
        self.slot.is_due_later(earliest());
    }
}

/// The entries of this thread, the innermost first.
fn entries() -> impl Iterator<Item = &'static Entry> {
    // SAFETY: an entry is on the list only while it lives, by the first invariant; the references do not leave this module,
    // where none is kept beyond the loop that it is for.
    let deref = |entry: *const Entry| unsafe { entry.as_ref() };
    std::iter::successors(deref(INNERMOST.get()), move |entry| deref(entry.outer.get()))
}

/// When the first of this thread's runs is due.
fn earliest() -> u64 {
    entries().map(|entry| if entry.cancel.is_cancelled() { 0 } else { entry.due }).min().unwrap_or(u64::MAX)
}

/// What a thread does that was signalled while none of its runs is due: it says when the first of them is.
fn look_again() {
    // SAFETY: an entry on the list has its thread's slot, which `during` keeps.
    if let Some(slot) = entries().next().and_then(|entry| unsafe { entry.slot.get().as_ref() }) {
        slot.looked(earliest());
    }
}

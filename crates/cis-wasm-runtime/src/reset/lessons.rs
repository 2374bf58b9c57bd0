//! When it is learnt anew which pages events write to.
//!
//! A lesson takes system calls and faults, and other threads of the process are interrupted for each. So a lesson that showed
//! nothing new makes the time until the next one longer. A page that is noted in between makes it short again: whatever one
//! event wrote to is not copied back after many more than [`FIRST`] others.

use std::sync::atomic::{AtomicUsize, Ordering};

/// After so many events is the first lesson, and the next one after anything new.
const FIRST: usize = 2_048;
/// The most events between lessons.
const LONGEST: usize = 64 * FIRST;
/// After so many events is a lesson for a memory that was opened, where every event costs more.
const OPENED: usize = 256;
/// What is noted by so many events after a lesson is what it teaches.
const TEACHES: usize = 64;

/// The lessons of one memory.
pub(super) struct Lessons {
    /// Events since the last one.
    events: AtomicUsize,
    /// After how many the next one is.
    next: AtomicUsize,
    /// How many pages were noted when the last one came.
    learnt: AtomicUsize,
}

impl Lessons {
    pub(super) fn new() -> Self {
        Lessons { events: AtomicUsize::new(0), next: AtomicUsize::new(FIRST), learnt: AtomicUsize::new(0) }
    }

    /// Counts an event, and says whether the next lesson is now.
    pub(super) fn after_event(&self, opened: bool) -> bool {
        // One thread at a time has the memory.
        let events = self.events.load(Ordering::Relaxed);
        self.events.store(events + 1, Ordering::Relaxed);
        events >= if opened { OPENED } else { self.next.load(Ordering::Relaxed) }
    }

    /// A lesson begins, so many pages being noted.
    pub(super) fn begin(&self, noted: usize, opened: bool) {
        let nothing_new = self.learnt.swap(noted, Ordering::Relaxed) == noted && !opened;
        let next = self.next.load(Ordering::Relaxed);
        self.next.store(if nothing_new { (2 * next).min(LONGEST) } else { FIRST }, Ordering::Relaxed);
        self.events.store(0, Ordering::Relaxed);
    }

    /// Pages were noted. Runs in the signal handler.
    pub(super) fn noted(&self) {
        let events = self.events.load(Ordering::Relaxed);
        if events > TEACHES {
            self.next.fetch_min(events + FIRST, Ordering::Relaxed);
        }
    }

    /// Memory was opened: its first event is this one.
    pub(super) fn opened(&self) {
        self.events.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many events there are until the next lesson.
    fn until_next(lessons: &Lessons, opened: bool) -> usize {
        (0..).find(|_| lessons.after_event(opened)).unwrap()
    }

    #[test]
    fn lessons_become_rare_while_they_show_nothing_new() {
        let lessons = Lessons::new();
        let mut lasted = Vec::new();
        for _ in 0..9 {
            lasted.push(until_next(&lessons, false));
            lessons.begin(7, false);
            // What the first event writes to.
            lessons.noted();
        }
        let times = [1, 1, 2, 4, 8, 16, 32, 64, 64];
        assert_eq!(lasted, times.map(|times| times * FIRST));
        assert_eq!(until_next(&lessons, false), LONGEST);
        lessons.begin(8, false);
        assert_eq!(until_next(&lessons, false), FIRST);
    }

    #[test]
    fn what_is_noted_late_is_looked_at_soon() {
        let lessons = Lessons::new();
        for _ in 0..10 {
            until_next(&lessons, false);
            lessons.begin(7, false);
        }
        for _ in 0..1_000 {
            assert!(!lessons.after_event(false));
        }
        lessons.noted();
        assert_eq!(until_next(&lessons, false), FIRST);
    }

    #[test]
    fn an_opened_memory_learns_soon() {
        let lessons = Lessons::new();
        assert!(!lessons.after_event(false));
        lessons.opened();
        assert_eq!(until_next(&lessons, true), OPENED);
        lessons.begin(0, true);
        assert_eq!(until_next(&lessons, false), FIRST);
    }
}

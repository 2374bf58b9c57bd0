//! What is learnt of runs that go on where they were: how long each takes until its event waits again, or is over.
//!
//! As with events from their start ([`crate::learnt`]), fuel does not tell time, and a thread that is not ours has little of it.
//! But a stretch that takes too long there is all that has to be done again, so it is given as much fuel as those of its skill
//! before it show to be good for [`TIME`].

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use crate::learnt::processor_time;

/// How long a stretch is to keep a thread that is not ours, about. Going on and waiting again take some more.
const TIME: Duration = Duration::from_micros(80);
/// How much fuel it has before anything is known: for code of any kind, not much longer.
const FIRST: u64 = 40_000;
/// How much it has at the least, and at the most, however quick they were.
const FUEL: (u64, u64) = (20_000, 2_000_000);
/// A pace is learnt of those that used so much: of shorter ones, most is what is beside the guest's own work.
const TELLING: u64 = 20_000;

/// So many long stretches more than short ones, of late, and the next goes to a worker at once.
const LONG: u8 = 4;
/// Of those, one in so many does not.
const ONE_IN: u8 = 64;

/// What is known of a skill's stretches.
pub(crate) struct Stretches {
    /// How often they have taken too long for a thread that is not ours, of late.
    long: AtomicU8,
    /// How many were sent to the workers for that, give or take.
    sent: AtomicU8,
    /// How long a unit of fuel takes, in 1,024ths of a nanosecond. 0 is not known.
    pace: AtomicU32,
}

/// A stretch that begins.
pub(crate) struct Stretch {
    /// How much fuel it has on a thread that is not ours.
    pub fuel: u64,
    /// When, in the processor time of its thread.
    began: Option<Duration>,
}

/// How a stretch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, on a thread that is not ours.
    Here,
    /// By what it took there.
    Long,
    /// By itself, on a worker.
    Elsewhere,
}

impl Stretches {
    pub(crate) fn new() -> Self {
        Stretches { long: AtomicU8::new(0), sent: AtomicU8::new(1), pace: AtomicU32::new(0) }
    }

    /// Whether the next one may begin on a thread that is not ours: if they do not usually take long. One in so many begins
    /// there all the same, to see whether that is still so.
    pub(crate) fn are_brief(&self) -> bool {
        let tries = || self.sent.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_IN);
        self.long.load(Ordering::Relaxed) < LONG || tries()
    }

    /// One begins, there or on a worker.
    pub(crate) fn begin(&self) -> Stretch {
        Stretch { fuel: self.fuel(), began: processor_time() }
    }

    /// One ended that used so much fuel.
    pub(crate) fn end(&self, stretch: &Stretch, used: u64, ended: Ended) {
        let time = stretch.began.and_then(|began| processor_time()?.checked_sub(began));
        if let Some(time) = time.filter(|time| used >= TELLING && (ended != Ended::Long || *time > TIME)) {
            // What had too little fuel for its time is done again elsewhere, and tells its pace there: here, most of a short
            // time is what it takes to end it.
            self.measured(time, used);
        }
        match ended {
            Ended::Elsewhere if used > self.fuel() => {}
            _ => self.took(ended == Ended::Long),
        }
    }

    fn fuel(&self) -> u64 {
        match u64::from(self.pace.load(Ordering::Relaxed)) {
            0 => FIRST,
            pace => ((TIME.as_nanos() as u64 * 1_024) / pace).clamp(FUEL.0, FUEL.1),
        }
    }

    fn took(&self, long: bool) {
        let before = self.long.load(Ordering::Relaxed);
        let now = if long { before.saturating_add(1).min(2 * LONG) } else { before.saturating_sub(1) };
        if now != before {
            self.long.store(now, Ordering::Relaxed);
        }
    }

    fn measured(&self, time: Duration, used: u64) {
        let now = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(1_024) / used.max(1);
        let now = u32::try_from(now).unwrap_or(u32::MAX).max(1);
        let before = self.pace.load(Ordering::Relaxed);
        let pace = match before {
            0 => now,
            // Much slower at once, everything else by and by: what a skill does after one answer is not what it does after the
            // next.
            _ if now / 2 > before => now,
            _ if now > before => before + (now - before).div_ceil(4),
            _ => before - (before - now).div_ceil(4),
        };
        if pace != before {
            self.pace.store(pace, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches(nanos: u64, used: u64) -> Stretches {
        let stretches = Stretches::new();
        stretches.measured(Duration::from_nanos(nanos), used);
        stretches
    }

    #[test]
    fn fuel_is_what_their_pace_says_within_bounds() {
        assert_eq!(Stretches::new().fuel(), FIRST);
        // One nanosecond each, and a tenth.
        assert_eq!(stretches(50_000, 50_000).fuel(), 80_000);
        assert!((795_000..805_000).contains(&stretches(50_000, 500_000).fuel()));
        assert_eq!(stretches(1, 500_000).fuel(), FUEL.1);
        assert_eq!(stretches(u64::MAX, 1).fuel(), FUEL.0);
    }

    #[test]
    fn a_pace_is_much_slower_at_once_and_another_by_and_by() {
        let stretches = stretches(50_000, 50_000);
        stretches.measured(Duration::from_nanos(60_000), 50_000);
        assert!((70_000..80_000).contains(&stretches.fuel()), "{}", stretches.fuel());
        stretches.measured(Duration::from_nanos(160_000), 50_000);
        assert!((24_990..25_010).contains(&stretches.fuel()), "{}", stretches.fuel());
        stretches.measured(Duration::from_nanos(50_000), 50_000);
        assert!((26_000..60_000).contains(&stretches.fuel()), "{}", stretches.fuel());
        (0..100).for_each(|_| stretches.measured(Duration::from_nanos(50_000), 50_000));
        assert_eq!(stretches.fuel(), 80_000);
    }

    #[test]
    fn whole_ones_tell_their_pace_and_those_that_were_long_for_their_time() {
        // What is used here is nothing that was done: so it was done in no time.
        let stretches = Stretches::new();
        stretches.end(&stretches.begin(), TELLING - 1, Ended::Here);
        assert_eq!(stretches.fuel(), FIRST);
        stretches.end(&stretches.begin(), u64::MAX, Ended::Long);
        assert_eq!(stretches.fuel(), FIRST);
        stretches.end(&stretches.begin(), u64::MAX, Ended::Elsewhere);
        assert_eq!(stretches.fuel(), if cfg!(unix) { FUEL.1 } else { FIRST });
        // One that began before this thread did.
        let began = processor_time().map(|_| Duration::ZERO);
        while processor_time().is_some_and(|time| time < 2 * TIME) {}
        stretches.end(&Stretch { fuel: FIRST, began }, FIRST, Ended::Long);
        assert_eq!(stretches.fuel(), if cfg!(unix) { FUEL.0 } else { FIRST });
    }

    #[test]
    fn where_they_are_long_they_go_to_the_workers_but_for_one_in_so_many() {
        let stretches = Stretches::new();
        assert!((0..100).all(|_| stretches.are_brief()));
        (0..LONG).for_each(|_| stretches.end(&stretches.begin(), 0, Ended::Long));
        assert_eq!((0..=u8::MAX).filter(|_| stretches.are_brief()).count(), 256 / usize::from(ONE_IN));
        stretches.end(&Stretch { fuel: FIRST, began: None }, FIRST + 1, Ended::Elsewhere);
        assert!(!(0..ONE_IN - 1).any(|_| stretches.are_brief()));
        stretches.end(&Stretch { fuel: FIRST, began: None }, FIRST, Ended::Elsewhere);
        assert!(stretches.are_brief());
    }
}

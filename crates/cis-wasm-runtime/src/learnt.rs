//! What is learnt of how long a skill's events take: how many begin on a thread that is not ours, and with how much fuel.
//!
//! Fuel does not tell time. A unit is work of 0.02 ns, where code that calls and branches much pays for more than it runs,
//! to 2.5 ns, where it divides. So a skill begins with a little, and when an event of it needs more, the time that one took
//! says how much fuel is good for [`TIME`]. It is measured as processor time, on a busy machine too, and only when there is
//! a reason: asking for it costs as much as some events.
//!
//! Invariant: the one unsafe call writes to a local of the right type.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long an event is to keep a thread that is not ours, about.
const TIME: Duration = Duration::from_micros(80);
/// How much fuel it has before anything is known: for code of any kind, not much longer.
const FIRST: u64 = 40_000;
/// How much it has at the least, and at the most: even where a unit is next to nothing, a host call's time is not.
const FUEL: (u64, u64) = (20_000, 400_000);
/// A pace is learnt of events that used so much: of less, what is beside the guest's own work would be most.
const TELLING: u64 = 10_000;

/// So many long events more than short ones, of late, and the next goes to the workers at once.
const LONG_EVENTS: u8 = 4;
/// Of those, one in so many does not.
const ONE_IN: u8 = 64;

/// What is known of a skill's events.
pub(crate) struct Learnt {
    /// How often they have taken too long for a thread that is not ours, of late.
    long: AtomicU8,
    /// How many were sent to the workers for that, give or take.
    sent: AtomicU8,
    /// How long a unit of fuel takes, in 1,024ths of a nanosecond. 0 is not known.
    pace: AtomicU32,
    /// Whether the pace is to be measured: one of those below.
    doubt: AtomicU8,
}

/// The pace is as it was.
const NO_DOUBT: u8 = 0;
/// An event that ended took long by the clock on the wall.
const SLOW: u8 = 1;
/// An event did not end.
const UNENDED: u8 = 2;

/// An event that begins on a thread that is not ours.
pub(crate) struct Trial {
    /// How much fuel it has.
    pub fuel: u64,
    /// When it began.
    pub since: Instant,
    /// The same in processor time, where that is measured.
    processor: Option<Duration>,
}

impl Learnt {
    pub(crate) fn new() -> Self {
        Learnt {
            long: AtomicU8::new(0),
            sent: AtomicU8::new(1),
            pace: AtomicU32::new(0),
            doubt: AtomicU8::new(NO_DOUBT),
        }
    }

    /// Whether the next event may begin on a thread that is not ours: if they do not usually take long. One in so many
    /// begins there all the same, to see whether that is still so.
    pub(crate) fn are_brief(&self) -> bool {
        let tries = || self.sent.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_IN);
        self.long.load(Ordering::Relaxed) < LONG_EVENTS || tries()
    }

    /// Begins an event on a thread that is not ours.
    pub(crate) fn begin(&self) -> Trial {
        let doubt = self.doubt.load(Ordering::Relaxed);
        let fuel = if doubt == UNENDED { FIRST } else { self.fuel() };
        let processor = if doubt == NO_DOUBT { None } else { processor_time() };
        Trial { fuel, since: Instant::now(), processor }
    }

    /// How much fuel is good for the time that an event has there.
    pub(crate) fn fuel(&self) -> u64 {
        match u64::from(self.pace.load(Ordering::Relaxed)) {
            0 => FIRST,
            pace => ((TIME.as_nanos() as u64 * 1_024) / pace).clamp(FUEL.0, FUEL.1),
        }
    }

    /// Learns from one that used so much fuel, and whether it was too long.
    pub(crate) fn end(&self, trial: &Trial, used: u64, long: bool) {
        self.took(long);
        if used < TELLING && !long {
            return;
        }
        let began = trial.processor.filter(|_| used >= TELLING);
        if let Some(time) = began.and_then(|began| processor_time()?.checked_sub(began)) {
            self.measured(time, used);
            store(&self.doubt, NO_DOUBT);
        } else if long {
            // With what is known of its pace it should not have been: less is given until it is known better.
            store(&self.doubt, UNENDED);
        } else if trial.since.elapsed() > TIME * 2 {
            store(&self.doubt, SLOW);
        }
    }

    fn measured(&self, time: Duration, used: u64) {
        let now = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(1_024) / used.max(1);
        let now = u32::try_from(now).unwrap_or(u32::MAX).max(1);
        let before = self.pace.load(Ordering::Relaxed);
        // Slower at once, faster by and by: events of one skill differ.
        let pace = if before == 0 || now > before { now } else { before - (before - now).div_ceil(4) };
        self.pace.store(pace, Ordering::Relaxed);
    }

    /// Learns from an event on a worker how long it would have been.
    pub(crate) fn took(&self, long: bool) {
        let before = self.long.load(Ordering::Relaxed);
        store(&self.long, if long { before.saturating_add(1).min(2 * LONG_EVENTS) } else { before.saturating_sub(1) });
    }
}

/// Stores what is mostly there: the threads that do would take its cache line from each other.
fn store(to: &AtomicU8, value: u8) {
    if to.load(Ordering::Relaxed) != value {
        to.store(value, Ordering::Relaxed);
    }
}

/// What this thread has had of a processor, where that can be asked.
#[cfg(unix)]
pub(crate) fn processor_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`, which `time` has room for.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    (result == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(not(unix))]
pub(crate) fn processor_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(nanos: u64, used: u64) -> Learnt {
        let learnt = Learnt::new();
        learnt.measured(Duration::from_nanos(nanos), used);
        learnt
    }

    #[test]
    fn fuel_is_what_the_pace_says_within_bounds() {
        assert_eq!(Learnt::new().fuel(), FIRST);
        // One nanosecond each.
        assert_eq!(learnt(50_000, 50_000).fuel(), 80_000);
        assert_eq!(learnt(100_000, 50_000).fuel(), 40_000);
        assert_eq!(learnt(1_000, 50_000).fuel(), FUEL.1);
        assert_eq!(learnt(10_000_000, 50_000).fuel(), FUEL.0);
        assert_eq!(learnt(u64::MAX, 1).fuel(), FUEL.0);
    }

    #[test]
    fn a_pace_is_slower_at_once_and_faster_by_and_by() {
        let learnt = learnt(50_000, 50_000);
        learnt.measured(Duration::from_nanos(160_000), 50_000);
        assert!((24_900..25_100).contains(&learnt.fuel()), "{}", learnt.fuel());
        learnt.measured(Duration::from_nanos(50_000), 50_000);
        assert!((26_000..60_000).contains(&learnt.fuel()), "{}", learnt.fuel());
        for _ in 0..100 {
            learnt.measured(Duration::from_nanos(50_000), 50_000);
        }
        assert_eq!(learnt.fuel(), 80_000);
    }

    #[test]
    fn an_event_that_did_not_end_has_the_next_one_measured() {
        let learnt = learnt(1_000, 50_000);
        let first = learnt.begin();
        assert!(first.fuel == FUEL.1 && first.processor.is_none());
        learnt.end(&first, FUEL.1, true);
        let second = learnt.begin();
        assert!(second.fuel == FIRST && second.processor.is_some() == cfg!(unix));
        learnt.end(&second, FIRST, true);
        assert!(!cfg!(unix) || learnt.begin().processor.is_none());
        // One that used next to nothing, and took long for something else, tells nothing of the pace.
        let pace = learnt.fuel();
        learnt.end(&learnt.begin(), TELLING - 1, true);
        learnt.end(&learnt.begin(), TELLING - 1, true);
        learnt.end(&learnt.begin(), 0, false);
        assert_eq!(learnt.fuel(), pace);
    }

    #[test]
    fn long_events_go_to_the_workers_but_for_one_in_so_many() {
        let learnt = Learnt::new();
        assert!((0..100).all(|_| learnt.are_brief()));
        (0..LONG_EVENTS).for_each(|_| learnt.took(true));
        let tried = (0..=u8::MAX).filter(|_| learnt.are_brief()).count();
        assert_eq!(tried, 256 / usize::from(ONE_IN));
        learnt.took(false);
        assert!(learnt.are_brief());
    }
}

//! What is learnt of how long a skill's events take: how many begin on a thread that is not ours, and with how much fuel.
//!
//! Fuel does not tell time. A unit is work of 0.02 ns, where code that calls and branches much pays for more than it runs,
//! to 2.5 ns, where it divides, and 30 ns, where it reads memory that nobody touched. So a kind of events goes to the workers
//! until one was measured there and took little time. From then on they begin where they are sent, with somewhat more fuel than
//! one used that took little time: nobody has to guess what a unit takes. One that needs more goes to a worker after all.
//!
//! Events of one type are a kind: those that a skill is sent often are mostly alike. A few kinds are told apart.
//!
//! The same is learnt of events that go on where they were: what is one event in the words below is then what one does until
//! it waits again or is over.
//!
//! Invariant: the one unsafe call writes to a local of the right type.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long an event may take that others like it are to begin with as much fuel as it used.
const BRIEF: Duration = Duration::from_micros(60);
/// From here on it was not. By the clock on the wall it may have been all the same: the thread had to wait for a processor.
const LONG: Duration = Duration::from_micros(90);
/// How much fuel is little: what ends soon whatever it is spent on.
pub(crate) const LITTLE: u64 = 1_000;
/// How much it has at the least.
const LEAST: u32 = LITTLE as u32;
/// How much it has at the most, at its start.
const MOST: u32 = 400_000;
/// How much it has at the most when it goes on: more, because it is not run again from its start when that was too much.
const MOST_GOING_ON: u32 = 2_000_000;

/// So many long events more than short ones, of late, and the next goes to the workers at once.
const LONG_EVENTS: u8 = 4;
/// Of those, one in so many does not.
const ONE_IN: u8 = 64;

/// So many events are measured as the processor's time, which costs as much as some events, after one that may have been long.
const DOUBTED: u8 = 16;

/// How many kinds of events are told apart. Types that share a place are one kind.
const KINDS: usize = 8;

/// What is known of a skill's events.
pub(crate) struct Learnt {
    kinds: [Kind; KINDS],
}

/// What is known of events of one kind.
pub(crate) struct Kind {
    /// How often they have taken too long for a thread that is not ours, of late.
    long: AtomicU8,
    /// How many were sent to the workers for that, give or take.
    sent: AtomicU8,
    /// The most fuel that one used that was brief. 0 where none is known.
    fuel: AtomicU32,
    /// The most that one may have.
    most: u32,
    /// How many are still to be measured.
    doubted: AtomicU8,
}

impl Learnt {
    /// Nothing, of events from their start.
    pub(crate) fn of_events() -> Self {
        Learnt { kinds: std::array::from_fn(|_| Kind::new(MOST)) }
    }

    /// Nothing, of those that go on.
    pub(crate) fn of_going_on() -> Self {
        Learnt { kinds: std::array::from_fn(|_| Kind::new(MOST_GOING_ON)) }
    }

    /// What is known of events of this type.
    pub(crate) fn of(&self, event_type: &str) -> &Kind {
        // The ends of types differ most. Whoever means to have two of theirs share a place may.
        let hash = event_type
            .bytes()
            .rev()
            .take(16)
            .fold(0_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        &self.kinds[(hash >> 16) as usize % KINDS]
    }
}

impl Kind {
    fn new(most: u32) -> Self {
        Kind {
            long: AtomicU8::new(0),
            sent: AtomicU8::new(1),
            fuel: AtomicU32::new(0),
            most,
            doubted: AtomicU8::new(0),
        }
    }

    /// Whether the next event may begin on a thread that is not ours: if one was brief, and they do not usually take long. One
    /// in so many begins there all the same, to see whether that is still so.
    pub(crate) fn are_brief(&self) -> bool {
        if self.fuel.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let tries = || self.sent.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_IN);
        self.long.load(Ordering::Relaxed) < LONG_EVENTS || tries()
    }

    /// How much fuel an event has there: some more than one that was brief.
    pub(crate) fn fuel(&self) -> u64 {
        let fuel = self.fuel.load(Ordering::Relaxed);
        u64::from(fuel.saturating_add(fuel / 4).clamp(LEAST, self.most))
    }

    /// For an event that begins there.
    pub(crate) fn stopwatch(&self) -> Stopwatch {
        if self.doubted.load(Ordering::Relaxed) > 0 { Stopwatch::start() } else { Stopwatch::on_the_wall() }
    }

    /// Learns from an event that ended on a thread that is not ours, or waits, after so much fuel and time.
    pub(crate) fn ended(&self, used: u64, time: Time) {
        if self.is_sure(time) {
            self.took(time.passed > LONG);
            self.paid(used, time.passed);
        }
    }

    /// Learns from one that was put down there because it needed more fuel than that, or more time.
    pub(crate) fn unended(&self, used: u64, time: Time) {
        self.took(true);
        if self.is_sure(time) && time.passed > LONG {
            self.paid(used, time.passed);
        }
    }

    /// Whether that was the event's own time. Where it may have been another thread's, the next ones are measured.
    fn is_sure(&self, time: Time) -> bool {
        let before = self.doubted.load(Ordering::Relaxed);
        let sure = time.measured || time.passed <= LONG;
        let now = if sure { before.saturating_sub(u8::from(time.measured)) } else { DOUBTED };
        if now != before {
            self.doubted.store(now, Ordering::Relaxed);
        }
        sure
    }

    /// Learns from one that ended on a worker, or waits, and took so much of a processor's time.
    pub(crate) fn worked(&self, used: u64, time: Duration) {
        if time <= BRIEF && used <= u64::from(self.most) {
            self.took(false);
            self.paid(used, time);
        }
    }

    /// So much fuel was spent in so much time.
    fn paid(&self, used: u64, time: Duration) {
        let before = self.fuel.load(Ordering::Relaxed);
        let now = if time <= BRIEF {
            before.max(u32::try_from(used).unwrap_or(u32::MAX).clamp(1, self.most))
        } else if time > LONG && used >= u64::from(LEAST) {
            let brief = u128::from(used) * BRIEF.as_nanos() / time.as_nanos();
            before.min(u32::try_from(brief).unwrap_or(u32::MAX).max(1))
        } else {
            before
        };
        if now != before {
            self.fuel.store(now, Ordering::Relaxed);
        }
    }

    /// Learns whether one was long.
    fn took(&self, long: bool) {
        let before = self.long.load(Ordering::Relaxed);
        let now = if long { before.saturating_add(1).min(2 * LONG_EVENTS) } else { before.saturating_sub(1) };
        // Mostly it is the same: the threads that store it would take its cache line from each other.
        if now != before {
            self.long.store(now, Ordering::Relaxed);
        }
    }
}

/// How long an event took.
#[derive(Clone, Copy)]
pub(crate) struct Time {
    passed: Duration,
    /// Whether it was the event's alone, as far as that can be asked.
    measured: bool,
}

impl Time {
    /// So much on the wall.
    pub(crate) fn on_the_wall(passed: Duration) -> Self {
        Time { passed, measured: false }
    }
}

/// The calling thread's time on a processor. Where that cannot be asked, time on the wall.
pub(crate) struct Stopwatch {
    wall: Instant,
    processor: Option<Duration>,
    measures: bool,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Stopwatch { wall: Instant::now(), processor: processor_time(), measures: true }
    }

    /// One of time on the wall alone: it costs less to ask for.
    fn on_the_wall() -> Self {
        Stopwatch { wall: Instant::now(), processor: None, measures: false }
    }

    /// When it was started.
    pub(crate) fn since(&self) -> Instant {
        self.wall
    }

    /// Whether it does more than look at the clock on the wall.
    pub(crate) fn measures(&self) -> bool {
        self.measures
    }

    /// The same as [`Stopwatch::elapsed`], and what that is.
    pub(crate) fn time(&self) -> Time {
        Time { passed: self.elapsed(), measured: self.measures }
    }

    /// How much it has had since, on the thread that started it.
    pub(crate) fn elapsed(&self) -> Duration {
        let processor = self.processor.and_then(|began| processor_time()?.checked_sub(began));
        processor.unwrap_or_else(|| self.wall.elapsed())
    }
}

/// What this thread has had of a processor, where that can be asked.
#[cfg(unix)]
fn processor_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`, which `time` has room for.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    (result == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(not(unix))]
fn processor_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    fn measured(passed: Duration) -> Time {
        Time { passed, measured: true }
    }

    #[test]
    fn what_was_long_on_the_wall_alone_has_the_next_ones_measured() {
        let kind = Kind::new(MOST);
        kind.worked(200_000, micros(10));
        assert!(!kind.stopwatch().measures());
        for _ in 0..3 * LONG_EVENTS {
            kind.ended(200_000, Time::on_the_wall(Duration::from_millis(4)));
        }
        assert!(kind.stopwatch().measures() && kind.are_brief());
        kind.unended(200_000, Time::on_the_wall(Duration::from_millis(4)));
        assert_eq!(kind.fuel(), 250_000);
        (0..DOUBTED).for_each(|_| kind.ended(200_000, measured(micros(10))));
        assert!(!kind.stopwatch().measures());
        kind.ended(200_000, measured(micros(100)));
        assert_eq!(kind.fuel(), 150_000);
    }

    #[test]
    fn an_event_has_some_more_than_one_that_was_brief() {
        let kind = Kind::new(MOST);
        assert_eq!(kind.fuel(), 1_000);
        kind.worked(100_000, BRIEF);
        assert_eq!(kind.fuel(), 125_000);
        // Not less for one that used less, nor for one that took longer where a thread is ours.
        kind.ended(10, measured(micros(1)));
        kind.worked(300_000, BRIEF + micros(1));
        kind.worked(300_000, Duration::from_secs(1));
        assert_eq!(kind.fuel(), 125_000);
        kind.ended(120_000, Time::on_the_wall(micros(50)));
        assert_eq!(kind.fuel(), 150_000);
        kind.worked(400_000, micros(1));
        assert_eq!(kind.fuel(), 400_000);
        let going_on = Learnt::of_going_on();
        going_on.of("go").worked(400_001, micros(1));
        assert_eq!(going_on.of("go").fuel(), 500_001);
    }

    #[test]
    fn one_that_kept_the_thread_too_long_has_the_next_one_have_less() {
        let kind = Kind::new(MOST);
        kind.worked(200_000, micros(10));
        // Between brief and long, nothing is learnt of the fuel.
        kind.unended(250_000, measured(LONG));
        kind.ended(250_000, measured(LONG));
        assert_eq!(kind.fuel(), 250_000);
        kind.unended(240_000, measured(micros(240)));
        assert_eq!(kind.fuel(), 75_000);
        // It is not more for that either, and not less than nothing.
        kind.unended(10_000_000, measured(micros(240)));
        assert_eq!(kind.fuel(), 75_000);
        kind.ended(10_000, measured(Duration::from_secs(10)));
        assert_eq!(kind.fuel(), 1_000);
        // What took long used next to no fuel: that was something else.
        kind.worked(200_000, micros(10));
        kind.unended(100, measured(Duration::from_secs(1)));
        kind.ended(999, measured(Duration::MAX));
        assert_eq!(kind.fuel(), 250_000);
    }

    #[test]
    fn events_go_to_the_workers_until_one_was_brief() {
        let kind = Kind::new(MOST);
        assert!(!(0..1_000).any(|_| kind.are_brief()));
        kind.worked(0, BRIEF + micros(1));
        kind.worked(u64::from(MOST) + 1, micros(1));
        assert!(!(0..1_000).any(|_| kind.are_brief()));
        kind.worked(0, BRIEF);
        assert!((0..1_000).all(|_| kind.are_brief()));
    }

    #[test]
    fn long_events_go_to_the_workers_but_for_one_in_so_many() {
        let kind = Kind::new(MOST);
        kind.worked(1_000, BRIEF);
        assert!((0..100).all(|_| kind.are_brief()));
        (0..LONG_EVENTS).for_each(|_| kind.unended(1_000, Time::on_the_wall(micros(5))));
        let one_in_so_many = || (0..=u8::MAX).filter(|_| kind.are_brief()).count() == 256 / usize::from(ONE_IN);
        assert!(one_in_so_many());
        // Long on a worker too, or more than there can be to begin with.
        kind.worked(5_000, BRIEF + micros(1));
        kind.worked(400_001, micros(1));
        assert!(one_in_so_many());
        kind.worked(100_000, BRIEF);
        assert!((0..100).all(|_| kind.are_brief()));
        kind.ended(1, measured(LONG + micros(1)));
        assert!(one_in_so_many());
    }

    #[test]
    fn kinds_are_told_apart_by_type() {
        let learnt = Learnt::of_events();
        learnt.of("index").unended(1_000, measured(micros(5)));
        learnt.of("index").worked(100_000, micros(10));
        assert_eq!(learnt.of("index").fuel(), 125_000);
        let others = ["message", "message.new", "message.sent", "tick", "", "a type that is longer than most are"];
        assert!(others.iter().filter(|ty| learnt.of(ty).fuel() == 1_000).count() >= 4);
    }

    #[test]
    fn a_thread_that_sleeps_has_no_processor() {
        let stopwatch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(50));
        let (had, wall) = (stopwatch.elapsed(), stopwatch.wall.elapsed());
        assert!(if cfg!(unix) { had < wall } else { had <= wall }, "{had:?} in {wall:?}");
    }
}

//! How many processors there are, and which one a thread runs on, to keep apart what threads would otherwise take from each
//! other's caches.
//!
//! Invariant: nothing but speed depends on a processor's number.

use std::num::NonZero;
use std::sync::OnceLock;
use std::thread::available_parallelism;

/// More parts than this are not worth their memory: then a few processors share one.
const MOST_PARTS: usize = 16;

/// Alone on what processors fetch at a time: two lines of 64 bytes.
#[repr(align(128))]
pub(crate) struct Apart<T>(pub T);

/// How many threads this process can have running at once. Asked for once, because that reads several files.
pub(crate) fn count() -> NonZero<usize> {
    static COUNT: OnceLock<NonZero<usize>> = OnceLock::new();
    *COUNT.get_or_init(|| available_parallelism().unwrap_or(NonZero::<usize>::MIN))
}

/// In how many parts to keep things.
pub(crate) fn parts() -> usize {
    count().get().min(MOST_PARTS)
}

/// A number that the processor which this runs on has, and not many others. It may run on another one a moment later.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn number() -> usize {
    // SAFETY: it only answers; without an answer it says -1.
    let number = unsafe { libc::sched_getcpu() };
    usize::try_from(number).unwrap_or(0)
}

/// Elsewhere a thread stands for a processor.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn number() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    OWN.with(|own| *own)
}

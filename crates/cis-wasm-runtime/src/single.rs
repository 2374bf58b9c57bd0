//! Something that one thread has at a time, and that none waits for in vain.
//!
//! A kept skill has one instance, and the thread that has it calls backends, which may run events of kept skills themselves. So
//! a thread can come to wait for what itself has, or for another that waits for it, and none of them would ever go on. Who
//! waits for whom is known here, and the wait that would close such a circle is refused.
//!
//! Invariants:
//! - `holder` is set while a thread has the thing, but for the moments right after it got it and right before it gives it back,
//!   when it waits for nothing. A thread that waits keeps what it has.
//! - Who waits is in [`WAITING`] before it does, and looked there under the same lock. So of the threads of a circle the last one
//!   sees all others.
//! - An entry there may outlast its wait for a moment. What it names then is nobody's or its own thread's, and is no circle of
//!   another's.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Something that one thread has at a time.
pub(crate) struct Single<T> {
    thing: Mutex<T>,
    /// The thread that has it, or 0.
    holder: Arc<AtomicU64>,
}

/// The thing, for who has it.
pub(crate) struct Held<'s, T> {
    thing: MutexGuard<'s, T>,
    holder: &'s AtomicU64,
}

/// A wait without an end.
#[derive(Debug)]
pub(crate) struct Circle;

/// What each thread that waits waits for: the holder of that.
static WAITING: Mutex<BTreeMap<u64, Arc<AtomicU64>>> = Mutex::new(BTreeMap::new());

impl<T> Single<T> {
    pub(crate) fn new(thing: T) -> Self {
        Single { thing: Mutex::new(thing), holder: Arc::default() }
    }

    /// The thing, if nobody has it.
    pub(crate) fn take_at_once(&self) -> Option<Held<'_, T>> {
        self.thing.try_lock().ok().map(|thing| self.held(thing))
    }

    /// The thing, once nobody has it.
    ///
    /// # Errors
    ///
    /// When that would never be.
    pub(crate) fn take(&self) -> Result<Held<'_, T>, Circle> {
        let waits = Waits::begin(&self.holder)?;
        // Who panics while it has the thing sees to it that the thing is whole.
        let thing = self.thing.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        drop(waits);
        Ok(self.held(thing))
    }

    fn held<'s>(&'s self, thing: MutexGuard<'s, T>) -> Held<'s, T> {
        self.holder.store(this_thread(), Ordering::Relaxed);
        Held { thing, holder: &self.holder }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.thing
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.thing
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.holder.store(0, Ordering::Relaxed);
    }
}

/// The calling thread's wait.
struct Waits;

impl Waits {
    fn begin(holder: &Arc<AtomicU64>) -> Result<Self, Circle> {
        let (this, mut waiting) = (this_thread(), waiting());
        let mut next = Some(holder);
        // Entries that outlast their wait can lead around, but not through this thread.
        for _ in 0..=waiting.len() {
            let Some(holder) = next else { break };
            let thread = holder.load(Ordering::Relaxed);
            if thread == this {
                return Err(Circle);
            }
            next = waiting.get(&thread);
        }
        waiting.insert(this, holder.clone());
        Ok(Waits)
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        waiting().remove(&this_thread());
    }
}

fn waiting() -> MutexGuard<'static, BTreeMap<u64, Arc<AtomicU64>>> {
    // Nothing panics while it is locked.
    WAITING.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A number that no other thread of the process has or had.
fn this_thread() -> u64 {
    thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    static LAST: AtomicU64 = AtomicU64::new(0);
    if NUMBER.get() == 0 {
        NUMBER.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
    }
    NUMBER.get()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn one_thread_has_it_at_a_time() {
        let count = Single::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| *count.take().unwrap() += 1));
            }
        });
        assert_eq!(*count.take_at_once().unwrap(), 4_000);
        assert!(!waiting().contains_key(&this_thread()));
    }

    #[test]
    fn who_has_it_does_not_wait_for_it() {
        let (one, other) = (Single::new(()), Single::new(()));
        let held = one.take().unwrap();
        let beside = other.take().unwrap();
        assert!(one.take_at_once().is_none() && one.take().is_err() && other.take().is_err());
        drop((held, beside));
        assert!(one.take().is_ok() && other.take().is_ok());
    }

    #[test]
    fn of_threads_in_a_circle_one_does_not_wait() {
        let things = [(); 5].map(Single::new);
        for _ in 0..50 {
            let barrier = Barrier::new(things.len());
            let refused: usize = thread::scope(|scope| {
                let each = |at: usize| {
                    let held = things[at].take().unwrap();
                    barrier.wait();
                    let refused = things[(at + 1) % things.len()].take().is_err();
                    drop(held);
                    usize::from(refused)
                };
                let threads: Vec<_> = (0..things.len()).map(|at| scope.spawn(move || each(at))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(refused, 1);
        }
    }
}

//! Instances of fresh skills between events.
//!
//! Invariants:
//! - Every instance that waits here stands where its skill's snapshot was taken: it is set back before it is put here, and
//!   one that cannot be is dropped.
//! - The instances of one skill that wait are few, and those of all skills of a runtime, with their memory, are bounded: who
//!   makes one more has others give up theirs, skills first that had no event since this was last asked of them.
//! - No instance is dropped while a lock is held: that takes system calls.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::checkpoint::InstanceId;
use crate::error::Error;
use crate::instance::{Live, Origin, Snapshot};
use crate::program::Program;
use crate::shelves::Shelves;

/// How many more instances of a skill may wait than there are workers: for those that the embedder's own threads run.
const BEYOND_WORKERS: usize = 4;

/// The instances of one skill.
pub(crate) struct Pool {
    pools: Arc<Pools>,
    snapshot: Snapshot,
    idle: Shelves<Pooled>,
    /// Whether there was an event since instances were last looked for.
    used: AtomicBool,
}

/// An instance of a pool's.
pub(crate) struct Pooled {
    pub live: Box<Live>,
    counted: Counted,
}

impl Pooled {
    /// Whether it runs the code that a program has now.
    fn is_of(&self, program: &Program) -> bool {
        self.live.version == program.current.version()
    }
}

impl Pool {
    /// A pool of instances like this one, a template that has started up.
    pub(crate) fn new(pools: Arc<Pools>, mut template: Live) -> Result<Arc<Self>, Error> {
        let snapshot = template.snapshot()?;
        pools.make_room();
        let counted = Counted::new(&pools);
        let idle = Shelves::new(pools.most_of_a_skill);
        let pool = Pool { pools, snapshot, idle, used: AtomicBool::new(true) };
        let pool = Arc::new(pool);
        pool.pools.ring().add(Arc::downgrade(&pool));
        pool.put(Pooled { live: Box::new(template), counted });
        Ok(pool)
    }

    /// An instance that waits, or a new one.
    pub(crate) fn take(&self, program: &Program) -> Result<Pooled, Error> {
        self.note_use();
        match self.idle.take() {
            Some(pooled) if pooled.is_of(program) => Ok(pooled),
            old => {
                // All others that wait run the old code too.
                let rest = old.as_ref().map(|_| self.idle.take_all());
                drop((old, rest));
                self.pools.make_room();
                let live = Live::new(program, &Origin::Snapshot(&self.snapshot))?;
                Ok(Pooled { live: Box::new(live), counted: Counted::new(&self.pools) })
            }
        }
    }

    /// An instance that waits.
    pub(crate) fn take_waiting(&self, program: &Program) -> Option<Pooled> {
        self.note_use();
        let pooled = self.idle.take()?;
        if pooled.is_of(program) {
            return Some(pooled);
        }
        self.put_back(pooled);
        None
    }

    /// A certain instance, if it waits.
    pub(crate) fn take_the(&self, instance: InstanceId) -> Option<Pooled> {
        self.note_use();
        self.idle.take_the(|pooled| pooled.live.id() == instance)
    }

    /// That there was an event. Mostly that is known: the threads that store it would take its cache line from each other.
    fn note_use(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Takes an instance back after an event that left it in a known state.
    pub(crate) fn put(&self, mut pooled: Pooled) {
        if pooled.live.reset(&self.snapshot).is_err() {
            return;
        }
        pooled.counted.bytes_are(pooled.live.resident_bytes());
        self.put_back(pooled);
    }

    /// Takes an instance back that had no event.
    pub(crate) fn put_back(&self, pooled: Pooled) {
        if self.pools.are_full() {
            return;
        }
        let too_many = self.idle.put(pooled);
        drop(too_many);
    }

    /// Its instances that wait, unless it had an event lately.
    fn give_up(&self) -> Vec<Pooled> {
        if self.used.swap(false, Ordering::Relaxed) { Vec::new() } else { self.idle.take_all() }
    }
}

/// The pools of one runtime.
pub(crate) struct Pools {
    most: usize,
    most_bytes: u64,
    most_of_a_skill: usize,
    /// Instances of pools, whether they wait or run.
    instances: AtomicUsize,
    /// Bytes of memory that those have to themselves.
    bytes: AtomicU64,
    /// The pools, in the order in which they are asked to give up what waits.
    ring: Mutex<Ring>,
}

impl Pools {
    /// Pools of so many instances at the most, and so many bytes, for so many workers.
    pub(crate) fn new(most: usize, most_bytes: u64, workers: usize) -> Self {
        Pools {
            most,
            most_bytes,
            most_of_a_skill: workers + BEYOND_WORKERS,
            instances: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            ring: Mutex::default(),
        }
    }

    /// Gives up all instances that wait.
    pub(crate) fn release_all(&self) {
        let pools: Vec<Arc<Pool>> = self.ring().pools.iter().filter_map(Weak::upgrade).collect();
        for pool in pools {
            drop(pool.idle.take_all());
        }
    }

    fn are_full(&self) -> bool {
        self.instances.load(Ordering::Relaxed) > self.most || self.bytes.load(Ordering::Relaxed) > self.most_bytes
    }

    /// Has instances given up until there is room for one more, as far as there are any that wait.
    fn make_room(&self) {
        let mut asked = 0;
        loop {
            let full = self.instances.load(Ordering::Relaxed) >= self.most
                || self.bytes.load(Ordering::Relaxed) >= self.most_bytes;
            let mut ring = self.ring();
            // The first time round, pools are asked that had an event lately, and are let off.
            if !full || asked > 2 * ring.pools.len() {
                return;
            }
            asked += 1;
            let Some(next) = ring.pools.pop_front() else { return };
            let Some(pool) = next.upgrade() else { continue };
            ring.pools.push_back(next);
            drop(ring);
            let given_up = pool.give_up();
            drop(given_up);
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Nothing panics while it is locked.
        self.ring.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Pools, of which some may be gone: about as many as there are, at the most.
#[derive(Default)]
struct Ring {
    pools: VecDeque<Weak<Pool>>,
    /// With so many, those that are gone go.
    sweep_at: usize,
}

impl Ring {
    fn add(&mut self, pool: Weak<Pool>) {
        /// More than there are: nobody sweeps for a few.
        const BEYOND: usize = 32;

        if self.pools.len() >= self.sweep_at {
            self.pools.retain(|pool| pool.strong_count() > 0);
            self.sweep_at = 2 * self.pools.len() + BEYOND;
        }
        self.pools.push_back(pool);
    }
}

/// One instance in the count of all.
struct Counted {
    pools: Arc<Pools>,
    bytes: u64,
}

impl Counted {
    fn new(pools: &Arc<Pools>) -> Self {
        pools.instances.fetch_add(1, Ordering::Relaxed);
        Counted { pools: pools.clone(), bytes: 0 }
    }

    fn bytes_are(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        // Nearly always it has what it had: then nobody else is disturbed.
        if bytes > self.bytes {
            self.pools.bytes.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else if bytes < self.bytes {
            self.pools.bytes.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.pools.instances.fetch_sub(1, Ordering::Relaxed);
        self.pools.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_that_are_gone_do_not_pile_up() {
        let pools = Pools::new(10, 10, 1);
        for _ in 0..10_000 {
            pools.ring().add(Weak::new());
        }
        assert!(pools.ring().pools.len() < 100);
    }
}

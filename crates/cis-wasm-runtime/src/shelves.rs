//! Things that wait to be used again, kept apart for each processor.
//!
//! A thread takes what was last put down on the processor that it runs on: that is in its caches, and no other thread has to
//! give up a cache line for it. Only a thread that finds nothing there looks at what lies elsewhere.
//!
//! Invariants:
//! - No more than the most that there may be wait here.
//! - What is taken or not kept is handed to the caller: nothing is dropped while a lock is held.

use std::sync::{Mutex, MutexGuard};

use crate::processor::{self, Apart};

/// Things that wait.
pub(crate) struct Shelves<T> {
    shelves: Box<[Shelf<T>]>,
    /// The most that wait on one.
    most_on_each: usize,
}

/// The last one put here is the first one taken.
type Shelf<T> = Apart<Mutex<Vec<T>>>;

impl<T> Shelves<T> {
    /// Room for so many things.
    pub(crate) fn new(most: usize) -> Self {
        let shelves = processor::parts().min(most).max(1);
        Shelves { shelves: (0..shelves).map(|_| Apart(Mutex::default())).collect(), most_on_each: most / shelves }
    }

    /// One of the things that wait.
    pub(crate) fn take(&self) -> Option<T> {
        let mut shelves = self.nearest_first();
        let here = shelves.next().and_then(|shelf| shelf.lock().pop());
        here.or_else(|| shelves.find_map(|shelf| shelf.lock().pop()))
    }

    /// One of the things that wait, if it is the one.
    pub(crate) fn take_the(&self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        self.nearest_first().find_map(|shelf| {
            let mut shelf = shelf.lock();
            let place = shelf.iter().position(&is_it)?;
            Some(shelf.remove(place))
        })
    }

    /// Puts one down, or gives it back where there is no room.
    pub(crate) fn put(&self, thing: T) -> Option<T> {
        for shelf in self.nearest_first() {
            let mut shelf = shelf.lock();
            if shelf.len() < self.most_on_each {
                shelf.push(thing);
                return None;
            }
        }
        Some(thing)
    }

    /// All that wait.
    pub(crate) fn take_all(&self) -> Vec<T> {
        self.shelves.iter().flat_map(|shelf| std::mem::take(&mut *shelf.lock())).collect()
    }

    /// This processor's shelf, and then the others.
    fn nearest_first(&self) -> impl Iterator<Item = &Shelf<T>> {
        let (before, here) = self.shelves.split_at(processor::number() % self.shelves.len());
        here.iter().chain(before)
    }
}

impl<T> Apart<Mutex<Vec<T>>> {
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_anywhere_is_found() {
        let shelves = Shelves { shelves: [0, 1, 2].map(|_| Apart(Mutex::default())).into(), most_on_each: 2 };
        let put: Vec<Option<u32>> = (0..8).map(|thing| shelves.put(thing)).collect();
        assert_eq!(put.iter().flatten().copied().collect::<Vec<_>>(), [6, 7], "two too many");
        let mut taken: Vec<u32> = (0..7).filter_map(|_| shelves.take()).collect();
        taken.sort();
        assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn there_is_room_for_no_more_than_was_said() {
        for most in [0, 1, 3, 6, 100] {
            let shelves = Shelves::new(most);
            let kept = (0..200).filter(|thing| shelves.put(*thing).is_none()).count();
            assert!(kept <= most && (kept > 0 || most == 0), "{kept} of {most}");
            assert_eq!(shelves.take_all().len(), kept);
            assert_eq!(shelves.take(), None);
        }
    }
}

//! A set of pages, as a bitmap that a signal handler may write to.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// A set of page numbers below a bound.
///
/// Nothing is allocated after it was made. One thread at a time works with it; the words are atomic because a signal
/// handler does too, on that thread.
pub(super) struct Pages {
    words: Box<[AtomicU64]>,
}

impl Pages {
    /// An empty set of pages below `bound`.
    pub(super) fn new(bound: usize) -> Self {
        Pages { words: (0..bound.div_ceil(64)).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(super) fn contains(&self, page: usize) -> bool {
        self.words.get(page / 64).is_some_and(|word| word.load(Ordering::Relaxed) >> (page % 64) & 1 == 1)
    }

    pub(super) fn insert(&self, pages: Range<usize>) {
        self.change(pages, |word, bits| word | bits);
    }

    pub(super) fn remove(&self, pages: Range<usize>) {
        self.change(pages, |word, bits| word & !bits);
    }

    /// The stretches of pages of the set, within `pages`.
    pub(super) fn stretches(&self, pages: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let mut from = pages.start;
        std::iter::from_fn(move || {
            let start = self.next(true, from..pages.end);
            from = self.next(false, start..pages.end);
            (start < pages.end).then_some(start..from)
        })
    }

    /// The first of `pages` that is in the set, or that is not; the end of them when there is none.
    pub(super) fn next(&self, within: bool, pages: Range<usize>) -> usize {
        let mut page = pages.start;
        while page < pages.end {
            let Some(word) = self.words.get(page / 64) else { break };
            let word = word.load(Ordering::Relaxed);
            let bits = (if within { word } else { !word }) >> (page % 64);
            if bits != 0 {
                return pages.end.min(page + bits.trailing_zeros() as usize);
            }
            page = (page / 64 + 1) * 64;
        }
        pages.end
    }

    fn change(&self, pages: Range<usize>, change: impl Fn(u64, u64) -> u64) {
        let mut page = pages.start;
        while page < pages.end {
            let Some(word) = self.words.get(page / 64) else { break };
            let end = pages.end.min((page / 64 + 1) * 64);
            let bits = u64::MAX >> (64 - (end - page)) << (page % 64);
            word.store(change(word.load(Ordering::Relaxed), bits), Ordering::Relaxed);
            page = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_what_was_inserted() {
        let pages = Pages::new(300);
        let stretches = |within: Range<usize>| pages.stretches(within).collect::<Vec<_>>();
        assert!(stretches(0..300).is_empty());
        pages.insert(3..4);
        pages.insert(60..200);
        pages.insert(256..300);
        assert_eq!(stretches(0..300), [3..4, 60..200, 256..300]);
        assert_eq!(stretches(0..256), [3..4, 60..200]);
        assert_eq!(stretches(3..128), [3..4, 60..128]);
        assert!(pages.contains(63) && pages.contains(199) && !pages.contains(200) && !pages.contains(10_000));
        pages.remove(61..128);
        assert_eq!(stretches(0..300), [3..4, 60..61, 128..200, 256..300]);
        assert_eq!((pages.next(false, 0..300), pages.next(false, 256..300)), (0, 300));
        pages.remove(0..300);
        assert!(stretches(0..300).is_empty());
    }
}

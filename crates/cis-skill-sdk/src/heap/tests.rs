use super::*;
use alloc_crate::collections::BTreeMap;
use alloc_crate::vec;
use alloc_crate::vec::Vec;

const PAGE: usize = 4096;

/// A memory that grows page by page, up to a limit.
struct Fake {
    words: BTreeMap<usize, usize>,
    end: usize,
    limit: usize,
}

impl Ground for Fake {
    fn first(&mut self) -> Range<usize> {
        self.end = PAGE;
        // Not aligned: the data of a module end anywhere.
        1003..PAGE
    }

    fn grow(&mut self, bytes: usize) -> Option<Range<usize>> {
        let end = (self.end + bytes).next_multiple_of(PAGE);
        if end > self.limit {
            return None;
        }
        let start = core::mem::replace(&mut self.end, end);
        Some(start..end)
    }

    fn load(&self, block: usize) -> usize {
        self.words[&block]
    }

    fn store(&mut self, block: usize, word: usize) {
        self.words.insert(block, word);
    }
}

fn heap(limit: usize) -> (Heap, Fake) {
    (Heap::new(), Fake { words: BTreeMap::new(), end: 0, limit })
}

/// A generator of numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// Small sizes often, large ones sometimes.
    fn size(&mut self) -> usize {
        let bits = self.below(14);
        self.below(2 << bits)
    }
}

#[test]
fn sizes_have_classes() {
    for (size, len) in [(0, 16), (1, 16), (16, 16), (17, 32), (32, 32), (33, 64), (4097, 8192), (1 << 31, 1 << 31)] {
        assert_eq!(class_of(size).map(block_len), Some(len), "{size}");
    }
    assert_eq!(class_of((1 << 31) + 1), None);
    assert_eq!(class_of(usize::MAX), None);
}

#[test]
fn blocks_never_overlap_and_stay_within_the_bound() {
    let (mut heap, mut ground) = heap(1 << 30);
    let mut dice = Dice(7);
    let mut live: Vec<(usize, usize)> = Vec::new();
    let mut peak = [0; CLASSES];
    for _ in 0..20_000 {
        let roll = dice.below(if live.len() > 60 { 4 } else { 8 });
        match roll {
            0 | 1 if !live.is_empty() => {
                let (block, size) = live.swap_remove(dice.below(live.len()));
                heap.release(&mut ground, block, size);
            }
            2 | 3 if !live.is_empty() => {
                let at = dice.below(live.len());
                let new = dice.size();
                if heap.resize(&mut ground, live[at].0, live[at].1, new) {
                    live[at].1 = new;
                } else {
                    let moved = heap.allocate(&mut ground, new).unwrap();
                    let (old, size) = core::mem::replace(&mut live[at], (moved, new));
                    // While it moves, both are live.
                    note_peak(&mut peak, live.iter().copied().chain([(old, size)]));
                    heap.release(&mut ground, old, size);
                }
            }
            _ => {
                let size = dice.size();
                live.push((heap.allocate(&mut ground, size).unwrap(), size));
            }
        }
        note_peak(&mut peak, live.iter().copied());
        let mut spans: Vec<_> = live.iter().map(|&(at, size)| (at, at + block_len(class_of(size).unwrap()))).collect();
        spans.sort_unstable();
        assert!(spans.iter().all(|(at, _)| at % ALIGN == 0 && *at >= 1003));
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
        assert!(spans.last().is_none_or(|(_, end)| *end <= heap.top && heap.top <= ground.end));
    }
    let bound: usize = peak.iter().enumerate().map(|(class, most)| most * block_len(class)).sum();
    assert!(heap.top <= 1003 + ALIGN + bound, "{} bytes in use, {bound} live at most", heap.top);
}

fn note_peak(peak: &mut [usize; CLASSES], live: impl Iterator<Item = (usize, usize)>) {
    let mut count = [0; CLASSES];
    for (_, size) in live {
        count[class_of(size).unwrap()] += 1;
    }
    for (peak, count) in peak.iter_mut().zip(count) {
        *peak = count.max(*peak);
    }
}

/// A text that grows in place, below a block that outlives it: the load of which a careless resize leaks.
#[test]
fn the_same_load_takes_the_same_memory_for_ever() {
    let (mut heap, mut ground) = heap(1 << 20);
    let mut tops = vec![];
    for _ in 0..1_000 {
        let text = heap.allocate(&mut ground, 16).unwrap();
        let mut block = (text, 16);
        for size in [32, 64, 128, 256, 512, 1024] {
            if !heap.resize(&mut ground, block.0, block.1, size) {
                let moved = heap.allocate(&mut ground, size).unwrap();
                heap.release(&mut ground, block.0, block.1);
                block.0 = moved;
            }
            block.1 = size;
        }
        let above = heap.allocate(&mut ground, 16).unwrap();
        heap.release(&mut ground, block.0, block.1);
        heap.release(&mut ground, above, 16);
        tops.push(heap.top);
    }
    assert_eq!(tops[10], tops[999]);
}

#[test]
fn the_topmost_block_grows_where_it_lies() {
    let (mut heap, mut ground) = heap(1 << 20);
    let block = heap.allocate(&mut ground, 16).unwrap();
    assert!(heap.resize(&mut ground, block, 16, 100_000));
    assert!(heap.resize(&mut ground, block, 100_000, 20));
    let above = heap.allocate(&mut ground, 1).unwrap();
    assert_eq!(above, block + 32);
    assert!(!heap.resize(&mut ground, block, 20, 64));
    assert!(heap.resize(&mut ground, block, 20, 32));
}

#[test]
fn a_ground_that_ends_is_no_end() {
    let (mut heap, mut ground) = heap(64 * PAGE);
    assert_eq!(heap.allocate(&mut ground, 1 << 20), None);
    let block = heap.allocate(&mut ground, 1000).unwrap();
    assert!(!heap.resize(&mut ground, block, 1000, 1 << 20));
    assert_eq!(heap.allocate(&mut ground, usize::MAX), None);
    assert!(heap.resize(&mut ground, block, 1000, 2000));
    heap.release(&mut ground, block, 2000);
    assert_eq!(heap.allocate(&mut ground, 64), Some(block));
}

#[test]
fn ground_taken_by_another_is_left_alone() {
    let (mut heap, mut ground) = heap(1 << 20);
    let block = heap.allocate(&mut ground, 2048).unwrap();
    let foreign = ground.grow(1).unwrap();
    assert!(!heap.resize(&mut ground, block, 2048, 8192));
    let next = heap.allocate(&mut ground, 8192).unwrap();
    assert!(next >= foreign.end && next % ALIGN == 0);
}

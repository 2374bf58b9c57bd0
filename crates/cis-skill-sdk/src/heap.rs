//! The heap's bookkeeping, apart from any real memory.
//!
//! Blocks are powers of two, 16 bytes and up. A freed block goes on the free list of its size, and the word at its start
//! links it to the next. A block that no list has is cut from the top of the heap; the topmost block is given back by
//! lowering the top, and can change its size in place.
//!
//! # The invariants
//!
//! - Every address between the heap's start and `top` lies in exactly one block, live or on one free list. Every block's
//!   address is a multiple of 16.
//! - A block of a size is made (cut from the top, or resized in place) only while the free list of that size is empty.
//!   So there are never more blocks of a size than were live at once, and a heap that runs for ever on the same load
//!   takes, for all time, at most the sum over the sizes of (size times most live at once).

use core::ops::Range;

/// The memory that a heap lies in.
pub(crate) trait Ground {
    /// What the heap may use from the start: not empty, and not from address 0.
    fn first(&mut self) -> Range<usize>;
    /// Makes the memory longer by at least so many bytes and says what was added, or `None` when it cannot.
    fn grow(&mut self, bytes: usize) -> Option<Range<usize>>;
    /// The word at the start of a free block of this heap.
    fn load(&self, block: usize) -> usize;
    /// Writes that word.
    fn store(&mut self, block: usize, word: usize);
}

/// Free lists by size, and the top.
pub(crate) struct Heap {
    /// By class: the first free block, or 0.
    free: [usize; CLASSES],
    top: usize,
    /// Where the ground ends; 0 before the first use.
    end: usize,
}

/// Every block's address is a multiple of this.
pub(crate) const ALIGN: usize = 16;

/// 16 bytes to 2 GiB.
const CLASSES: usize = 28;

impl Heap {
    pub(crate) const fn new() -> Self {
        Heap { free: [0; CLASSES], top: 0, end: 0 }
    }

    /// A block of at least `size` bytes.
    pub(crate) fn allocate(&mut self, ground: &mut impl Ground, size: usize) -> Option<usize> {
        let class = class_of(size)?;
        let head = self.free[class];
        if head != 0 {
            self.free[class] = ground.load(head);
            return Some(head);
        }
        let top = self.room(ground, block_len(class))?;
        self.top = top + block_len(class);
        Some(top)
    }

    /// Takes back a block that was allocated (or resized) with this `size`.
    pub(crate) fn release(&mut self, ground: &mut impl Ground, block: usize, size: usize) {
        let Some(class) = class_of(size) else { return };
        if block + block_len(class) == self.top {
            self.top = block;
            return;
        }
        ground.store(block, self.free[class]);
        self.free[class] = block;
    }

    /// Makes a block of `old` bytes one of `new` bytes where it lies, and says whether it did.
    pub(crate) fn resize(&mut self, ground: &mut impl Ground, block: usize, old: usize, new: usize) -> bool {
        let (Some(from), Some(to)) = (class_of(old), class_of(new)) else { return false };
        if from == to {
            return true;
        }
        let topmost = block + block_len(from) == self.top;
        if !topmost || self.free[to] != 0 {
            return false;
        }
        // The ground may have grown somewhere else meanwhile; then the room is not behind this block.
        let more = block_len(to).saturating_sub(block_len(from));
        let top = self.top;
        if more > 0 && self.room(ground, more) != Some(top) {
            return false;
        }
        self.top = block + block_len(to);
        true
    }

    /// The top, with `len` bytes of ground above it.
    fn room(&mut self, ground: &mut impl Ground, len: usize) -> Option<usize> {
        if self.end == 0 {
            let first = ground.first();
            self.top = first.start.next_multiple_of(ALIGN);
            self.end = first.end;
        }
        loop {
            let missing = self.top.checked_add(len)?.saturating_sub(self.end);
            if missing == 0 {
                return Some(self.top);
            }
            let added = ground.grow(missing)?;
            if added.start != self.end {
                // Somebody else took the ground in between: go on above it. What is left below is lost, once.
                self.top = added.start.next_multiple_of(ALIGN);
            }
            self.end = added.end;
        }
    }
}

/// The class of the smallest block that holds `size` bytes.
fn class_of(size: usize) -> Option<usize> {
    let bits = usize::BITS - size.saturating_sub(1).leading_zeros();
    let class = bits.saturating_sub(ALIGN.ilog2()) as usize;
    (class < CLASSES).then_some(class)
}

fn block_len(class: usize) -> usize {
    ALIGN << class
}

#[cfg(test)]
mod tests;

//! How much this process has allocated and not freed, to the byte. Resident memory does not tell: an allocator keeps what
//! was freed for whoever asks next.
//!
//! Invariant: every block comes from [`System`] and goes back to it, with the layout it was asked for with; beside that,
//! only a counter changes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

#[global_allocator]
static COUNTED: Counted = Counted;

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Bytes that are allocated now.
pub(crate) fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

struct Counted;

// SAFETY: all four hand their arguments to `System`, whose contract is the same, and what it returns back; `LIVE` says
// nothing to either side.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that `System` asks for.
        counted(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        counted(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; `block` is one of `System`'s, since there are no others.
        let moved = counted(unsafe { System.realloc(block, layout, size) }, size);
        if !moved.is_null() {
            LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        moved
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above; `block` is one of `System`'s, since there are no others.
        unsafe { System.dealloc(block, layout) };
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
    }
}

/// Counts a block, if there is one.
fn counted(block: *mut u8, size: usize) -> *mut u8 {
    if !block.is_null() {
        LIVE.fetch_add(size, Ordering::Relaxed);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_and_what_is_freed_is_not() {
        // Larger than all that other tests do meanwhile.
        const MUCH: usize = 1 << 30;
        let before = live();
        let mut block = Vec::<u8>::with_capacity(MUCH);
        assert!(live() - before > MUCH / 2);
        block.reserve_exact(2 * MUCH);
        assert!(live() - before > MUCH + MUCH / 2 && live() - before < 3 * MUCH);
        drop(block);
        assert!(live().abs_diff(before) < MUCH / 2);
        let zeroed = vec![0_u8; MUCH];
        assert!(live() - before > MUCH / 2);
        drop(zeroed);
        assert!(live().abs_diff(before) < MUCH / 2);
    }
}

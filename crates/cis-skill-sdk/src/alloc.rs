//! The skill's global allocator: [`Heap`] over linear memory.
//!
//! # The invariants we must uphold
//!
//! - Linear memory from `__heap_base` up belongs to the heap, but for pages that somebody else grew; see [`Heap`].
//! - The heap is borrowed only inside the functions of [`GlobalAlloc`] below. They call nothing that could allocate or
//!   leave the module, and wasm32 without threads has one thread; so there is never a second borrow.

#![allow(unsafe_code)]

use alloc_crate::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::UnsafeCell;
use core::ops::Range;
use core::ptr;

use crate::heap::{ALIGN, Ground, Heap};

/// The allocator that `skill!` installs. Alignments above 16 bytes are refused.
pub struct Allocator {
    heap: UnsafeCell<Heap>,
}

// SAFETY: there is one thread.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// An allocator that has given out nothing.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Allocator { heap: UnsafeCell::new(Heap::new()) }
    }

    #[allow(clippy::mut_from_ref)]
    fn heap(&self) -> &mut Heap {
        // SAFETY: the borrow ends within the function of `GlobalAlloc` that asked, and there is no other meanwhile.
        unsafe { &mut *self.heap.get() }
    }
}

// SAFETY: `Heap` gives out blocks that are long enough, aligned to `ALIGN`, and disjoint.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGN {
            return ptr::null_mut();
        }
        self.heap().allocate(&mut Linear, layout.size()).map_or(ptr::null_mut(), ptr::with_exposed_provenance_mut)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.heap().release(&mut Linear, block.expose_provenance(), layout.size());
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.heap().resize(&mut Linear, block.expose_provenance(), layout.size(), size) {
            return block;
        }
        // SAFETY: the caller has a block of `layout`, and a `size` that makes a layout with its alignment.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// A copy of these bytes, for which memory that ran out is an end that formats nothing.
pub(crate) fn copied(bytes: &[u8]) -> Vec<u8> {
    let Ok(layout) = Layout::array::<u8>(bytes.len()) else { out_of_memory() };
    if bytes.is_empty() {
        return Vec::new();
    }
    // SAFETY: the layout is not empty; and what becomes a vector is a block of its layout that was written throughout.
    unsafe {
        let block = alloc_crate::alloc::alloc(layout);
        if block.is_null() {
            out_of_memory();
        }
        ptr::copy_nonoverlapping(bytes.as_ptr(), block, bytes.len());
        Vec::from_raw_parts(block, bytes.len(), bytes.len())
    }
}

#[cold]
fn out_of_memory() -> ! {
    crate::panic::give_up(b"memory has run out")
}

/// The module's linear memory.
struct Linear;

const PAGE: usize = 64 << 10;

unsafe extern "C" {
    /// Where the module's stack and data end. Set by the linker.
    static __heap_base: u8;
}

impl Ground for Linear {
    fn first(&mut self) -> Range<usize> {
        (&raw const __heap_base).addr()..memory_size::<0>() * PAGE
    }

    fn grow(&mut self, bytes: usize) -> Option<Range<usize>> {
        let pages = bytes.div_ceil(PAGE);
        let before = memory_grow::<0>(pages);
        // An end of exactly 4 GiB does not fit: the last page is then left unused.
        (before != usize::MAX).then(|| before * PAGE..(before + pages).saturating_mul(PAGE))
    }

    fn load(&self, block: usize) -> usize {
        // SAFETY: `Heap` asks for free blocks only; they lie in linear memory, are aligned, and nobody else uses them.
        unsafe { ptr::with_exposed_provenance::<usize>(block).read() }
    }

    fn store(&mut self, block: usize, word: usize) {
        // SAFETY: as in `load`.
        unsafe { ptr::with_exposed_provenance_mut::<usize>(block).write(word) }
    }
}

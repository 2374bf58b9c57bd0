//! A pointer and a length from the guest, before and after the bounds check.

use core::ops::Range;

/// A region of linear memory as the guest names it: nothing is known about it until [`Region::within`] was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// Offset into linear memory.
    pub ptr: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Region {
    /// The region that two `i32` arguments name. Both are unsigned on the wire.
    pub const fn from_args(ptr: i32, len: i32) -> Self {
        Region { ptr: ptr as u32, len: len as u32 }
    }

    /// The byte range, when all of it lies within a memory of `memory_len` bytes. An empty region may lie at its end.
    pub const fn within(self, memory_len: u64) -> Option<Range<usize>> {
        // Neither sum nor cast can wrap: two u32 fit a u64, and a range inside a memory fits its address space.
        let end = self.ptr as u64 + self.len as u64;
        if end > memory_len || end > usize::MAX as u64 { None } else { Some(self.ptr as usize..end as usize) }
    }
}

//! Memory that is written here and there.
//!
//! Invariant: [`write_pages`] is the only user of [`PAGES`], and a guest has one thread.

use alloc::vec::Vec;
use core::cell::UnsafeCell;

const COUNT: usize = 64;
const SIZE: usize = 4096;

#[repr(align(4096))]
struct Pages(UnsafeCell<[[u8; SIZE]; COUNT]>);

// SAFETY: a guest has one thread.
unsafe impl Sync for Pages {}

static PAGES: Pages = Pages(UnsafeCell::new([[0; SIZE]; COUNT]));

/// Writes to each of 64 pages of 4 KiB, and says how many of them had been written to before: none in a fresh instance.
pub fn write_pages() -> Vec<u8> {
    // SAFETY: the only borrow there is; it ends with this function, which does not call itself.
    let pages = unsafe { &mut *PAGES.0.get() };
    let mut written = 0_u32;
    for (index, page) in pages.iter_mut().enumerate() {
        let place = &mut page[index * 61 % SIZE];
        written += u32::from(*place != 0);
        // Through a black box, so that it is written whether or not anybody reads it.
        *core::hint::black_box(place) = 1;
    }
    written.to_le_bytes().to_vec()
}

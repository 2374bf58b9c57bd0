//! What an event has written so far, taken along and put back.
//!
//! Invariant: a memory that shows its image and then has what was [`written`](Space::written) of it put back holds the same
//! bytes as when it was taken, at the same length; and every page that differs from the image is noted again, so that the
//! next reset finds it.

use std::sync::atomic::Ordering;

use wasmer::Pages as WasmPages;

use super::space::Space;

/// The pages of a memory that differ from its image, and its length.
pub(crate) struct Written {
    /// The memory's length in bytes.
    len: usize,
    /// Which pages these are.
    pages: Box<[u32]>,
    /// Their bytes, one after the other.
    bytes: Box<[u8]>,
}

impl Written {
    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.pages)
    }
}

impl Space {
    /// What was written since the last reset, if it is known page by page and has no more than so many bytes.
    pub(crate) fn written(&self, most: usize) -> Option<Written> {
        let image = self.image.get()?;
        if self.open.load(Ordering::Relaxed) || self.grown_open.load(Ordering::Relaxed) {
            return None;
        }
        let len = self.len();
        // SAFETY: a page that lies below the length can be read, and nobody writes to it: no call is in progress.
        let found = |page: usize| unsafe {
            std::slice::from_raw_parts(self.base.add(page * self.page_size).cast_const(), self.page_size)
        };
        let mut pages = Vec::new();
        for page in self.written.stretches(0..len / self.page_size).flatten() {
            if !image.shows(page, found(page)) {
                if (pages.len() + 1) * self.page_size > most {
                    return None;
                }
                pages.push(u32::try_from(page).ok()?);
            }
        }
        // As many bytes as these are, so that none is moved.
        let mut bytes = Vec::with_capacity(pages.len() * self.page_size);
        pages.iter().for_each(|page| bytes.extend_from_slice(found(*page as usize)));
        Some(Written { len, pages: pages.into(), bytes: bytes.into() })
    }

    /// Puts it back into a memory that shows its image. When this fails, the instance is not to be used without a reset.
    pub(crate) fn write_again(&self, written: &Written) -> bool {
        let more = (written.len.saturating_sub(self.len())) / wasmer::WASM_PAGE_SIZE;
        if more > 0 && self.grow(WasmPages(more as u32)).is_err() {
            return false;
        }
        written.pages.iter().zip(written.bytes.chunks_exact(self.page_size)).all(|(page, bytes)| {
            let begin = *page as usize * self.page_size;
            let noted = begin + bytes.len() <= self.len() && self.note(begin..begin + bytes.len());
            if noted {
                // SAFETY: the page lies below the length and can be written to, and nobody has a reference to it.
                unsafe { self.base.add(begin).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
            }
            noted
        })
    }
}

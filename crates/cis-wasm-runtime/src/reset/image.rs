//! What a skill's memory holds after `skill_init`, to be shown to every event.
//!
//! Invariant: an image does not change. Of a small one the bytes are in the host's own memory. A large one is in a file in
//! memory that is sealed against every change, so that instances can share its pages; where there would be too many such
//! files, it is as a small one.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::system::{self, Access};

/// Images with fewer bytes than this that are not zero are copied into their instances: it costs less than a mapping
/// and an open file.
const FILE_FROM: usize = 64 << 10;
/// The most stretches that are mapped one by one: the system has so many mappings for a process.
const MOST_STRETCHES: usize = 8;

/// The contents of a memory.
pub(crate) struct Image {
    /// The length of the memory in bytes.
    len: usize,
    /// For each page its place among the contents, in pages, counted from one. 0 is a page of zeros.
    places: Box<[u32]>,
    contents: Contents,
}

enum Contents {
    Held(Box<[u8]>),
    Sealed(Sealed, Box<[Stretch]>),
}

/// Pages that lie in a row in memory and in the file.
struct Stretch {
    pages: Range<usize>,
    /// Where in the file, in pages.
    place: usize,
}

impl Image {
    /// An image of a memory's bytes. Only pages of which `written` is true are looked at; the others are zeros.
    pub(super) fn of(memory: &[u8], written: impl Fn(usize) -> bool) -> Self {
        let page_size = system::page_size();
        let zeros = vec![0; page_size];
        let mut places = Vec::with_capacity(memory.len() / page_size);
        let mut full = 0;
        for (number, page) in memory.chunks_exact(page_size).enumerate() {
            let empty = !written(number) || page == zeros;
            full += u32::from(!empty);
            places.push(if empty { 0 } else { full });
        }
        let stretches = stretches(&places);
        let parts: Vec<&[u8]> = stretches
            .iter()
            .map(|Stretch { pages, .. }| &memory[pages.start * page_size..pages.end * page_size])
            .collect();
        let len = full as usize * page_size;
        let sealed = (len >= FILE_FROM && stretches.len() <= MOST_STRETCHES).then(|| Sealed::new(&parts, len));
        let contents = match sealed {
            Some(Ok(sealed)) => Contents::Sealed(sealed, stretches.into()),
            // Without a file it takes more memory, and is the same.
            Some(Err(_)) | None => Contents::Held(parts.concat().into()),
        };
        Image { len: memory.len(), places: places.into(), contents }
    }

    /// The length of the memory in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that every instance has a copy of.
    pub(super) fn copied_bytes(&self) -> usize {
        match &self.contents {
            Contents::Held(held) => held.len(),
            Contents::Sealed(..) => 0,
        }
    }

    /// Makes a whole memory show this image, with this access.
    ///
    /// # Safety
    ///
    /// `base` is the begin of a reservation of at least the image's length that is the caller's, whose pages are zeros or
    /// of this image's file, and to which nobody has a reference.
    pub(super) unsafe fn lay(&self, base: *mut u8, access: Access) -> io::Result<()> {
        let page_size = system::page_size();
        match &self.contents {
            Contents::Held(held) => {
                if !held.is_empty() {
                    // SAFETY: the caller's promise.
                    unsafe { system::protect(base, self.len, Access::Write)? };
                    for page in (0..self.places.len()).filter(|page| self.places[*page] != 0) {
                        // SAFETY: the page lies within the image's length, and may be written to.
                        unsafe { self.copy(page, base.add(page * page_size)) };
                    }
                }
            }
            Contents::Sealed(sealed, stretches) => {
                for Stretch { pages, place } in stretches {
                    let file = sealed.file.as_raw_fd();
                    // SAFETY: the caller's promise; the stretch lies within the image's length.
                    unsafe {
                        let at = base.add(pages.start * page_size);
                        system::map_file_at(at, pages.len() * page_size, access, file, place * page_size)?;
                    }
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe { system::protect(base, self.len, access) }
    }

    /// Whether these are the bytes of a whole page. Beyond the image's end all are zeros.
    pub(super) fn shows(&self, page: usize, bytes: &[u8]) -> bool {
        match self.places.get(page).copied().unwrap_or(0) {
            // Zero at the beginning, and every byte like the one before: a comparison of memory is quicker than a loop.
            0 => bytes.first().is_none_or(|first| *first == 0 && bytes[1..] == bytes[..bytes.len() - 1]),
            place => {
                let begin = (place as usize - 1) * bytes.len();
                self.bytes()[begin..begin + bytes.len()] == *bytes
            }
        }
    }

    /// Copies the image of one page to `to`.
    ///
    /// # Safety
    ///
    /// `to` is a page that may be written to, that is not of this image, and that nobody has a reference to.
    pub(super) unsafe fn copy(&self, page: usize, to: *mut u8) {
        let page_size = system::page_size();
        match self.places[page] as usize {
            // SAFETY: the caller's promise.
            0 => unsafe { zero(to, page_size) },
            place => {
                let from = &self.bytes()[(place - 1) * page_size..place * page_size];
                // SAFETY: the caller's promise; both are one page long.
                unsafe { to.copy_from_nonoverlapping(from.as_ptr(), page_size) };
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.contents {
            Contents::Held(held) => held,
            Contents::Sealed(sealed, _) => sealed.bytes(),
        }
    }
}

/// How much of a page is looked at at a time before it is zeroed, in bytes: a divisor of any page's size.
const BLOCK: usize = 512;

/// Makes a page zeros. Most events write to little of a page, and reading the rest costs half of what writing does.
///
/// # Safety
///
/// The page may be read and written to, is aligned as pages are, and nobody has a reference to it.
unsafe fn zero(page: *mut u8, page_size: usize) {
    let mut dense = false;
    for offset in (0..page_size).step_by(BLOCK) {
        // SAFETY: the block lies within the page, is aligned, and the reference ends before anything is written.
        let clean = unsafe {
            let block = &*page.add(offset).cast::<[u64; BLOCK / 8]>();
            block.iter().fold(0, |all, word| all | word) == 0
        };
        if clean {
            dense = false;
        } else if dense {
            // Two blocks in a row: the others are likely not to be clean either.
            // SAFETY: the caller's promise.
            return unsafe { page.add(offset).write_bytes(0, page_size - offset) };
        } else {
            dense = true;
            // SAFETY: the caller's promise.
            unsafe { page.add(offset).write_bytes(0, BLOCK) };
        }
    }
}

/// The pages that have a place, in stretches. Places are in the order of pages.
fn stretches(places: &[u32]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for (page, place) in places.iter().enumerate().filter(|(_, place)| **place != 0) {
        match stretches.last_mut() {
            Some(last) if last.pages.end == page => last.pages.end += 1,
            _ => stretches.push(Stretch { pages: page..page + 1, place: *place as usize - 1 }),
        }
    }
    stretches
}

/// A file in memory that nobody can change.
struct Sealed {
    file: File,
    at: *const u8,
    len: usize,
    _counted: Counted,
}

/// One of the files of all images of the process.
struct Counted;

/// Files of all images.
static FILES: AtomicUsize = AtomicUsize::new(0);

impl Counted {
    /// None when the process is about to have too many: it has so many open files, most of them for others.
    fn new() -> Option<Self> {
        let counted = FILES
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |files| (files < most_files()).then_some(files + 1));
        counted.is_ok().then_some(Counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        FILES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A quarter of the open files that the process may have, as it was at first.
fn most_files() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| usize::try_from(system::most_open_files() / 4).unwrap_or(usize::MAX))
}

// SAFETY: the mapping belongs to it and is only ever read.
unsafe impl Send for Sealed {}
// SAFETY: as above.
unsafe impl Sync for Sealed {}

impl Sealed {
    /// A file of these parts, which have so many bytes together.
    fn new(parts: &[&[u8]], len: usize) -> io::Result<Self> {
        let counted = Counted::new().ok_or(io::ErrorKind::QuotaExceeded)?;
        // SAFETY: the name is a string with an end.
        let file = unsafe { libc::memfd_create(c"cis-skill".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the file was just opened, and nobody else has it.
        let mut file = unsafe { File::from_raw_fd(file) };
        for part in parts {
            file.write_all(part)?;
        }
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: it only changes what may be done with the file.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let at = system::map_file(file.as_raw_fd(), len)?.cast_const();
        Ok(Sealed { file, at, len, _counted: counted })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is that long, lives as long as this, and its bytes cannot change: the file is sealed.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        // SAFETY: the mapping is its own.
        unsafe { system::unmap(self.at.cast_mut(), self.len) };
    }
}

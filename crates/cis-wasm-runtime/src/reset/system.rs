//! The system calls that memory needs, with their results as `io::Result`.
//!
//! Invariant: these functions allocate nothing and take no lock, so that a signal handler may call them.

use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::OnceLock;

/// What may be done with mapped pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    None,
    Read,
    Write,
}

impl Access {
    fn flags(self) -> libc::c_int {
        match self {
            Access::None => libc::PROT_NONE,
            Access::Read => libc::PROT_READ,
            Access::Write => libc::PROT_READ | libc::PROT_WRITE,
        }
    }
}

/// Reserves so many bytes of addresses, of which none may be touched.
pub(super) fn reserve(len: usize) -> io::Result<*mut u8> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, at an address that the system chooses.
    mapped(unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) })
}

/// Maps a file to read it, at an address that the system chooses.
pub(super) fn map_file(file: RawFd, len: usize) -> io::Result<*mut u8> {
    // SAFETY: a new mapping, at an address that the system chooses.
    mapped(unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_PRIVATE, file, 0) })
}

/// Maps a part of a file over what is at `at`, so that writes to it stay there.
///
/// # Safety
///
/// The bytes at `at` are the caller's, mapped, and nobody has a reference into them.
pub(super) unsafe fn map_file_at(
    at: *mut u8,
    len: usize,
    access: Access,
    file: RawFd,
    offset: usize,
) -> io::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
    let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the caller's promise.
    mapped(unsafe { libc::mmap(at.cast(), len, access.flags(), flags, file, offset) }).map(drop)
}

fn mapped(at: *mut libc::c_void) -> io::Result<*mut u8> {
    if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(at.cast()) }
}

/// Says what may be done with mapped bytes.
///
/// # Safety
///
/// The bytes are the caller's, mapped, and nobody has a reference to them that this would make invalid.
pub(super) unsafe fn protect(at: *mut u8, len: usize, access: Access) -> io::Result<()> {
    // SAFETY: the caller's promise.
    done(unsafe { libc::mprotect(at.cast(), len, access.flags()) })
}

/// Has the system make the pages of these bytes from `base` on, where it can, because all of them are about to be written.
///
/// # Safety
///
/// The bytes are the caller's, mapped, and may be written to.
pub(super) unsafe fn populate(base: *mut u8, bytes: Range<usize>) {
    let begin = bytes.start - bytes.start % page_size();
    let len = bytes.end.next_multiple_of(page_size()) - begin;
    // SAFETY: the caller's promise. What it refuses comes page by page.
    unsafe { libc::madvise(base.add(begin).cast(), len, libc::MADV_POPULATE_WRITE) };
}

/// Has the system make the pages of these bytes, as for reading them.
///
/// # Safety
///
/// The bytes are the caller's, mapped, and may be read.
pub(super) unsafe fn touch(at: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    if unsafe { libc::madvise(at.cast(), len, libc::MADV_POPULATE_READ) } == 0 {
        return;
    }
    // Systems before Linux 5.14 cannot.
    for page in (0..len).step_by(page_size()) {
        // SAFETY: the caller's promise.
        unsafe { at.add(page).read_volatile() };
    }
}

/// Gives the pages of mapped bytes back: they read as what is mapped there, a file's bytes or zeros.
///
/// # Safety
///
/// The bytes are the caller's, mapped privately, and nobody has a reference to them.
pub(super) unsafe fn give_back(at: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's promise.
    done(unsafe { libc::madvise(at.cast(), len, libc::MADV_DONTNEED) })
}

/// Ends a mapping.
///
/// # Safety
///
/// The bytes are the caller's, mapped, and nobody uses them any more.
pub(super) unsafe fn unmap(at: *mut u8, len: usize) {
    // SAFETY: the caller's promise. It fails only for what is no mapping.
    unsafe { libc::munmap(at.cast(), len) };
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many open files the process may have.
pub(super) fn most_open_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit`, which there is room for.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        0 => limit.rlim_cur,
        _ => 1_024,
    }
}

/// The size of a page in bytes: a power of two that divides WebAssembly's 64 KiB.
pub(super) fn page_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| {
        // SAFETY: it only answers.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let size = usize::try_from(size).unwrap_or(0);
        assert!(size.is_power_of_two() && size <= wasmer::WASM_PAGE_SIZE, "pages of {size} bytes");
        size
    })
}

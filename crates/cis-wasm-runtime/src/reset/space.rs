//! A linear memory that can be set back.
//!
//! Invariants, which every `unsafe` here leans on:
//! - A [`Space`] owns its reservation, from its making to its drop. `base` never moves.
//! - Exactly the bytes below the length can be read, and none beyond it can be touched: generated code has no other check
//!   of bounds.
//! - A page below the length can be written to only if it is noted in `written`, or if all of its part of memory is `open`.
//!   So a page that is neither has the bytes that the image says.
//! - The length is in the definition, which lies in the instance's own block of memory and lives as long as the store that
//!   owns the instance. A space reads and writes it only for that store: while a call is in progress, or for the owner of
//!   the store. That is one thread at a time.
//! - What runs in the signal handler ([`Space::fault`]) takes no lock and allocates nothing.

use std::fmt;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use wasmer::sys::vm::{LinearMemory, Trap, TrapHandlerFn, VMMemory, VMMemoryDefinition};
use wasmer::{MemoryError, MemoryStyle, MemoryType, Pages as WasmPages};

use super::image::Image;
use super::lessons::Lessons;
use super::pages::Pages;
use super::system::{self, Access};
use crate::interrupt;

/// The most pages that are noted one by one. An event that writes to more opens all of its memory: what it wrote is dropped
/// after it and not copied.
const MOST_NOTED: usize = 2_048;
/// So many noted pages are copied back in some tens of microseconds.
const MOST_LIGHT: usize = 384;
/// So many bytes take some tens of microseconds to be read for the first time.
const SOON_MAPPED: usize = 256 << 10;
/// The most bytes that are read for that alone: some milliseconds.
const MOST_MAPPED: usize = 64 << 20;
/// The most stretches of noted pages. Each takes mappings of the process, of which the system allows so many.
const MOST_STRETCHES: isize = 512;
/// The most stretches in grown memory that are worth keeping over a reset.
const MOST_GROWN_STRETCHES: usize = 8;
/// A data segment with as many bytes has its pages made at once, and not by a fault for each.
const POPULATED_FROM: usize = 64 << 10;

/// Stretches of all spaces of the process.
static STRETCHES: AtomicIsize = AtomicIsize::new(0);

/// The most of them: each may take two mappings, and the most part stays for others.
fn most_stretches() -> isize {
    static MOST: OnceLock<isize> = OnceLock::new();
    *MOST.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        text.trim().parse().unwrap_or(65_530) / 8
    })
}

/// A linear memory that shows an image, or zeros where there is none yet.
pub(crate) struct Space {
    pub(super) base: *mut u8,
    /// Bytes reserved from there on.
    reserved: usize,
    definition: NonNull<VMMemoryDefinition>,
    /// The type it was declared with, capped.
    ty: MemoryType,
    pub(super) page_size: usize,
    most_stretches: isize,
    /// What it is set back to. A template has none until its own is taken.
    pub(super) image: OnceLock<Arc<Image>>,
    /// Whether reading takes no fault: each page has been looked at, and none was given back since.
    mapped: AtomicBool,
    /// Whether the instance is complete. Until then its data segments are written, which the image has already.
    complete: AtomicBool,
    /// Pages that may have been written to.
    pub(super) written: Pages,
    /// How many those are.
    noted: AtomicUsize,
    /// How many stretches they are in.
    stretches: AtomicIsize,
    /// Whether all of memory may have been written to.
    pub(super) open: AtomicBool,
    /// Whether all that was grown may have been.
    pub(super) grown_open: AtomicBool,
    /// When it is learnt anew which pages are written to.
    lessons: Lessons,
}

// SAFETY: see the invariants: whatever it points to belongs to it or to the store it belongs to, and one thread at a time
// has that store.
unsafe impl Send for Space {}
// SAFETY: as above. It is shared between the parts of one instance: its store, its signal handler, its owner.
unsafe impl Sync for Space {}

impl Space {
    /// A memory of this type that shows the image, or zeros. Its length and base are put into the definition.
    ///
    /// # Safety
    ///
    /// The definition may be written to, now and as long as there is a store that this memory belongs to.
    pub(crate) unsafe fn new(
        ty: &MemoryType,
        image: Option<&Arc<Image>>,
        definition: NonNull<VMMemoryDefinition>,
    ) -> Result<Arc<Self>, MemoryError> {
        let page_size = system::page_size();
        let style = MemoryStyle::Static;
        let guard = usize::try_from(style.offset_guard_size()).map_err(|error| failed(&error))?;
        let reserved = MemoryStyle::static_bound().bytes().0 + guard;
        let most = ty.maximum.unwrap_or(WasmPages::max_value()).bytes().0;
        let len = image.map_or(ty.minimum.bytes().0, |image| image.len());
        if len > most {
            return Err(MemoryError::InvalidMemory { reason: "it is larger than its own maximum".into() });
        }
        let space = Space {
            base: system::reserve(reserved).map_err(|error| failed(&error))?,
            reserved,
            definition,
            ty: *ty,
            page_size,
            most_stretches: most_stretches(),
            image: OnceLock::new(),
            mapped: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            written: Pages::new(most / page_size),
            noted: AtomicUsize::new(0),
            stretches: AtomicIsize::new(0),
            open: AtomicBool::new(false),
            grown_open: AtomicBool::new(false),
            lessons: Lessons::new(),
        };
        // SAFETY: the reservation is new and as long as any memory can be; the caller promises the definition.
        unsafe {
            match image {
                Some(image) => image.lay(space.base, Access::Read),
                None => system::protect(space.base, len, Access::Read),
            }
            .map_err(|error| failed(&error))?;
            definition.write(VMMemoryDefinition { base: space.base, current_length: len });
        }
        if let Some(image) = image {
            space.image.get_or_init(|| image.clone());
        }
        Ok(Arc::new(space))
    }

    /// The memory as the engine wants it.
    pub(crate) fn into_memory(self: Arc<Self>) -> VMMemory {
        VMMemory(Box::new(Owned(self)))
    }

    /// What has to be told of every fault of guest code, because it may be the first write to a page of this memory. To be
    /// called when the memory's instance is complete.
    pub(crate) fn watch(self: &Arc<Self>) -> Box<TrapHandlerFn<'static>> {
        self.complete.store(true, Ordering::Relaxed);
        let space = self.clone();
        Box::new(move |signal, info, context| {
            if signal != libc::SIGSEGV {
                // SAFETY: it is the context that the system called the handler with.
                return unsafe { interrupt::runs_out(context.cast_mut()) };
            }
            // SAFETY: the system's own record of the signal, which has an address when it says that there was an access
            // that is not allowed.
            let denied = unsafe { ((*info).si_code == ACCESS_DENIED).then(|| (*info).si_addr()) };
            let writable = denied.is_some_and(|address| space.fault(address as usize));
            if writable {
                // SAFETY: as above.
                unsafe { interrupt::gives_up(context.cast_mut()) };
            }
            writable
        })
    }

    /// The length in bytes.
    pub(crate) fn len(&self) -> usize {
        // SAFETY: see the invariants.
        unsafe { (*self.definition.as_ptr()).current_length }
    }

    /// Bytes that are this instance's alone, about.
    pub(crate) fn resident_bytes(&self) -> usize {
        let copied = self.image.get().map_or(0, |image| image.copied_bytes());
        self.noted.load(Ordering::Relaxed) * self.page_size + copied
    }

    /// Whether a run that writes to memory is seen to do so, and setting it back takes little time.
    pub(crate) fn is_light(&self) -> bool {
        let open = self.open.load(Ordering::Relaxed) || self.grown_open.load(Ordering::Relaxed);
        !open && self.noted.load(Ordering::Relaxed) <= MOST_LIGHT
    }

    /// Whether reading all of memory takes next to no time beside what the guest pays for it. The first read of a page is a
    /// fault, and those are some hundred times as long as any other.
    pub(crate) fn is_mapped(&self) -> bool {
        self.len() <= SOON_MAPPED || self.mapped.load(Ordering::Relaxed)
    }

    /// Has that be so, unless it would take too long. No call is in progress.
    pub(crate) fn map(&self) {
        let len = self.len();
        // What is open is given back as a whole when it is set back.
        if !self.open.load(Ordering::Relaxed) && !self.is_mapped() && len <= MOST_MAPPED {
            // SAFETY: the bytes lie below the length, so they can be read.
            unsafe { system::touch(self.base, len) };
            self.mapped.store(true, Ordering::Relaxed);
        }
    }

    /// Makes sure that these bytes can be written to, and that they are set back. They lie below the length. Fails when the
    /// system has no means for it; then they must not be written to.
    pub(crate) fn note(&self, bytes: Range<usize>) -> bool {
        if bytes.is_empty() || self.open.load(Ordering::Relaxed) {
            return true;
        }
        let mut end = bytes.end.div_ceil(self.page_size);
        if self.grown_open.load(Ordering::Relaxed) {
            end = end.min(self.floor() / self.page_size);
        }
        let mut page = bytes.start / self.page_size;
        loop {
            page = self.written.next(false, page..end);
            if page >= end {
                return true;
            }
            let unwritten = page..self.written.next(true, page..end);
            page = unwritten.end;
            if !self.make_writable(unwritten) {
                return false;
            }
        }
    }

    /// Takes the image of a template whose start-up is over, and has it stand for that image from now on.
    pub(crate) fn take_image(&self) -> io::Result<Arc<Image>> {
        let len = self.len();
        let open = self.open.load(Ordering::Relaxed);
        // SAFETY: these bytes can be read, and nobody writes to them: no call is in progress.
        let bytes = unsafe { std::slice::from_raw_parts(self.base.cast_const(), len) };
        let image = Arc::new(Image::of(bytes, |page| open || self.written.contains(page)));
        // SAFETY: the bytes are this memory's, and nobody has a reference to them any more.
        unsafe { system::protect(self.base, len, Access::Read)? };
        self.forget(0..len / self.page_size);
        self.open.store(false, Ordering::Relaxed);
        Ok(self.image.get_or_init(|| image).clone())
    }

    /// Sets memory back to the image. When this fails, the instance is not to be used again.
    pub(crate) fn reset(&self) -> io::Result<()> {
        let image = self.image.get().ok_or(io::ErrorKind::NotFound)?;
        self.give_up_growth(image.len())?;
        let open = self.open.load(Ordering::Relaxed);
        let opened = open || self.grown_open.load(Ordering::Relaxed);
        let anew = self.lessons.after_event(opened);
        if open || anew {
            // What was once grown is zeros, and may be there still.
            let len = if anew { self.pages() * self.page_size } else { image.len() };
            // SAFETY: the bytes are this memory's, and nobody has a reference to them: no call is in progress.
            unsafe { system::give_back(self.base, len)? };
            self.mapped.store(false, Ordering::Relaxed);
            let access = if anew { Access::Read } else { Access::Write };
            // SAFETY: as above; what was given back is zeros or the image's.
            unsafe { image.lay(self.base, access)? };
        }
        if anew {
            self.lessons.begin(self.noted.load(Ordering::Relaxed), opened);
            self.forget(0..self.pages());
            self.open.store(false, Ordering::Relaxed);
            self.grown_open.store(false, Ordering::Relaxed);
        } else if !open {
            for page in self.written.stretches(0..image.len() / self.page_size).flatten() {
                // SAFETY: a noted page can be written to, and is not the image's own.
                unsafe { image.copy(page, self.base.add(page * self.page_size)) };
            }
        }
        Ok(())
    }

    /// Takes away what was grown beyond `floor`. Pages that were written to become zeros.
    fn give_up_growth(&self, floor: usize) -> io::Result<()> {
        let len = self.len();
        if len <= floor {
            return Ok(());
        }
        let pages = floor / self.page_size..len / self.page_size;
        let open = self.open.load(Ordering::Relaxed) || self.grown_open.load(Ordering::Relaxed);
        if !open && self.written.stretches(pages.clone()).count() <= MOST_GROWN_STRETCHES {
            for stretch in self.written.stretches(pages) {
                // SAFETY: noted pages below the length can be written to, and nobody has a reference to them.
                unsafe {
                    let at = self.base.add(stretch.start * self.page_size);
                    at.write_bytes(0, stretch.len() * self.page_size);
                }
            }
        } else {
            // SAFETY: the bytes are this memory's, and nobody has a reference to them.
            unsafe { system::give_back(self.base.add(floor), len - floor)? };
            self.forget(pages);
            self.grown_open.store(true, Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { system::protect(self.base.add(floor), len - floor, Access::None)? };
        self.set_len(floor);
        Ok(())
    }

    /// A write that was not allowed: whether it is now. Runs in the signal handler.
    fn fault(&self, address: usize) -> bool {
        let Some(offset) = address.checked_sub(self.base as usize) else { return false };
        if offset >= self.len() {
            return false;
        }
        let page = offset / self.page_size;
        // What can be written to does not fault for that.
        !self.is_writable(page) && self.make_writable(page..page + 1)
    }

    fn is_writable(&self, page: usize) -> bool {
        self.open.load(Ordering::Relaxed)
            || self.written.contains(page)
            || (self.grown_open.load(Ordering::Relaxed) && page * self.page_size >= self.floor())
    }

    /// Notes pages, of which none is noted, and makes them writable. Where that is too many, all of memory is opened.
    fn make_writable(&self, pages: Range<usize>) -> bool {
        let before = pages.start.checked_sub(1).is_some_and(|page| self.written.contains(page));
        let more = 1 - isize::from(before) - isize::from(self.written.contains(pages.end));
        let noted = self.noted.load(Ordering::Relaxed) + pages.len();
        let own = self.stretches.load(Ordering::Relaxed) + more;
        if noted > MOST_NOTED || own > MOST_STRETCHES {
            return self.open_all();
        }
        if STRETCHES.fetch_add(more, Ordering::Relaxed) + more > self.most_stretches && more > 0 {
            STRETCHES.fetch_sub(more, Ordering::Relaxed);
            return self.open_all();
        }
        self.stretches.store(own, Ordering::Relaxed);
        // Noted even when it fails: then all is opened, which ends the notes.
        self.noted.store(noted, Ordering::Relaxed);
        self.lessons.noted();
        self.written.insert(pages.clone());
        // SAFETY: the pages are this memory's, below its length; more can be done with them than before.
        let writable = unsafe {
            let at = self.base.add(pages.start * self.page_size);
            system::protect(at, pages.len() * self.page_size, Access::Write)
        };
        writable.is_ok() || self.open_all()
    }

    /// Makes all of memory writable.
    fn open_all(&self) -> bool {
        // SAFETY: the bytes are this memory's; more can be done with them than before.
        let opened = unsafe { system::protect(self.base, self.len(), Access::Write) }.is_ok();
        if opened {
            self.open.store(true, Ordering::Relaxed);
            self.forget(0..self.pages());
            self.lessons.opened();
        }
        opened
    }

    /// Ends the notes of pages.
    fn forget(&self, pages: Range<usize>) {
        let (mut noted, mut stretches) = (0, 0);
        for stretch in self.written.stretches(pages.clone()) {
            noted += stretch.len();
            stretches += 1;
        }
        self.written.remove(pages);
        self.noted.fetch_sub(noted, Ordering::Relaxed);
        // A stretch that reached beyond the pages is counted as gone: one too few, until the next lesson.
        let stretches = stretches.min(self.stretches.load(Ordering::Relaxed));
        self.stretches.fetch_sub(stretches, Ordering::Relaxed);
        STRETCHES.fetch_sub(stretches, Ordering::Relaxed);
    }

    /// Adds pages at the end.
    pub(super) fn grow(&self, delta: WasmPages) -> Result<WasmPages, MemoryError> {
        let current = self.wasm_pages();
        let could_not = MemoryError::CouldNotGrow { current, attempted_delta: delta };
        let most = self.ty.maximum.unwrap_or(WasmPages::max_value()).min(WasmPages::max_value());
        let Some(grown) = current.checked_add(delta).filter(|grown| *grown <= most) else { return Err(could_not) };
        let (old, new) = (self.len(), grown.bytes().0);
        if self.open.load(Ordering::Relaxed) || self.grown_open.load(Ordering::Relaxed) {
            self.allow(old..new, Access::Write)?;
        } else {
            // What was noted when an earlier event grew memory was zeroed, and is likely to be written to again.
            let (mut page, end) = (old / self.page_size, new / self.page_size);
            while page < end {
                let noted = self.written.contains(page);
                let until = self.written.next(!noted, page..end);
                let access = if noted { Access::Write } else { Access::Read };
                self.allow(page * self.page_size..until * self.page_size, access)?;
                page = until;
            }
        }
        self.set_len(new);
        if new.saturating_sub(self.floor()) > SOON_MAPPED {
            // Nobody has looked at any of that yet.
            interrupt::give_up();
        }
        Ok(current)
    }

    fn allow(&self, bytes: Range<usize>, access: Access) -> Result<(), MemoryError> {
        // SAFETY: the bytes lie within the reservation, and nobody has a reference to them.
        unsafe { system::protect(self.base.add(bytes.start), bytes.len(), access) }.map_err(|error| failed(&error))
    }

    /// Where what is grown begins.
    fn floor(&self) -> usize {
        self.image.get().map_or(usize::MAX, |image| image.len())
    }

    /// How many pages there can be.
    fn pages(&self) -> usize {
        self.ty.maximum.unwrap_or(WasmPages::max_value()).bytes().0 / self.page_size
    }

    fn wasm_pages(&self) -> WasmPages {
        WasmPages((self.len() / wasmer::WASM_PAGE_SIZE) as u32)
    }

    fn set_len(&self, len: usize) {
        // SAFETY: see the invariants.
        unsafe { (*self.definition.as_ptr()).current_length = len };
    }
}

/// What the system says of an access that a mapping does not allow, as against one to no mapping.
const ACCESS_DENIED: libc::c_int = 2;

impl Drop for Space {
    fn drop(&mut self) {
        STRETCHES.fetch_sub(self.stretches.load(Ordering::Relaxed), Ordering::Relaxed);
        // SAFETY: the reservation is its own, and the store that used it is gone.
        unsafe { system::unmap(self.base, self.reserved) };
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").field("base", &self.base).finish_non_exhaustive()
    }
}

fn failed(error: &impl fmt::Display) -> MemoryError {
    MemoryError::Region(error.to_string())
}

/// A space as the engine sees it.
#[derive(Debug)]
struct Owned(Arc<Space>);

impl LinearMemory for Owned {
    fn ty(&self) -> MemoryType {
        MemoryType { minimum: self.0.wasm_pages(), ..self.0.ty }
    }

    fn size(&self) -> WasmPages {
        self.0.wasm_pages()
    }

    fn style(&self) -> MemoryStyle {
        MemoryStyle::Static
    }

    fn grow(&mut self, delta: WasmPages) -> Result<WasmPages, MemoryError> {
        self.0.grow(delta)
    }

    fn vmmemory(&self) -> NonNull<VMMemoryDefinition> {
        self.0.definition
    }

    fn try_clone(&self) -> Result<Box<dyn LinearMemory + Send + Sync + 'static>, MemoryError> {
        Err(MemoryError::MemoryNotShared)
    }

    unsafe fn initialize_with_data(&self, start: usize, data: &[u8]) -> Result<(), Trap> {
        let space = &self.0;
        if space.image.get().is_some() && !space.complete.load(Ordering::Relaxed) {
            // A data segment, while the instance is made: the image was taken after it.
            return Ok(());
        }
        if !space.note(start..start + data.len()) {
            return Err(Trap::oom());
        }
        if data.len() >= POPULATED_FROM {
            // SAFETY: the bytes lie below the length and can be written to now.
            unsafe { system::populate(space.base, start..start + data.len()) };
        }
        // SAFETY: the caller says that the bytes lie below the length; they can be written to now.
        unsafe { space.base.add(start).copy_from_nonoverlapping(data.as_ptr(), data.len()) };
        Ok(())
    }

    fn copy(&self) -> Result<Box<dyn LinearMemory + Send + Sync + 'static>, MemoryError> {
        Err(MemoryError::MemoryNotShared)
    }
}

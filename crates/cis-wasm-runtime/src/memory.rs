//! The one way to read and write a guest's memory.
//!
//! Invariants:
//! - Every access names a [`Region`] and is checked against the memory's present size, without overflow, before a byte is
//!   touched or allocated for it.
//! - A [`GuestMemory`] lies in the [`Guest`](crate::guest::Guest) of the instance that its memory belongs to, and nowhere
//!   else: it cannot be cloned. Guest code runs only while nobody has a reference to that ([`crate::native`]), so a slice of
//!   it is gone before the guest runs or its memory grows; what is kept of it longer is a copy.
//! - The memory and its definition lie in the instance's store and live as long; the base does not move, because the engine
//!   reserves all that a memory may ever have; its length is read for every access.
//! - Memories are never shared between threads ([`crate::check::FEATURES`] has no threads). So nobody else writes to the bytes while
//!   they are copied.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use cis_wasm_abi::Region;
use cis_wasm_host::unwired::{Limit, unwired};
use wasmer::sys::vm::{LinearMemory, VMMemory, VMMemoryDefinition};
use wasmer::{Pages, WASM_PAGE_SIZE};

use crate::error::{Error, ErrorKind};
use crate::reset::Space;

/// A region does not lie within memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfBounds {
    pub region: Region,
    /// The size of memory in bytes.
    pub memory: u64,
}

/// What a region out of bounds means: `what` says whose argument it is.
pub(crate) fn bad_pointer(what: impl Into<String>, out: OutOfBounds) -> Error {
    let OutOfBounds { region: Region { ptr, len }, memory } = out;
    ErrorKind::BadPointer { what: what.into(), ptr, len, memory }.into()
}

/// The bytes of a region, when it lies within a memory of this size. A test can have it cut instead of refused, so that it
/// lies within memory in any case.
#[inline]
pub(crate) fn within(region: Region, memory: u64) -> Option<Range<usize>> {
    if !unwired(Limit::Pointers) {
        return region.within(memory);
    }
    let ptr = u64::from(region.ptr).min(memory);
    let len = u64::from(region.len).min(memory - ptr);
    Some(ptr as usize..(ptr + len) as usize)
}

/// A guest's linear memory.
pub(crate) struct GuestMemory {
    memory: NonNull<VMMemory>,
    definition: NonNull<VMMemoryDefinition>,
    /// What has to know of writes beforehand, when this memory is set back after events.
    space: Option<Arc<Space>>,
}

// SAFETY: it moves between threads with the store that it belongs to, and only with it.
unsafe impl Send for GuestMemory {}

impl GuestMemory {
    /// # Safety
    ///
    /// The definition is that of this memory, which is static; both belong to the store of the instance in whose guest the
    /// result is put, and neither moves.
    pub(crate) unsafe fn new(
        memory: NonNull<VMMemory>,
        definition: NonNull<VMMemoryDefinition>,
        space: Option<Arc<Space>>,
    ) -> Self {
        GuestMemory { memory, definition, space }
    }

    /// The size in bytes.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.definition().current_length as u64
    }

    /// A region's bytes.
    #[inline]
    pub(crate) fn read(&self, region: Region) -> Result<&[u8], OutOfBounds> {
        let VMMemoryDefinition { base, current_length } = self.definition();
        let memory = current_length as u64;
        let range = within(region, memory).ok_or(OutOfBounds { region, memory })?;
        // SAFETY: `range` lies within the `current_length` bytes at `base`, which are initialised and stay mapped as long as
        // the store; while the slice is there `self` is borrowed, so nobody writes and no guest runs.
        Ok(unsafe { std::slice::from_raw_parts(base.add(range.start).cast_const(), range.len()) })
    }

    /// Copies bytes in. `what` gave the pointer.
    #[inline]
    pub(crate) fn write(&mut self, what: &str, ptr: u32, bytes: &[u8]) -> Result<(), Error> {
        let VMMemoryDefinition { base, current_length } = self.definition();
        let memory = current_length as u64;
        let region = Region { ptr, len: u32::try_from(bytes.len()).unwrap_or(u32::MAX) };
        let whole = |range: &Range<usize>| range.len() == bytes.len() || unwired(Limit::Pointers);
        let range =
            within(region, memory).filter(whole).ok_or_else(|| bad_pointer(what, OutOfBounds { region, memory }))?;
        let bytes = &bytes[..range.len()];
        if self.space.as_ref().is_some_and(|space| !space.note(range.clone())) {
            return Err(ErrorKind::Internal { message: "the system has no memory to write to".into() }.into());
        }
        // SAFETY: `range` lies within the `current_length` bytes at `base`, which stay mapped as long as the store; the
        // exclusive borrow keeps everybody else away; a space that write-protects them was told; `bytes` is host memory
        // and cannot overlap.
        unsafe { base.add(range.start).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Adds pages, and says where they begin; `None` when that would exceed the cap.
    pub(crate) fn grow(&mut self, pages: u32) -> Option<u64> {
        // SAFETY: see the invariants; guest code, which may grow it too, does not run.
        let old = unsafe { self.memory.as_mut() }.grow(Pages(pages)).ok()?;
        Some(u64::from(old.0) * WASM_PAGE_SIZE as u64)
    }

    #[inline]
    fn definition(&self) -> VMMemoryDefinition {
        // SAFETY: see the invariants.
        unsafe { self.definition.read() }
    }
}

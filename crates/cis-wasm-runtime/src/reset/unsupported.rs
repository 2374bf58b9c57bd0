//! Platforms without the mechanism.
//!
//! Invariant: there is no image and no space, so nothing here ever runs but the one function that says so.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use wasmer::sys::vm::{TrapHandlerFn, VMMemory, VMMemoryDefinition};
use wasmer::{MemoryError, MemoryType};

/// There is none.
pub(crate) enum Image {}

/// There is none.
pub(crate) enum Written {}

impl Written {
    pub(crate) fn size(&self) -> usize {
        match *self {}
    }
}

/// There is none.
#[derive(Debug)]
pub(crate) enum Space {}

impl Space {
    /// # Safety
    ///
    /// None.
    pub(crate) unsafe fn new(
        _: &MemoryType,
        _: Option<&Arc<Image>>,
        _: NonNull<VMMemoryDefinition>,
    ) -> Result<Arc<Self>, MemoryError> {
        Err(MemoryError::UnsupportedOperation { message: "memory is not set back on this platform".into() })
    }

    pub(crate) fn into_memory(self: Arc<Self>) -> VMMemory {
        match *self {}
    }

    pub(crate) fn watch(self: &Arc<Self>) -> Box<TrapHandlerFn<'static>> {
        match **self {}
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        match *self {}
    }

    pub(crate) fn is_light(&self) -> bool {
        match *self {}
    }

    pub(crate) fn is_mapped(&self) -> bool {
        match *self {}
    }

    pub(crate) fn map(&self) {
        match *self {}
    }

    pub(crate) fn note(&self, _: Range<usize>) -> bool {
        match *self {}
    }

    pub(crate) fn written(&self, _: usize) -> Option<Written> {
        match *self {}
    }

    pub(crate) fn write_again(&self, _: &Written) -> bool {
        match *self {}
    }

    pub(crate) fn take_image(&self) -> io::Result<Arc<Image>> {
        match *self {}
    }

    pub(crate) fn reset(&self) -> io::Result<()> {
        match *self {}
    }
}

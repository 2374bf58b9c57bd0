//! Caps on memories and tables, where the engine makes them.
//!
//! Invariant: no memory and no table of an instance ever has more than the cap, whether declared or grown, by the guest
//! or by the host. The engine asks its tunables for every one of them, and a cap put into the type's maximum is what
//! every later growth is held to. `table.grow(-1)` of an
//! uncapped table aborts the process in wasmer 7.4.2.

use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use cis_wasm_host::unwired::{Limit, unwired};
use wasmer::sys::vm::{VMGlobal, VMGlobalDefinition, VMMemory, VMMemoryDefinition, VMTable, VMTableDefinition};
use wasmer::sys::{BaseTunables, Tunables};
use wasmer::{GlobalType, MemoryError, MemoryStyle, MemoryType, Pages, TableStyle, TableType, WASM_PAGE_SIZE};

use crate::counter::Counter;
use crate::limits::Limits;
use crate::reset::{Image, Space};

pub(crate) struct CappedTunables {
    base: BaseTunables,
    pages: Pages,
    /// How far any one table may grow beyond what it declares: an equal share of what the declarations leave.
    spare_elements: u32,
    spaces: Option<Spaces>,
}

/// How the memory of one instance is made so that it can be set back.
#[derive(Clone, Default)]
pub(crate) struct Spaces {
    /// What it shows. Without one it is a template's.
    pub image: Option<Arc<Image>>,
    /// The memory, when it was made.
    pub made: Arc<OnceLock<Arc<Space>>>,
}

impl CappedTunables {
    /// The caps of a module whose tables declare so many elements together; the check saw to it that they are within
    /// the limit.
    pub(crate) fn new(limits: &Limits, tables: u32, declared_elements: u32) -> Self {
        let pages = if unwired(Limit::Memory) { u64::MAX } else { limits.memory_bytes / WASM_PAGE_SIZE as u64 };
        CappedTunables {
            base: BaseTunables::new(),
            pages: Pages(u32::try_from(pages).unwrap_or(u32::MAX).min(Pages::max_value().0)),
            spare_elements: match unwired(Limit::Tables) {
                true => u32::MAX,
                false => limits.table_elements.saturating_sub(declared_elements) / tables.max(1),
            },
            spaces: None,
        }
    }

    /// The same caps, for one instance whose memory is a [`Space`].
    pub(crate) fn with_spaces(mut self, spaces: Spaces) -> Self {
        self.spaces = Some(spaces);
        self
    }

    fn capped_memory(&self, ty: &MemoryType) -> Result<MemoryType, MemoryError> {
        if ty.minimum > self.pages {
            return Err(MemoryError::MinimumMemoryTooLarge { min_requested: ty.minimum, max_allowed: self.pages });
        }
        let mut capped = *ty;
        capped.maximum = Some(ty.maximum.map_or(self.pages, |maximum| maximum.min(self.pages)));
        Ok(capped)
    }

    fn capped_table(&self, ty: &TableType) -> TableType {
        let cap = ty.minimum.saturating_add(self.spare_elements);
        let mut capped = *ty;
        capped.maximum = Some(ty.maximum.map_or(cap, |maximum| maximum.min(cap)));
        capped
    }
}

impl Tunables for CappedTunables {
    fn memory_style(&self, memory: &MemoryType) -> MemoryStyle {
        self.base.memory_style(memory)
    }

    fn table_style(&self, table: &TableType) -> TableStyle {
        self.base.table_style(table)
    }

    fn create_host_memory(&self, ty: &MemoryType, style: &MemoryStyle) -> Result<VMMemory, MemoryError> {
        self.base.create_host_memory(&self.capped_memory(ty)?, style)
    }

    unsafe fn create_vm_memory(
        &self,
        ty: &MemoryType,
        style: &MemoryStyle,
        vm_definition_location: NonNull<VMMemoryDefinition>,
    ) -> Result<VMMemory, MemoryError> {
        let ty = self.capped_memory(ty)?;
        let Some(Spaces { image, made }) = &self.spaces else {
            // SAFETY: the caller's promise about the location is passed on as it is.
            return unsafe { self.base.create_vm_memory(&ty, style, vm_definition_location) };
        };
        // SAFETY: as above; the location is a part of the instance that the memory is made for.
        let space = unsafe { Space::new(&ty, image.as_ref(), vm_definition_location)? };
        match made.set(space.clone()) {
            Ok(()) => Ok(space.into_memory()),
            Err(_) => Err(MemoryError::Generic("an instance has one memory".into())),
        }
    }

    unsafe fn create_vm_global(
        &self,
        ty: GlobalType,
        vm_definition_location: NonNull<VMGlobalDefinition>,
    ) -> Result<VMGlobal, String> {
        Counter::note(vm_definition_location);
        // SAFETY: the caller's promise about the location is passed on as it is.
        unsafe { self.base.create_vm_global(ty, vm_definition_location) }
    }

    fn create_host_table(&self, ty: &TableType, style: &TableStyle) -> Result<VMTable, String> {
        self.base.create_host_table(&self.capped_table(ty), style)
    }

    unsafe fn create_vm_table(
        &self,
        ty: &TableType,
        style: &TableStyle,
        vm_definition_location: NonNull<VMTableDefinition>,
    ) -> Result<VMTable, String> {
        // SAFETY: the caller's promise about the location is passed on as it is.
        unsafe { self.base.create_vm_table(&self.capped_table(ty), style, vm_definition_location) }
    }
}

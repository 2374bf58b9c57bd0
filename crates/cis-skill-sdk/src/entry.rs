//! What the host calls: the exports, and the skill behind them.
//!
//! # The invariants we must uphold
//!
//! - The host calls one export at a time, and none but `cis_alloc` while one of its own functions runs. So the skill is
//!   borrowed at most once.
//! - An event's two blocks stay as they are until `skill_on_event` has returned.
//! - A response is a block of exactly its length from this module's allocator; `cis_free` takes it back. So does it take
//!   back an event's blocks, which came from `cis_alloc`.

#![allow(unsafe_code)]

#[cfg(target_arch = "wasm32")]
pub use wasm::{Entry, cis_alloc, cis_free};

/// Makes a type that is a [`Skill`](crate::Skill) the skill of this module. Once in a crate, at its root.
///
/// In wasm it emits the exports, the global allocator and the panic handler. Natively it emits nothing but a check that
/// the type is a skill, so that `cargo test` builds the crate like any other.
#[macro_export]
macro_rules! skill {
    ($skill:ty) => {
        const _: () = {
            const fn is_a_skill<S: $crate::Skill>() {}
            is_a_skill::<$skill>();
        };

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static ENTRY: $crate::macros::Entry<$skill> = $crate::macros::Entry::new();

            #[global_allocator]
            static ALLOCATOR: $crate::macros::Allocator = $crate::macros::Allocator::new();

            #[panic_handler]
            fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
                $crate::macros::report(info)
            }

            #[unsafe(no_mangle)]
            extern "C" fn cis_abi_version() -> i32 {
                $crate::macros::ABI_VERSION
            }

            #[unsafe(no_mangle)]
            extern "C" fn cis_alloc(len: usize) -> *mut u8 {
                $crate::macros::cis_alloc(len)
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn cis_free(ptr: *mut u8, len: usize) {
                // SAFETY: the host gives back what it had from `cis_alloc`, or a response.
                unsafe { $crate::macros::cis_free(ptr, len) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn skill_init() -> i32 {
                ENTRY.init()
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn skill_on_event(
                type_ptr: *const u8,
                type_len: usize,
                data_ptr: *const u8,
                data_len: usize,
            ) -> i64 {
                // SAFETY: the host has written both blocks and leaves them until this function has returned.
                unsafe { ENTRY.on_event(type_ptr, type_len, data_ptr, data_len) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn skill_shutdown() {
                ENTRY.shutdown();
            }
        };
    };
}

#[cfg(target_arch = "wasm32")]
mod wasm {
    use alloc_crate::alloc::{alloc, dealloc, realloc};
    use alloc_crate::vec::Vec;
    use core::alloc::Layout;
    use core::cell::UnsafeCell;
    use core::mem::ManuallyDrop;
    use core::{ptr, slice};

    use cis_wasm_abi::{Packed, Status};

    use crate::heap::ALIGN;
    use crate::skill::conclude;
    use crate::{Error, Event, Response, Skill};

    /// The one skill of a module.
    pub struct Entry<S> {
        skill: UnsafeCell<Option<S>>,
    }

    // SAFETY: there is one thread.
    unsafe impl<S> Sync for Entry<S> {}

    impl<S: Skill> Entry<S> {
        #[allow(clippy::new_without_default, missing_docs)]
        pub const fn new() -> Self {
            Entry { skill: UnsafeCell::new(None) }
        }

        #[allow(clippy::mut_from_ref)]
        fn skill(&self) -> &mut Option<S> {
            // SAFETY: the borrow ends with the export that asked for it, and no other runs meanwhile.
            unsafe { &mut *self.skill.get() }
        }

        #[allow(missing_docs)]
        pub fn init(&self) -> i32 {
            match self.skill().insert(S::default()).init() {
                Ok(()) => Status::Ok.code(),
                Err(error) => conclude(&error),
            }
        }

        /// # Safety
        ///
        /// Both regions hold initialised bytes that nobody writes to until this function has returned, or are empty.
        pub unsafe fn on_event(&self, kind: *const u8, kind_len: usize, data: *const u8, data_len: usize) -> i64 {
            // SAFETY: as this function's own.
            let (kind, data) = unsafe { (bytes(kind, kind_len), bytes(data, data_len)) };
            let result = match core::str::from_utf8(kind) {
                Ok(kind) => self.skill().get_or_insert_default().handle(Event::new(kind, data)),
                Err(_) => {
                    Err(Error::Skill { code: Status::NotUtf8.code(), text: "the event's type is not UTF-8".into() })
                }
            };
            pack(result).to_i64()
        }

        #[allow(missing_docs)]
        pub fn shutdown(&self) {
            if let Some(mut skill) = self.skill().take() {
                skill.shutdown();
            }
        }
    }

    fn pack(result: Result<Response, Error>) -> Packed {
        let bytes = match result.map(Response::into_bytes) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Packed::status(Status::Ok),
            Err(error) => return Packed::code(conclude(&error)),
        };
        let len = bytes.len() as u32;
        match Packed::bytes(into_block(bytes).expose_provenance() as u32, len) {
            Some(packed) => packed,
            None => Packed::code(conclude(&Error::failed("no memory is left for the response"))),
        }
    }

    /// A block of exactly the bytes' length, which is how `cis_free` finds it; null when there is no memory for it.
    fn into_block(bytes: Vec<u8>) -> *mut u8 {
        let mut bytes = ManuallyDrop::new(bytes);
        let (block, len) = (bytes.as_mut_ptr(), bytes.len());
        match layout(bytes.capacity()) {
            Some(layout) if len < layout.size() => {
                // SAFETY: this is the layout of the vector's block, which nobody else has any more.
                let exact = if len > 0 { unsafe { realloc(block, layout, len) } } else { cis_alloc(0) };
                if exact.is_null() || len == 0 {
                    // SAFETY: as above; the block has not moved.
                    unsafe { dealloc(block, layout) };
                }
                exact
            }
            _ => block,
        }
    }

    /// # Safety
    ///
    /// The region holds initialised bytes that nobody writes to during `'a`, or is empty.
    unsafe fn bytes<'a>(at: *const u8, len: usize) -> &'a [u8] {
        if len == 0 {
            return &[];
        }
        // SAFETY: as this function's own; and a region of linear memory is one object to the host that wrote it.
        unsafe { slice::from_raw_parts(at, len) }
    }

    /// A block for the host to write `len` bytes to, or null. An empty one is not null and holds nothing.
    pub fn cis_alloc(len: usize) -> *mut u8 {
        match layout(len) {
            // SAFETY: the layout is not empty.
            Some(layout) if len > 0 => unsafe { alloc(layout) },
            Some(_) => ptr::without_provenance_mut(ALIGN),
            None => ptr::null_mut(),
        }
    }

    /// Takes back a block of `len` bytes.
    ///
    /// # Safety
    ///
    /// The block is one of [`cis_alloc`] or a response, of this length, and was not given back before.
    pub unsafe fn cis_free(block: *mut u8, len: usize) {
        if let Some(layout) = layout(len).filter(|_| len > 0 && !block.is_null()) {
            // SAFETY: as this function's own.
            unsafe { dealloc(block, layout) }
        }
    }

    /// What a `Vec<u8>` of this length has, which is what the bytes become.
    fn layout(len: usize) -> Option<Layout> {
        Layout::array::<u8>(len).ok()
    }
}

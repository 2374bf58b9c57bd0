//! Packed results: a pointer and a length, or a status, in one `i64`.
//!
//! ```text
//!  63                             32 31                              0
//! +---------------------------------+---------------------------------+
//! | pointer (u32), not 0            | length in bytes (u32)           |   bytes
//! +---------------------------------+---------------------------------+
//! | 0                               | status (i32)                    |   no bytes
//! +---------------------------------+---------------------------------+
//! ```

use crate::Status;

/// The `i64` that host functions and `skill_on_event` return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Packed(i64);

const _: () = assert!(size_of::<Packed>() == 8);

/// What a [`Packed`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unpacked {
    /// Bytes in the guest's linear memory. An empty value has a pointer too.
    Bytes {
        /// Offset into linear memory, never 0.
        ptr: u32,
        /// Length in bytes.
        len: u32,
    },
    /// No bytes: 0 is "nothing there", a negative number is an error. See [`Status::from_code`].
    Status(i32),
}

impl Packed {
    /// Packs bytes. `None` when `ptr` is 0, which could not be told from a status.
    pub const fn bytes(ptr: u32, len: u32) -> Option<Self> {
        if ptr == 0 { None } else { Some(Packed(((ptr as i64) << 32) | len as i64)) }
    }

    /// Packs a status.
    pub const fn status(status: Status) -> Self {
        Self::code(status.code())
    }

    /// Packs a status number, which may be a skill's own.
    pub const fn code(code: i32) -> Self {
        Packed(code as u32 as i64)
    }

    /// Takes what crossed the boundary. Every `i64` is a valid packed result.
    pub const fn from_i64(raw: i64) -> Self {
        Packed(raw)
    }

    /// What crosses the boundary.
    pub const fn to_i64(self) -> i64 {
        self.0
    }

    /// Reads both halves.
    pub const fn unpack(self) -> Unpacked {
        let ptr = (self.0 as u64 >> 32) as u32;
        let low = self.0 as u32;
        if ptr == 0 { Unpacked::Status(low as i32) } else { Unpacked::Bytes { ptr, len: low } }
    }
}

//! The wire contract between a CIS skill and the host that runs it.
//!
//! A skill is a WebAssembly module. It imports host functions from the module [`IMPORT_MODULE`], passing pointers and
//! lengths into its own linear memory, and gets back a status or a [`Packed`] pointer and length. This crate is the one
//! place where the names, signatures, codes and ceilings of that contract are written: the host, the guest SDK, the C
//! header and `docs/abi.md` are all made from it or checked against it.
//!
//! ```
//! use cis_wasm_abi::{Packed, Status, Unpacked};
//!
//! let value = Packed::bytes(0x1_0000, 5).unwrap();
//! assert_eq!(value.to_i64(), 0x0001_0000_0000_0005);
//! assert_eq!(value.unpack(), Unpacked::Bytes { ptr: 0x1_0000, len: 5 });
//!
//! let denied = Packed::status(Status::Denied);
//! assert_eq!(Packed::from_i64(denied.to_i64()).unpack(), Unpacked::Status(Status::Denied.code()));
//! ```
//!
//! Nothing in this crate allocates, and nothing in it panics, whatever the input.
#![no_std]
#![forbid(unsafe_code)]

pub mod ceilings;
mod event;
mod keys;
mod level;
mod names;
mod packed;
mod region;
mod status;

pub use event::{EVENT_INIT, EVENT_MEMORY_CHANGE, EVENT_TICK};
pub use keys::{Keys, KeysError, key_entry_len, write_key_entry};
pub use level::Level;
pub use names::{
    ABI_VERSION, EXPORT_ABI_VERSION, EXPORT_ALLOC, EXPORT_FREE, EXPORT_INIT, EXPORT_MALLOC, EXPORT_MEMORY,
    EXPORT_ON_EVENT, EXPORT_SHUTDOWN, EXPORTS, Export, IMPORT_MODULE, IMPORTS, Import, MANIFEST_SECTION, Param,
    SHARED_KEY_MARK, ValType, import,
};
pub use packed::{Packed, Unpacked};
pub use region::Region;
pub use status::Status;

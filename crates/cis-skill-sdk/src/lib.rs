#![doc = include_str!("../README.md")]
#![no_std]
#![deny(unsafe_code)]

extern crate alloc as alloc_crate;
#[cfg(not(target_arch = "wasm32"))]
extern crate std;

mod ai;
#[cfg(target_arch = "wasm32")]
mod alloc;
mod body;
mod call;
mod config;
mod entry;
mod error;
mod event;
#[cfg(any(target_arch = "wasm32", test))]
mod heap;
mod http;
#[cfg(target_arch = "wasm32")]
mod imports;
#[cfg(feature = "json")]
mod json;
mod line;
mod log;
mod memory;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
#[cfg(target_arch = "wasm32")]
mod panic;
pub mod prelude;
mod response;
mod skill;

/// Where the wrappers' calls go: to the imports in wasm, to the installed test host natively.
mod door {
    #[cfg(target_arch = "wasm32")]
    pub(crate) use crate::imports::*;
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) use crate::native::door::*;
}

pub use ai::Ai;
pub use body::{IntoBytes, IntoText};
pub use call::Call;
pub use cis_wasm_abi::{EVENT_INIT, EVENT_MEMORY_CHANGE, EVENT_TICK, Level, Status, ceilings};
pub use config::Config;
pub use error::Error;
pub use event::Event;
pub use http::Http;
pub use log::Log;
pub use memory::{KeyList, Memory};
pub use response::Response;
pub use skill::Skill;

/// What the macros expand to. Not for use by hand, and not covered by this crate's version.
#[doc(hidden)]
pub mod macros {
    pub use crate::log::write;
    #[cfg(target_arch = "wasm32")]
    pub use crate::{
        alloc::Allocator,
        entry::{Entry, cis_alloc, cis_free},
        panic::report,
    };
    pub use cis_wasm_abi::ABI_VERSION;
}

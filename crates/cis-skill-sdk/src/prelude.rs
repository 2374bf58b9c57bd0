//! Everything a skill usually needs: `use cis_skill_sdk::prelude::*;`.
//!
//! Beside this crate's own names these are the ones of `alloc` that a `no_std` crate misses.

pub use alloc_crate::borrow::ToOwned;
pub use alloc_crate::boxed::Box;
pub use alloc_crate::string::{String, ToString};
pub use alloc_crate::vec::Vec;
pub use alloc_crate::{format, vec};

pub use crate::{
    Ai, Config, Error, Event, Http, Level, Log, Memory, Response, Skill, Status, debug, error, info, skill, warn,
};

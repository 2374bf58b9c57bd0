//! Setting an instance back to where it stood after `skill_init`, so that the next event finds nothing of the last one.
//!
//! Invariant: **no byte of an earlier event can be seen by a later one.** What an instance's state is made of, and how
//! each part of it gets back:
//! - Linear memory. The template, the instance made at load, is written down as an [`Image`]. Every instance's memory is a
//!   [`Space`] that shows the image, write-protected. The first write to a page is noticed (by a fault in guest code, by
//!   [`Space::note`] before the host writes) and noted before it happens; after the event every noted page gets the image's
//!   bytes again. A page that was not noted cannot have been written.
//! - Memory that was grown. It is given back to the system, or zeroed where it was written, and out of reach until
//!   it is grown again; the length is the image's.
//! - Globals that can be changed, and the host's arena: their values are written down beside the image, and set.
//! - Tables, and whether segments were dropped: nothing. A module that can change these, or that has a global in
//!   which it keeps a reference, is found before it is compiled ([`crate::lasting`]); each of its events has an instance of
//!   its own.
//! - The host's own records of a run (`Running`). Their box is kept; `Running::over` clears all that the next run does not set.
//!
//! An instance that trapped, ran into a limit or was cancelled is not set back but dropped: its state is not known.
//!
//! Only Linux on x86-64 and AArch64 has this. Elsewhere, and where the embedder says so, each event has an instance of its
//! own.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod image;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod lessons;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod pages;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod space;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod system;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod unsupported;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod written;

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(crate) use unsupported::{Image, Space, Written};
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use {image::Image, space::Space, written::Written};

/// Whether this platform has the mechanism.
pub(crate) const SUPPORTED: bool = cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));

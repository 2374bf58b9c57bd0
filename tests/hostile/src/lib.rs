//! Skills that mean harm, and what keeps them from it.
//!
//! A *case* is a file in `cases/`: the source of a guest, with a header that says what it attacks, what it is given, and
//! with which error it has to end ([`Case`]). Each runs in a process of its own, on every compiler ([`trial`]). It is
//! *held* when ([`Verdict`]):
//!
//! - every step ends as the header says, with no signal, no abort and no hang;
//! - nothing was used beyond a limit, told beyond a ceiling, or sent where it may not go ([`trial`] looks at the receipt,
//!   the texts and the servers of every case, whatever it is about);
//! - memory grew by less than the case's own cap and 64 MiB;
//! - afterwards, on the same runtime, a well-behaved skill is served on this thread and on a worker, and the trap of
//!   another is still an error.
//!
//! A case that names a limit under `unwires` must *not* be held when that limit is taken out of service: that is how it is
//! known that the case tests it, and that the limit is wired ([`suite`]).
//!
//! ```
//! use cis_hostile::Case;
//!
//! let case = Case::parse("spin.wat", ";; class: endless loop\n;; what: it never returns\n;; fuel: 1000\n\
//!     ;; expect: out_of_fuel\n(module)")?;
//! assert_eq!((case.name.as_str(), case.limits.fuel), ("spin", 1_000));
//! # Ok::<(), cis_hostile::CaseError>(())
//! ```
#![forbid(unsafe_code)]

mod backends;
mod case;
mod generate;
mod memory_use;
mod server;
mod source;
pub mod suite;
pub mod trial;
mod verdict;

pub use case::{Backends, Case, CaseError, Expected, Source};
pub use verdict::{Trial, Verdict};

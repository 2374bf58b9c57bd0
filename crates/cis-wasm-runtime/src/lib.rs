//! Runs CIS skills as sandboxed WebAssembly on wasmer.
//!
//! A [`WasmRuntime`] loads modules; a loaded skill is a [`WasmInstance`] and handles events, on the calling thread
//! ([`WasmInstance::run`]) or on the runtime's workers ([`WasmInstance::handle`]). What a skill may do stands in its
//! [`SkillScope`](cis_wasm_host::SkillScope), what it may use in [`Limits`], and whom it reaches is the
//! [`Host`](cis_wasm_host::Host).
//!
//! ```
//! use std::time::Duration;
//! use cis_wasm_host::{Host, InMemory, SkillScope};
//! use cis_wasm_runtime::{LoadSpec, WasmRuntime};
//!
//! let runtime = WasmRuntime::new()?;
//! let mut spec = LoadSpec::new(SkillScope::new("busy".parse()?), Host::builder().memory(InMemory::new()).build());
//! spec.limits.fuel = 1_000_000;
//! let busy = runtime.load(
//!     &wat::parse_str(r#"(module (memory (export "memory") 1)
//!         (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32) (loop (br 0)) (i32.const 0)))"#)?,
//!     spec,
//! )?;
//! let outcome = busy.run("go", b"");
//! assert_eq!(outcome.result.unwrap_err().code(), "out_of_fuel");
//! assert!(outcome.receipt.fuel > 1_000_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This is the only crate of the project that names wasmer, and no type of wasmer's is in its API.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `singlepass` | no | `Compiler::Singlepass` and `Compiler::Tiered`, under the Business Source License 1.1, which is not open source |
//! | `unmetered` | no | `RuntimeBuilder::unmetered`, to measure what fuel and deadline cost; for benches alone |

mod backend;
#[cfg(feature = "singlepass")]
mod background;
mod ballast;
mod cache;
mod check;
mod checkpoint;
mod clock;
mod compiler;
mod counter;
mod error;
mod faults;
#[cfg_attr(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))),
    path = "fiber/unsupported.rs"
)]
mod fiber;
#[cfg(feature = "singlepass")]
mod frame;
mod going_on;
mod guest;
mod handling;
mod headroom;
mod imports;
mod inspect;
mod instance;
mod interrupt;
mod lasting;
mod learnt;
mod limits;
mod making;
mod memory;
mod meter;
#[cfg(feature = "singlepass")]
mod nan;
mod native;
mod nesting;
mod object;
mod pending;
mod pool;
mod processor;
mod program;
mod reset;
mod room;
mod run;
mod runtime;
mod shares;
mod shelves;
mod single;
mod sleep;
mod spawn;
mod spec;
mod tier;
mod trap;
mod tunables;
mod turns;
mod wait;
mod worker;

pub use cache::{ArtifactCache, CacheOutcome, Rejection};
pub use compiler::Compiler;
pub use error::{Error, ErrorKind};
pub use inspect::{Inspection, inspect, manifest_section};
pub use limits::{Limits, Receipt};
pub use nesting::{MAX_NESTING, nested};
pub use run::{Outcome, WasmInstance};
pub use runtime::{RuntimeBuilder, WasmRuntime};
pub use spec::{LoadSpec, State};
pub use tier::Tier;
pub use trap::{Frame, TrapKind};

//! A host for tests: runs a skill natively, with no wasm target and no engine.
//!
//! [`TestHost`] answers a skill's calls the way the real host does: the same rules for keys and shared namespaces, the
//! same grants, ceilings and statuses, its memory in a map, its AI and HTTP from a script.
//!
//! What it leaves out is what only an engine can hold: budgets per event (calls, bytes, tokens), fuel, deadlines and the
//! memory limit. And a `static` of a skill is one static for the whole test process: state belongs in the skill's value.
//!
//! With the feature `json`, [`cases`] runs tests that are written down as data, the same in wasm.

#[cfg(feature = "json")]
pub mod cases;
pub(crate) mod door;
mod host;
mod outcome;
mod place;
mod urls;
mod world;

pub use host::TestHost;
pub use outcome::{Failure, LogLine, Outcome};
pub use place::Access;
pub use world::Request;

//! What must hold of the runtime for any input, as functions that take bytes and panic when it does not hold.
//!
//! The same oracles serve the tests of this package, which feed them bytes made from seeds and the files in `corpus/`,
//! and the fuzz targets in `fuzz/`, which feed them what a fuzzer comes up with.
//!
//! | oracle | what its bytes become | what must hold |
//! |---|---|---|
//! | [`branches`] | functions full of loops | they end the same in all ways of metering, and run no more than they pay for |
//! | [`packed`] | results, regions and key lists of the contract | reading never panics, and undoes writing |
//! | [`manifest`] | the text of a manifest | parsing never panics; what parses prints as text that parses to the same |
//! | [`journal`] | a journal, a recording | reading is an error at worst, and undoes writing |
//! | [`host_calls`] | calls of a guest with any pointers | each ends in an answer or a typed error, the same on every compiler |
//! | [`modules`] | a module of wasm-smith's that keeps the contract | see there |
//! | [`parked`] | a module of wasm-smith's that makes host calls | held, parked and replayed, an event is the same |
//! | [`straight_line`] | functions without branches | fuel is the number of their instructions |
//!
//! A guest can end the process where the runtime is wrong, so tests run these in a child process: the program of this
//! package.

mod branches;
mod host;
mod host_calls;
mod journal;
mod manifest;
mod modules;
mod naive;
mod oracle;
mod outcome;
mod packed;
mod parked;
mod replay;
mod seed;
mod straight_line;
mod tally;

pub use branches::branches;
pub use host_calls::host_calls;
pub use journal::journal;
pub use manifest::{manifest, manifest_text};
pub use modules::{module, modules};
pub use oracle::Oracle;
pub use packed::packed;
pub use parked::parked;
pub use seed::bytes;
pub use straight_line::straight_line;
pub use tally::Tally;

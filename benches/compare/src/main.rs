//! Measures the runtime beside its peers: wasmtime at its best, Extism, and plain wasmer.
//!
//! `cargo xtask bench-compare` builds this and its guests in release, and runs it. What engines stand beside each other in a
//! row was measured in one run of one process, in turns, so that what else the machine does falls on all of them.

mod child;
mod cli;
mod engine;
mod events;
mod flight;
mod load;
mod machine;
mod measure;
mod page;
mod picture;
mod result;
mod scale;
mod table;
mod threads;
mod waiting;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;

/// What everything here may fail with: a measurement that went wrong has nobody to handle it.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

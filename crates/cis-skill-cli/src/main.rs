//! Runs and inspects CIS skills from the command line.
#![forbid(unsafe_code)]

mod cli;
mod host;
mod inspect;
mod print;
mod report;
mod run;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Run(args) => run::run(&args),
    }
}

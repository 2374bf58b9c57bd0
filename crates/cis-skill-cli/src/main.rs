//! Runs and inspects CIS skills from the command line.
#![forbid(unsafe_code)]

mod cli;
mod host;
mod inspect;
mod print;
mod replay;
mod report;
mod run;
mod timeline;

use std::env;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::report::{Problem, Report};

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(Cli { command: Command::Inspect(args) }) => inspect::inspect(&args),
        Ok(Cli { command: Command::Replay(args) }) => replay::replay(&args),
        Ok(Cli { command: Command::Run(args) }) => run::run(&args),
        Ok(Cli { command: Command::Trace(args) }) => timeline::trace(&args),
        Err(error) => not_understood(&error),
    }
}

/// Ends what cannot be begun: a command line that makes no sense, or one that asks for help.
fn not_understood(error: &clap::Error) -> ExitCode {
    // What asks for one JSON object gets one, whatever else is wrong with it.
    let words: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if error.use_stderr()
        && words.first().is_some_and(|command| command == "run" || command == "replay")
        && words.iter().any(|w| w == "--json")
    {
        let skill = words.get(1).filter(|word| !word.starts_with('-')).cloned().unwrap_or_default();
        let report = Report { result: Err(Problem::Caller(cli::in_short(error))), ..Report::of(skill) };
        return run::end(&report, true);
    }
    // Nobody is left to be told when this fails.
    drop(error.print());
    if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

//! This repository's own commands. `cargo xtask --help` lists them.
//!
//! Kept light, so that the first command of a fresh clone starts soon: nothing here depends on the engine. A command that
//! needs it builds the package `cis-skill-cli` and hands over to its program.
#![forbid(unsafe_code)]

mod abi_doc;
mod c_header;
mod ci;
mod cli;
mod compare;
mod failure;
mod forward;
mod live;
mod new_skill;
mod process;
mod repo;
mod skill;
mod test;
mod tidy;
mod toolchain;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::forward::Profile;
use crate::repo::Repo;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Ended(code)) => ExitCode::from(code),
        Err(Failure::Said(message)) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let repo = Repo::find()?;
    match command {
        Command::AbiDoc => abi_doc::write(&repo),
        Command::Bench { args } => forward::bench(&repo, &args),
        Command::BenchCompare { args } => compare::run(&repo, &args),
        Command::BuildSkill(args) => {
            let built = skill::build(&repo, &args)?;
            println!("{}", built.display());
            Ok(())
        }
        Command::CHeader => c_header::write(&repo),
        Command::Ci => ci::run(&repo),
        Command::Hostile { args } => forward::to_hostile(&repo, args),
        Command::InspectSkill { args } => forward::to_cli(&repo, "inspect", args),
        Command::NewSkill(args) => new_skill::create(&repo, &args),
        Command::ReplaySkill { args } => forward::recording_to_cli(&repo, "replay", args),
        Command::Reliability { release, args } => {
            let profile = if release { Profile::Release } else { Profile::Dev };
            forward::to_reliability(&repo, profile, args)
        }
        Command::RunSkill { args } => forward::to_cli(&repo, "run", args),
        Command::Test(args) => test::run(&repo, &args),
        Command::TestLive(args) => live::run(&repo, &args),
        Command::TraceSkill { args } => forward::recording_to_cli(&repo, "trace", args),
        Command::Tidy { bless } => tidy::run(&repo, bless),
    }
}

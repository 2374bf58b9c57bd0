//! Runs skills for long, wrongly, and into `kill -9`, and counts what became of them.
//!
//! Each command prints figures and holds them against what must hold: no event without an answer, no write lost, no thread
//! and no file left behind. It ends with 1 when something does not. Times are printed and never judged: they are the
//! machine's as much as ours.
//!
//! `docs/reliability.md` has the figures; the tests of this package run everything briefly.

mod backends;
mod census;
mod chaos;
mod durable;
mod figures;
mod guests;
mod heap;
mod kill9;
mod kills;
mod life;
mod neighbours;
mod server;
mod soak;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Runs skills for long, wrongly, and into kill -9, and counts what became of them.
#[derive(Debug, Parser)]
#[command(name = "cis-reliability")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Events to skills that trap and loop, against backends that fail, stall, panic and answer with garbage
    Chaos {
        #[arg(long, default_value_t = 10_000)]
        events: usize,
        /// The same seed makes the same events
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// kill -9 of a process that handles durable events, over and over on one file
    Durable {
        #[arg(long, default_value_t = 200)]
        rounds: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The process that `durable` kills
    #[command(hide = true)]
    DurableChild {
        #[arg(long)]
        file: PathBuf,
        #[arg(long)]
        url: String,
        #[arg(long)]
        first: Option<u64>,
    },
    /// kill -9 of a process whose skills write memory, over and over on one file
    Kill9 {
        #[arg(long, default_value_t = 200)]
        rounds: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The process that `kill9` kills
    #[command(hide = true)]
    Kill9Child {
        #[arg(long)]
        file: PathBuf,
        #[arg(long)]
        first: u64,
    },
    /// Events and loads that only their deadline ends, while other skills keep all processors busy
    Kills {
        #[arg(long, default_value_t = 1_000)]
        kills: usize,
        #[arg(long, default_value_t = 100)]
        deadline_ms: u64,
    },
    /// The latency of a well-behaved skill, alone and beside hostile ones
    Neighbours {
        /// Events in each situation
        #[arg(long, default_value_t = 2_000)]
        events: usize,
    },
    /// Very many events, with traps and reloads among them
    Soak {
        #[arg(long, default_value_t = 1_000_000)]
        events: usize,
        /// Events between two reloads
        #[arg(long, default_value_t = 1_000)]
        reload_every: usize,
    },
}

/// How a command ends: what did not hold, or what kept it from finding out.
type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Chaos { events, seed } => chaos::run(events, seed),
        Command::Durable { rounds, seed } => durable::run(rounds, seed),
        Command::DurableChild { file, url, first } => durable::send_until_killed(&file, &url, first),
        Command::Kill9 { rounds, seed } => kill9::run(rounds, seed),
        Command::Kill9Child { file, first } => kill9::write_until_killed(&file, first),
        Command::Kills { kills, deadline_ms } => kills::run(kills, Duration::from_millis(deadline_ms)),
        Command::Neighbours { events } => neighbours::run(events),
        Command::Soak { events, reload_every } => soak::run(events, reload_every.max(1)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("DOES NOT HOLD: {error}");
            ExitCode::FAILURE
        }
    }
}

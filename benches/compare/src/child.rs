//! Measurements that need a process of their own: memory in use, and starting.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use crate::Fallible;
use crate::engine::{Engine, Guests};
use crate::{load, scale, waiting};

/// What a child does. One line of JSON on its stdout says what came of it.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Task {
    /// Start, load the big guest with a warm cache, answer once
    Start {
        #[arg(long)]
        engine: Option<Engine>,
        /// How it was kept
        #[arg(long)]
        cache: load::Cache,
        /// Where it was kept
        #[arg(long)]
        folder: PathBuf,
    },
    /// Load many skills, call each once, and say what memory that took
    Loaded {
        #[arg(long)]
        engine: Engine,
        #[arg(long)]
        skills: usize,
    },
    /// Have many events wait at once, and say what memory that took
    Waiting {
        #[arg(long)]
        engine: Engine,
        #[arg(long)]
        events: usize,
    },
}

impl Task {
    pub(crate) fn run(self, guests: &Guests) -> Fallible<()> {
        match self {
            Task::Start { engine, cache, folder } => load::start(guests, engine, cache, &folder),
            Task::Loaded { engine, skills } => say(&scale::loaded(guests, engine, skills)?),
            Task::Waiting { engine, events } => say(&waiting::waiting(guests, engine, events)?),
        }
    }
}

/// What something took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Took {
    /// Bytes that came into memory.
    pub(crate) bytes: u64,
    /// Threads that were added.
    pub(crate) threads: u64,
    /// How many of what was asked for there were.
    pub(crate) count: usize,
}

pub(crate) fn say(what: &impl Serialize) -> Fallible<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(what)?)?;
    Ok(out.flush()?)
}

/// Runs a child to its end.
pub(crate) fn took(guests: &Guests, args: &[&str]) -> Fallible<Took> {
    let output = command(guests, args)?.stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().take(400).collect();
        return Err(format!("a process with {} ended with {}: {said}", args.join(" "), output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// How long it takes from before there is a process to its first line on stdout.
pub(crate) fn until_it_answers(guests: &Guests, args: &[&str]) -> Fallible<Duration> {
    let mut command = command(guests, args)?;
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let answered = first_line(&mut child);
    let took = start.elapsed();
    let status = child.wait()?;
    match answered? {
        0 => Err(format!("a process with {} ended with {status}", args.join(" ")).into()),
        _ => Ok(took),
    }
}

fn first_line(child: &mut Child) -> Fallible<usize> {
    let out = child.stdout.take().ok_or("its stdout is piped")?;
    Ok(BufReader::new(out).read_line(&mut String::new())?)
}

fn command(guests: &Guests, args: &[&str]) -> Fallible<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    let path = |flag: &str, path: &Path| [flag.into(), path.as_os_str().to_owned()];
    command.args(path("--skill", &guests.skill)).args(path("--plugin", &guests.plugin));
    command.args(path("--big-skill", &guests.big_skill)).args(path("--big-plugin", &guests.big_plugin));
    command.args(path("--tiny-skill", &guests.tiny_skill)).args(path("--tiny-plugin", &guests.tiny_plugin));
    // A child keeps nothing and writes nothing.
    command.args(["--save", "nowhere", "--docs", "nowhere", "child"]).args(args);
    Ok(command)
}

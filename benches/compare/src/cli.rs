//! The command line: which measurements, how often, and where the figures go.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::engine::{Engine, Guests, State};
use crate::page::{self, Results};
use crate::result::Row;
use crate::workload::Workload;
use crate::{Fallible, child, events, flight, load, scale, table, threads, waiting};

/// Measures the runtime beside its peers.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench-compare", bin_name = "cargo xtask bench-compare")]
pub(crate) struct Cli {
    #[command(flatten)]
    guests: Guests,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Measure this only; may be given more than once: a workload, or overhead, in-flight, threads, load, start, loaded, waiting
    #[arg(long, value_name = "WORKLOAD")]
    only: Vec<String>,
    /// Of the workloads, measure these engines only; may be given more than once
    #[arg(long, value_enum)]
    engine: Vec<Engine>,
    /// How many turns each engine gets
    #[arg(long, value_name = "N", default_value_t = 101)]
    reps: usize,
    /// How many skills `loaded` loads
    #[arg(long, value_name = "N", default_values_t = [1_000])]
    skills: Vec<usize>,
    /// How many events `waiting` has waiting at once
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    events: usize,
    /// Rewrite the generated part of docs/performance.md, and the picture, from these rows and the latest of all others
    #[arg(long)]
    write: bool,
    /// Where the latest rows are kept
    #[arg(long, value_name = "FILE", hide = true)]
    save: PathBuf,
    /// Where performance.md is
    #[arg(long, value_name = "DIR", hide = true)]
    docs: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Have many events wait at once on an AI that does not answer: memory and threads
    Waiting,
    #[command(subcommand, hide = true)]
    Child(child::Task),
}

/// What there is beside the workloads, in the order in which it is measured.
const OTHERS: [&str; 7] = ["overhead", "in-flight", "threads", "load", "start", "loaded", "waiting"];

pub(crate) fn run(mut cli: Cli) -> Fallible<()> {
    match cli.command.take() {
        Some(Command::Child(task)) => return task.run(&cli.guests),
        Some(Command::Waiting) => cli.only.push("waiting".to_owned()),
        None => {}
    }
    let mut names: Vec<String> = Workload::all().iter().map(|workload| workload.name.to_owned()).collect();
    names.extend(OTHERS.map(str::to_owned));
    if let Some(unknown) = cli.only.iter().find(|name| !names.contains(name)) {
        return Err(format!("there is no `{unknown}` to measure; there are: {}", names.join(", ")).into());
    }
    names.retain(|name| cli.only.is_empty() || cli.only.contains(name));
    let mut results = Results::saved(&cli.save);
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for name in names {
        eprintln!("{name} ...");
        match measure(&cli, &name) {
            Ok(measured) => rows.extend(measured),
            // What else there is to measure is worth as much as before.
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    // A row that leaves engines out is for whoever asked, and not for the page.
    if cli.engine.is_empty() {
        rows.iter().for_each(|row: &Row| results.take(row.clone()));
    }
    results.save(&cli.save)?;
    if cli.write {
        page::write(&results, &cli.docs)?;
    }
    if cli.json {
        println!("{}", serde_json::to_string_pretty(&Results { machine: results.machine, rows })?);
    } else {
        print!("{}", table::plain(&rows));
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

fn measure(cli: &Cli, name: &str) -> Fallible<Vec<Row>> {
    let (guests, turns) = (&cli.guests, cli.reps.max(1));
    if let Some(workload) = Workload::named(name) {
        let engines: Vec<Engine> =
            Engine::ALL.into_iter().filter(|engine| cli.engine.is_empty() || cli.engine.contains(engine)).collect();
        let row = |state| events::row(guests, &engines, &workload, state, turns);
        return [State::Fresh, State::Kept].map(row).into_iter().collect();
    }
    // What takes long gets fewer turns.
    let few = turns.div_ceil(3).max(3);
    match name {
        "overhead" => Ok(events::overhead(guests, turns)?.into()),
        "in-flight" => Ok(vec![flight::one_row(guests, turns)?, flight::row(guests, few)?]),
        "threads" => threads::rows(guests, few),
        "load" => load::cold(guests, few.min(5)),
        "start" => load::warm(guests, few),
        "loaded" => cli.skills.iter().map(|skills| scale::row(guests, *skills)).collect(),
        _ => Ok(vec![waiting::row(guests, cli.events)?]),
    }
}

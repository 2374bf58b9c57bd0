//! Tries the hostile cases: all of them, some of them, or with a limit out of service.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use cis_hostile::suite::{self, Job, Suite};
use cis_hostile::{Case, trial};
use cis_wasm_host::unwired::Limit;
use cis_wasm_runtime::Compiler;
use clap::Parser;

/// Tries skills that mean harm, each in a process of its own, and says which were held.
#[derive(Debug, Parser)]
#[command(name = "cis-hostile", bin_name = "cargo xtask hostile")]
struct Cli {
    /// Only cases whose name or class has this text in it
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Take a limit out of service and try its cases: none of them may be held then
    #[arg(long, value_name = "LIMIT", conflicts_with = "mutate")]
    unwire: Option<String>,
    /// Take every limit out of service, one after the other, and fail when one is not missed
    #[arg(long)]
    mutate: bool,
    /// How many processes at a time
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// The cases' folder
    #[arg(long, value_name = "DIR", default_value_os_t = suite::own_cases())]
    cases: PathBuf,
    /// Try one case in this process, and say what came of it as JSON
    #[arg(long = "try", value_name = "NAME", hide = true)]
    one: Option<String>,
    /// The compiler of that one case
    #[arg(long, value_name = "NAME", hide = true, default_value = "cranelift")]
    compiler: String,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let limit = cli.unwire.as_deref().map(limit_of).transpose()?;
    let cases = Case::all(&cli.cases)?;
    if let Some(name) = &cli.one {
        let case = cases.iter().find(|case| case.name == *name).ok_or_else(|| format!("there is no case `{name}`"))?;
        if let Some(limit) = limit {
            unwire(limit)?;
        }
        let trial = trial::run(case, Compiler::from_name(&cli.compiler)?)?;
        println!("{}", serde_json::to_string(&trial)?);
        return Ok(ExitCode::SUCCESS);
    }
    let chosen: Vec<Case> = cases
        .into_iter()
        .filter(|case| cli.only.as_ref().is_none_or(|only| case.name.contains(only) || case.class.contains(only)))
        .filter(|case| limit.is_none_or(|limit| case.unwires.contains(&limit)))
        .collect();
    if chosen.is_empty() {
        return Err("no case is called so".into());
    }
    let suite = Suite { program: std::env::current_exe()?, folder: cli.cases, jobs: cli.jobs };
    let jobs = if cli.mutate { Job::unwired(&chosen) } else { Job::all(&chosen, limit) };
    let tried =
        suite.run(&jobs, |one| eprintln!("{} on {}: {}", one.job.case.name, one.job.compiler.name(), one.ended))?;
    print!("\n{}", suite::table(&tried));
    let bad = if cli.mutate && cli.only.is_none() {
        suite::toothless(&chosen, &tried)
    } else if cli.mutate {
        suite::toothless(&[], &tried).into_iter().filter(|line| !line.starts_with("no case")).collect()
    } else {
        suite::broken(&tried)
    };
    for line in &bad {
        println!("{line}");
    }
    Ok(if bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn limit_of(name: &str) -> Result<Limit, String> {
    Limit::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Limit::all().map(Limit::name).collect();
        format!("there is no limit `{name}`; there are: {}", names.join(", "))
    })
}

#[cfg(all(feature = "unwire", debug_assertions))]
fn unwire(limit: Limit) -> Result<(), String> {
    cis_wasm_host::unwired::unwire(limit);
    Ok(())
}

#[cfg(not(all(feature = "unwire", debug_assertions)))]
fn unwire(_: Limit) -> Result<(), String> {
    Err("this build has no switch for limits: it needs the feature `unwire` and debug assertions".into())
}

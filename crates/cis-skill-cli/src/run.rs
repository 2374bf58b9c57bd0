//! `run`: one event, from the command line to the report.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use cis_skill::recording::Recorder;
use cis_skill::{ArtifactCache, Event, LoadOptions, Manifest, Response, SkillName, WasmRuntime, WasmSkillBuilder};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::RunArgs;
use crate::report::{Problem, Report};
use crate::{host, print};

/// Where machine code is kept in the data folder, and how many bytes of it.
const ARTIFACTS: &str = "artifacts";
const MOST_ARTIFACT_BYTES: u64 = 256 << 20;

/// What a skill without a manifest goes by when its file has no name that a skill can have.
const NAMELESS: &str = "skill";

/// Runs one event and prints what came of it.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let mut report = Report::of(args.skill.display().to_string());
    report.result = event(args, &mut report);
    end(&report, args.json)
}

/// Prints a report, and says how the program ends.
pub(crate) fn end(report: &Report, json: bool) -> ExitCode {
    let printed = if json { print::json(&report.json()) } else { print::report(report) };
    match (printed, &report.result) {
        (Ok(()), Ok(_)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Loads the skill and sends it the event. The report gets to know what there is to know before the result.
fn event(args: &RunArgs, report: &mut Report) -> Result<Response, Problem> {
    let wasm = read(&args.skill, "run").map_err(Problem::Caller)?;
    let name = match manifest(&wasm) {
        Ok(manifest) => {
            let name = manifest.as_ref().map_or_else(|| file_name(&args.skill), |known| known.name.to_string());
            name.clone_into(&mut report.skill);
            named_secrets(&args.secret, manifest.as_ref()).map_err(Problem::Caller)?;
            name
        }
        // Loading says what is wrong with it.
        Err(()) => NAMELESS.into(),
    };
    let host = host::host(args).map_err(Problem::Caller)?;
    let runtime = WasmRuntime::builder().compiler(args.compiler);
    let runtime = match cache(args, report)? {
        Some(cache) => runtime.cache(cache),
        None => runtime,
    };
    let runtime = runtime.build().map_err(cis_skill::Error::from)?;
    let compiling = spinner(args, &wasm);
    let builder = WasmSkillBuilder::new().name(name).wasm_bytes(wasm).host(&host).runtime(&runtime);
    let loaded = builder.options(options(args)).build();
    compiling.finish_and_clear();
    let skill = loaded?;
    report.init_log = skill.init_log().to_vec();
    report.cache.get_or_insert_with(|| skill.cache_outcome().to_string());
    let recorder = Recorder::new();
    let mut event = Event::new(&args.event, args.data.clone().unwrap_or_default());
    if args.record.is_some() {
        event = event.recorded_by(&recorder);
    }
    let mut response = skill.run(event).map_err(Problem::Skill);
    if let Some(file) = &args.record
        && let Err(why) = write(&recorder, file)
    {
        if response.is_err() && !args.json {
            eprintln!("{}", print::harmless(&why));
        }
        // Of two errors, the event's own is the better one to tell.
        response = response.and(Err(Problem::Caller(why)));
    }
    if let Err(error) = skill.shutdown_blocking() {
        eprintln!("the event is over, but the skill's shutdown: {}", print::harmless(&error.to_string()));
    }
    response
}

/// Writes the one recording that was made.
fn write(recorder: &Recorder, file: &Path) -> Result<(), String> {
    let taken = recorder.take().pop().expect("an event that has ended has left one recording");
    taken
        .and_then(|recording| recording.write(file))
        .map_err(|error| format!("--record: {error}; the event has happened"))
}

/// The cache that was asked for, or the one in the data folder, without which a run is only slower.
fn cache(args: &RunArgs, report: &mut Report) -> Result<Option<ArtifactCache>, Problem> {
    if args.no_cache {
        return Ok(None);
    }
    let dir = args.cache.clone().unwrap_or_else(|| args.data_dir.join(ARTIFACTS));
    match ArtifactCache::open_bounded(dir, MOST_ARTIFACT_BYTES) {
        Ok(cache) => Ok(Some(cache)),
        Err(error) if args.cache.is_some() => Err(Problem::Caller(format!("--cache: {error}"))),
        Err(error) => {
            report.cache = Some(format!("unusable: {error}"));
            Ok(None)
        }
    }
}

fn options(args: &RunArgs) -> LoadOptions {
    let mut options = LoadOptions::default().recordable(args.record.is_some());
    if let Some(mib) = args.memory_mib {
        options = options.memory_bytes(mib << 20);
    }
    if let Some(ms) = args.deadline_ms {
        options = options.deadline(Duration::from_millis(ms));
    }
    if let Some(fuel) = args.fuel {
        options = options.fuel(fuel);
    }
    for (key, value) in &args.config {
        options = options.config(key, value.clone());
    }
    options
}

/// Reads a skill's file, or says what to do instead.
pub(crate) fn read(path: &Path, command: &str) -> Result<Vec<u8>, String> {
    let shown = path.display();
    if path.is_dir() {
        return Err(format!(
            "{shown} is a folder; give its .wasm, or use `cargo xtask {command}-skill {shown}`, which builds it"
        ));
    }
    fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            format!(
                "{shown}: there is no such file; `cargo xtask build-skill FOLDER` builds a skill and says where it is"
            )
        }
        _ => format!("{shown}: {error}"),
    })
}

/// The manifest that a module carries. `Err` when the module or its manifest cannot be read.
fn manifest(wasm: &[u8]) -> Result<Option<Manifest>, ()> {
    let text = cis_wasm_runtime::manifest_section(wasm).map_err(drop)?;
    text.map(|text| text.parse().map_err(drop)).transpose()
}

/// What a skill without a manifest goes by: its file's name, if that is one that a skill can have.
fn file_name(path: &Path) -> String {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(NAMELESS).to_ascii_lowercase();
    if stem.parse::<SkillName>().is_ok() { stem } else { NAMELESS.into() }
}

/// Refuses secrets that would go nowhere.
fn named_secrets(given: &[String], manifest: Option<&Manifest>) -> Result<(), String> {
    let secrets = manifest.into_iter().flat_map(|manifest| &manifest.permissions.secrets);
    let named: BTreeSet<&str> = secrets.map(|secret| secret.name.as_str()).collect();
    let Some(other) = given.iter().find(|name| !named.contains(name.as_str())) else { return Ok(()) };
    let named: Vec<&str> = named.into_iter().collect();
    let known = if named.is_empty() { "none".into() } else { named.join(", ") };
    Err(format!("--secret {other}: the skill would not get it; the secrets in its manifest: {known}"))
}

/// Shows that a large module is being compiled, on a terminal.
fn spinner(args: &RunArgs, wasm: &[u8]) -> ProgressBar {
    /// Modules below this many bytes compile before anybody looks.
    const LARGE: usize = 256 << 10;
    if args.json || wasm.len() < LARGE || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_message(format!("compiling {} KiB with {}", wasm.len() >> 10, args.compiler.name()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

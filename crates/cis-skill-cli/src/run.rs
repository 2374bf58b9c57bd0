//! `run`: one event, from the command line to the report.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use cis_skill::{Event, LoadOptions, Manifest, Response, SkillManager, WasmRuntime};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::RunArgs;
use crate::report::{Problem, Report};
use crate::{host, print};

/// What a skill without a manifest goes by when its file has no name that a skill can have.
const NAMELESS: &str = "skill";

/// Runs one event and prints what came of it.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let mut name = args.skill.display().to_string();
    let result = event(args, &mut name);
    let report = Report { skill: name, result };
    let printed = if args.json {
        println!("{}", report.json());
        Ok(())
    } else {
        print::report(&report)
    };
    match (printed, &report.result) {
        (Ok(()), Ok(_)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Sends the event. `name` becomes the skill's as soon as it is known.
fn event(args: &RunArgs, name: &mut String) -> Result<Response, Problem> {
    let wasm = read(&args.skill).map_err(Problem::Caller)?;
    if let Some(known) = known_name(&wasm, &args.skill) {
        *name = known;
    }
    let host = host::host(args).map_err(Problem::Caller)?;
    let runtime = WasmRuntime::builder().compiler(args.compiler).build().map_err(cis_skill::Error::from)?;
    let manager = SkillManager::builder().host(host).runtime(runtime).build()?;

    let compiling = spinner(args, &wasm);
    let loaded = manager.load_wasm(name, &wasm, options(args));
    compiling.finish_and_clear();
    loaded?;
    let event = Event::new(&args.event, args.data.clone().unwrap_or_default());
    let response = manager.send_event_blocking(name, event);
    for (skill, error) in pollster::block_on(manager.shutdown()) {
        eprintln!("{skill}: while shutting down: {}", print::harmless(&error.to_string()));
    }
    Ok(response?)
}

fn options(args: &RunArgs) -> LoadOptions {
    let mut options = LoadOptions::default();
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
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    if path.is_dir() {
        let path = path.display();
        return Err(format!(
            "{path} is a folder; give its .wasm, or use `cargo xtask run-skill {path}`, which builds it"
        ));
    }
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The name in the manifest, or else the file's. `None` when the manifest cannot be read: loading says why.
fn known_name(wasm: &[u8], path: &Path) -> Option<String> {
    match cis_wasm_runtime::manifest_section(wasm).ok()? {
        Some(text) => Some(text.parse::<Manifest>().ok()?.name.to_string()),
        None => {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(NAMELESS).to_ascii_lowercase();
            let usable = stem.parse::<cis_skill::SkillName>().is_ok();
            Some(if usable { stem } else { NAMELESS.into() })
        }
    }
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

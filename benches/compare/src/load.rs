//! Loading: from bytes, and from what an earlier process left.
//!
//! Invariant: what is loaded without being compiled was written by [`prepare`], into a folder that only this user can
//! write to, and which is there for one measurement.

use std::path::Path;
use std::time::Instant;

use clap::ValueEnum;

use crate::Fallible;
use crate::child::until_it_answers;
use crate::engine::{Engine, Extism, Guests, Loaded, Ours, State, Wasmer, Wasmtime, WasmtimeOptions, ours_with_cache};
use crate::measure::{Timed, in_turns};
use crate::result::{Row, Unit};

/// From a module's bytes to a guest that is ready, with nothing to go by. The engine is there already where it serves more
/// than one module.
pub(crate) fn cold(guests: &Guests, turns: usize) -> Fallible<Vec<Row>> {
    let mut rows = Vec::new();
    for (skill, plugin) in [(&guests.skill, &guests.plugin), (&guests.big_skill, &guests.big_plugin)] {
        let wasm = std::fs::read(skill)?;
        let ours = Ours::new()?;
        let wasmtime = std::sync::Arc::new(Wasmtime::new(WasmtimeOptions::default())?);
        let mut engines: [(Engine, Timed<'_>); 4] = [
            (Engine::Ours, each(|| ours.load(&wasm, State::Fresh).map(drop))),
            (Engine::Wasmtime, each(|| wasmtime.load_shared(&wasm, State::Fresh).map(drop))),
            (Engine::Extism, each(|| Extism::compile(plugin, None).map(drop))),
            (Engine::Wasmer, each(|| Wasmer::load(&wasm, State::Fresh).map(drop))),
        ];
        let measured = in_turns(turns, &mut engines)?;
        let plugin_bytes = std::fs::metadata(plugin)?.len();
        let note = format!("{} bytes, as a plug-in of Extism's {plugin_bytes}", wasm.len());
        let size = if wasm.len() > 1 << 20 { "1 MiB" } else { "120 KiB" };
        rows.push(Row::of("load, cold", size, Unit::Nanoseconds, &measured).with_note(note));
    }
    Ok(rows)
}

fn each<'a>(mut once: impl FnMut() -> Fallible<()> + 'a) -> Timed<'a> {
    Box::new(move |times| {
        let mut sum = std::time::Duration::ZERO;
        for _ in 0..times {
            let start = Instant::now();
            once()?;
            sum += start.elapsed();
        }
        Ok(sum)
    })
}

/// How what was compiled is kept from one process to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cache {
    /// In the engine's own cache, found by the module's bytes.
    Own,
    /// In a file that the host names, for the engines that can load one.
    File,
}

impl Cache {
    fn name(self) -> &'static str {
        match self {
            Cache::Own => "own",
            Cache::File => "file",
        }
    }
}

/// From before there is a process to its first answer, with a warm cache and the big guest.
pub(crate) fn warm(guests: &Guests, turns: usize) -> Fallible<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    prepare(guests, folder.path())?;
    let at = folder.path().to_str().ok_or("the folder for temporary files is not UTF-8")?;
    let start = |engine: Option<Engine>, cache: Cache| {
        let mut args = vec!["start", "--cache", cache.name(), "--folder", at];
        args.extend(engine.iter().flat_map(|engine| ["--engine", engine.name()]));
        until_it_answers(guests, &args).map(|took| took.as_nanos() as f64)
    };
    let takes_part = [
        (Cache::Own, "own cache", &[Engine::Ours, Engine::Wasmtime, Engine::Extism][..]),
        (Cache::File, "precompiled file", &[Engine::Ours, Engine::Wasmtime, Engine::Wasmer][..]),
    ];
    let mut rows = Vec::new();
    for (cache, variant, engines) in takes_part {
        let mut measured: Vec<(Engine, Vec<f64>)> = engines.iter().map(|engine| (*engine, Vec::new())).collect();
        let mut bare = Vec::new();
        // The first turn fills the caches.
        for turn in 0..=turns {
            bare.push(start(None, cache)?);
            for step in 0..engines.len() {
                let at = (turn + step) % engines.len();
                let took =
                    start(Some(engines[at]), cache).map_err(|error| format!("{}: {error}", engines[at].title()))?;
                if turn > 0 {
                    measured[at].1.push(took);
                }
            }
        }
        let bare = crate::result::Spread::of(&bare).median / 1e6;
        let note = format!("of each, {bare:.1} ms are the process itself: with all engines in it and none started");
        rows.push(Row::of("start to first answer, warm", variant, Unit::Nanoseconds, &measured).with_note(note));
    }
    Ok(rows)
}

fn prepare(guests: &Guests, folder: &Path) -> Fallible<()> {
    let wasm = std::fs::read(&guests.big_skill)?;
    Wasmtime::new(start_options(None))?.precompile(&wasm, &folder.join("wasmtime.cwasm"))?;
    Wasmer::compile(&wasm)?.serialize(&folder.join("wasmer.bin"))?;
    let kept = folder.join("extism");
    std::fs::create_dir(&kept)?;
    Ok(std::fs::write(folder.join("extism.toml"), format!("[cache]\ndirectory = {kept:?}\n"))?)
}

/// One instance is all that a start needs.
fn start_options(cache: Option<std::path::PathBuf>) -> WasmtimeOptions {
    WasmtimeOptions { instances: 1, cache, ..Default::default() }
}

/// The child's part of [`warm`].
pub(crate) fn start(guests: &Guests, engine: Option<Engine>, cache: Cache, folder: &Path) -> Fallible<()> {
    let skill = || std::fs::read(&guests.big_skill);
    let mut loaded: Box<dyn Loaded> = match (engine, cache) {
        (None, _) => return crate::child::say(&0),
        (Some(Engine::Ours), _) => Box::new(ours_with_cache(&folder.join("ours"))?.load(&skill()?, State::Fresh)?),
        (Some(Engine::Wasmtime), Cache::Own) => {
            let options = start_options(Some(folder.join("wasmtime")));
            Box::new(Wasmtime::new(options)?.load(&skill()?, State::Fresh)?)
        }
        (Some(Engine::Wasmtime), Cache::File) => {
            let file = folder.join("wasmtime.cwasm");
            // SAFETY: `prepare` wrote it, into a folder that only this user can write to.
            Box::new(unsafe { Wasmtime::new(start_options(None))?.load_precompiled(&file, State::Fresh)? })
        }
        (Some(Engine::Extism), _) => {
            Box::new(Extism::compile(&guests.big_plugin, Some(&folder.join("extism.toml")))?.load(State::Fresh)?)
        }
        (Some(Engine::Wasmer), _) => {
            // SAFETY: as above.
            Box::new(unsafe { Wasmer::deserialize(&folder.join("wasmer.bin"))?.ready(State::Fresh)? })
        }
    };
    let mut len = 0;
    loaded.event("ping", b"hello", &mut |answer| len = answer.len())?;
    match len {
        4 => crate::child::say(&len),
        _ => Err("the big guest answers with four bytes".into()),
    }
}

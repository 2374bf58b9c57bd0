//! The engines. Each runs the same events on the same terms: a cap on memory, a deadline, and memory and a log for the
//! guest.

mod extism;
mod memory;
mod ours;
mod wasmer;
mod wasmtime;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::Fallible;

pub(crate) use self::extism::Extism;
pub(crate) use self::ours::{Ours, with_cache as ours_with_cache};
pub(crate) use self::wasmer::Wasmer;
pub(crate) use self::wasmtime::{InFlight, Options as WasmtimeOptions, Wasmtime, pagemap_scan};

/// The most linear memory of an event, in bytes: what our limits are where nobody says otherwise.
pub(crate) const MEMORY_CAP: u64 = 64 << 20;

/// The most time of an event: as above.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// What runs events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    Ours,
    Wasmtime,
    Extism,
    Wasmer,
}

impl Engine {
    pub(crate) const ALL: [Engine; 4] = [Engine::Ours, Engine::Wasmtime, Engine::Extism, Engine::Wasmer];

    /// What it is called in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Engine::Ours => "ours",
            Engine::Wasmtime => "wasmtime 48",
            Engine::Extism => "Extism 1.30",
            Engine::Wasmer => "wasmer 7.4.2",
        }
    }

    /// What it is called on command lines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Ours => "ours",
            Engine::Wasmtime => "wasmtime",
            Engine::Extism => "extism",
            Engine::Wasmer => "wasmer",
        }
    }

    /// Loads the guest with the workloads, its memory holding what they expect there.
    pub(crate) fn load(self, guests: &Guests, state: State) -> Fallible<Box<dyn Loaded>> {
        let skill = || std::fs::read(&guests.skill);
        Ok(match self {
            Engine::Ours => Box::new(Ours::new()?.load(&skill()?, state)?),
            Engine::Wasmtime => Box::new(Wasmtime::new(WasmtimeOptions::default())?.load(&skill()?, state)?),
            Engine::Extism => Box::new(Extism::compile(&guests.plugin, None)?.load(state)?),
            Engine::Wasmer => Box::new(Wasmer::load(&skill()?, state)?),
        })
    }
}

/// What becomes of a guest's memory between events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Every event starts clean.
    Fresh,
    /// One instance sees all events.
    Kept,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Fresh => "fresh",
            State::Kept => "kept",
        }
    }
}

/// A guest that was loaded, ready for events.
pub(crate) trait Loaded {
    /// Runs an event on the calling thread and shows its answer to `seen`.
    fn event(&mut self, kind: &str, data: &[u8], seen: &mut dyn FnMut(&[u8])) -> Fallible<()>;
}

/// The guests, as they were built from `guests/`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Guests {
    /// The workloads as a skill
    #[arg(long, value_name = "WASM")]
    pub(crate) skill: PathBuf,
    /// The workloads as a plug-in of Extism's
    #[arg(long, value_name = "WASM")]
    pub(crate) plugin: PathBuf,
    /// The big guest as a skill
    #[arg(long, value_name = "WASM")]
    pub(crate) big_skill: PathBuf,
    /// The big guest as a plug-in of Extism's
    #[arg(long, value_name = "WASM")]
    pub(crate) big_plugin: PathBuf,
    /// A small guest as a skill
    #[arg(long, value_name = "WASM")]
    pub(crate) tiny_skill: PathBuf,
    /// A small guest as a plug-in of Extism's
    #[arg(long, value_name = "WASM")]
    pub(crate) tiny_plugin: PathBuf,
}

/// What the guest's memory holds before the first event: under the key `profile`.
pub(crate) const PROFILE: (&str, [u8; 256]) = ("profile", [b'p'; 256]);

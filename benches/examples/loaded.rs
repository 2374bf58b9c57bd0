//! What a loaded skill takes of its process: resident memory, what of it is from the allocator, mappings and open files.
//!
//! ```text
//! cargo run --release --all-features --example loaded -- SKILL.wasm [SKILLS]
//! ```
//!
//! Each skill is another module for the engine, as each gets a custom section of its own, and sees one event.
//!
//! Invariant: the one unsafe call takes nothing.

use std::fmt;
use std::fs;

use cis_wasm_host::{Host, InMemory, SkillScope};
use cis_wasm_runtime::{ArtifactCache, CacheOutcome, LoadSpec, WasmInstance, WasmRuntime};

/// What the process has.
#[derive(Clone, Copy)]
struct Has {
    resident: usize,
    allocated: usize,
    mappings: usize,
    files: usize,
}

impl Has {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has it");
        let kib: usize = resident.trim().trim_end_matches(" kB").parse().expect("a number");
        // SAFETY: it only reads the allocator's own counts.
        let allocated = unsafe { libc::mallinfo2() };
        Has {
            resident: kib << 10,
            allocated: allocated.uordblks + allocated.hblkhd,
            mappings: fs::read_to_string("/proc/self/maps").expect("this is Linux").lines().count(),
            files: fs::read_dir("/proc/self/fd").expect("this is Linux").count(),
        }
    }

    fn since(self, before: Has, skills: usize) -> String {
        let each = |now: usize, before: usize| (now as f64 - before as f64) / skills as f64;
        format!(
            "{:7.1} KiB resident, {:7.1} KiB of them allocated, {:5.2} mappings, {:4.2} files",
            each(self.resident, before.resident) / 1024.0,
            each(self.allocated, before.allocated) / 1024.0,
            each(self.mappings, before.mappings),
            each(self.files, before.files)
        )
    }
}

impl fmt::Display for Has {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Has { resident, mappings, files, .. } = self;
        write!(f, "{:.0} MiB resident, {mappings} mappings, {files} files", *resident as f64 / f64::from(1 << 20))
    }
}

/// The module with a custom section that no other has.
fn numbered(wasm: &[u8], number: usize) -> Vec<u8> {
    let mut wasm = wasm.to_vec();
    wasm.extend_from_slice(&[0, 10, 1, b'n']);
    wasm.extend_from_slice(&(number as u64).to_le_bytes());
    wasm
}

fn load(runtime: &WasmRuntime, wasm: &[u8], number: usize, outcome: fn(&CacheOutcome) -> bool) -> WasmInstance {
    let name = format!("skill-{number}").parse().expect("a name of letters");
    let spec = LoadSpec::new(SkillScope::new(name), Host::builder().memory(InMemory::new()).build());
    let skill = runtime.load(&numbered(wasm, number), spec).unwrap_or_else(|error| panic!("{error}"));
    assert!(outcome(&skill.cache_outcome()), "{}", skill.cache_outcome());
    skill
}

fn measure(title: &str, runtime: &WasmRuntime, wasm: &[u8], skills: usize, outcome: fn(&CacheOutcome) -> bool) {
    // What there is once for all skills is there before.
    let _first = load(runtime, wasm, usize::MAX >> 1, |_| true);
    let before = Has::now();
    let all: Vec<_> = (0..skills).map(|number| load(runtime, wasm, number, outcome)).collect();
    println!("{title}, loaded:             {}", Has::now().since(before, skills));
    for skill in &all {
        skill.run("echo", b"hello").result.unwrap_or_else(|error| panic!("{error}"));
    }
    println!("{title}, each called:        {}", Has::now().since(before, skills));
    runtime.release_idle();
    println!("{title}, instances given up: {}", Has::now().since(before, skills));
    println!("{title}, the process:        {}", Has::now());
    for skill in &all {
        skill.run("echo", b"hello").result.unwrap_or_else(|error| panic!("{error}"));
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("a skill's .wasm");
    let skills: usize = args.next().map_or(1_000, |skills| skills.parse().expect("a number of skills"));
    let wasm = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let without = WasmRuntime::new().expect("a runtime needs nothing");
    measure("compiled", &without, &wasm, skills, |outcome| *outcome == CacheOutcome::Off);
    drop(without);
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let cached = || {
        let cache = ArtifactCache::open(folder.path().join("artifacts")).expect("a folder of our own");
        WasmRuntime::builder().cache(cache).build().expect("a runtime needs nothing")
    };
    measure("stored", &cached(), &wasm, skills, |outcome| *outcome == CacheOutcome::Miss { stored: true });
    measure("from a cache", &cached(), &wasm, skills, |outcome| *outcome == CacheOutcome::Hit);
}

//! What fuel and deadline cost: compute kernels with and without them, side by side in one process.
//!
//! `cargo run -p cis-benches --all-features --example fuel_cost -- target/skills/kernels.wasm [ROUNDS]`, after
//! `cargo xtask build-skill benches/guests/kernels`.
//!
//! A kernel's two versions run in turns. The cost is the median over the rounds of one run's processor time over the other's,
//! so that what else the machine does falls on both; the times are those of the fastest runs. The guest's code is the same in
//! any profile of the host.
//!
//! Invariant: the one unsafe call writes to a local of the right type.

use std::time::Duration;

use cis_wasm_host::{Host, SkillScope};
use cis_wasm_runtime::{Compiler, LoadSpec, State, WasmInstance, WasmRuntime};

const KERNELS: [&str; 13] = [
    "brainfuck",
    "btree",
    "fib",
    "hash-map",
    "json",
    "lz",
    "mandelbrot",
    "matrix",
    "n-body",
    "sha256",
    "sieve",
    "sort",
    "words",
];

fn load(wasm: &[u8], compiler: Compiler, metered: bool) -> WasmInstance {
    let builder = WasmRuntime::builder().compiler(compiler);
    let builder = if metered { builder } else { builder.unmetered() };
    let runtime = builder.build().expect("a runtime needs nothing");
    let mut spec = LoadSpec::new(SkillScope::new("kernels".parse().expect("a fixed name")), Host::builder().build());
    spec.state = State::Fresh;
    spec.limits.fuel = u64::MAX;
    spec.limits.deadline = Duration::from_secs(600);
    runtime.load(wasm, spec).unwrap_or_else(|error| panic!("{error}"))
}

/// Time and fuel of one run, and its checksum.
fn run(skill: &WasmInstance, kernel: &str) -> (Duration, u64, Vec<u8>) {
    let start = processor_time();
    let outcome = skill.run(kernel, b"");
    let time = processor_time() - start;
    let sum = outcome.result.unwrap_or_else(|error| panic!("{kernel}: {error}"));
    (time, outcome.receipt.fuel, sum.to_vec())
}

/// What this thread has had of a processor: a busy machine takes turns, and those of others do not count.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`, which `time` has room for.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "every thread has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("the kernels' .wasm");
    let rounds: u32 = args.next().map_or(30, |rounds| rounds.parse().expect("a number of rounds"));
    let wasm = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    for compiler in Compiler::ALL {
        let (with, without) = (load(&wasm, *compiler, true), load(&wasm, *compiler, false));
        println!("| {} | with, ms | without, ms | cost | fuel |\n|---|---|---|---|---|", compiler.name());
        let mut logarithms = 0.0;
        for kernel in KERNELS {
            let (mut metered, mut free, mut fuel) = (Duration::MAX, Duration::MAX, 0);
            let mut ratios = Vec::new();
            for round in 0..rounds {
                // Each goes first as often as the other.
                let early = (round % 2 == 0).then(|| run(&without, kernel));
                let (time, used, sum) = run(&with, kernel);
                let (free_time, _, free_sum) = early.unwrap_or_else(|| run(&without, kernel));
                ratios.push(time.as_secs_f64() / free_time.as_secs_f64());
                assert_eq!(sum, free_sum, "{kernel} computes the same");
                (metered, free, fuel) = (metered.min(time), free.min(free_time), used);
            }
            ratios.sort_by(f64::total_cmp);
            let ratio = ratios[ratios.len() / 2];
            logarithms += ratio.ln();
            let (metered, free) = (metered.as_secs_f64() * 1e3, free.as_secs_f64() * 1e3);
            println!("| {kernel} | {metered:.2} | {free:.2} | {:+.1} % | {fuel} |", (ratio - 1.0) * 100.0);
        }
        println!("| geometric mean | | | {:+.1} % | |\n", ((logarithms / KERNELS.len() as f64).exp() - 1.0) * 100.0);
    }
}

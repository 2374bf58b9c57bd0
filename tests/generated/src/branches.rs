//! Functions full of loops and branches: what runs how often there is what metering has to know.

mod body;
mod program;

use arbitrary::Unstructured;
use cis_wasm_runtime::{Error, LoadSpec, WasmInstance};

use crate::host::{granted, host};
use crate::naive;
use crate::outcome::{Seen, compilers, limits, load, load_asking, name};
use crate::tally::Tally;

/// More than any of these programs uses.
const PLENTY: u64 = 1 << 40;

/// Runs functions full of loops and branches that are made from the bytes.
///
/// # Panics
///
/// When one of these does not hold:
/// - an event ends the same on every compiler, with the same fuel, whether its code traps when fuel runs out or asks;
/// - it ends the same where each instruction is counted when it is its turn, and there are no more of them than fuel: see
///   `naive`;
/// - with a limit of what it used it ends the same, with one unit less it runs out.
///
/// The last two are about events without a trap, as in [`modules`](crate::modules).
pub fn branches(data: &[u8]) -> Tally {
    let mut tally = Tally::default();
    // An error means no more than that the bytes were used up.
    let Ok(wasm) = program::wasm(&mut Unstructured::new(data)) else { return tally };
    tally.count("programs");
    let seen = run(load, 0, &wasm, PLENTY);
    for compiler in 1..compilers() {
        assert_eq!(run(load, compiler, &wasm, PLENTY), seen, "{} and {}", name(compiler), name(0));
    }
    // The compiler that is the quickest to load.
    let quickest = compilers() - 1;
    assert_eq!(run(load_asking, quickest, &wasm, PLENTY), seen, "where code asks");
    tally.count(seen.code());
    assert!(!seen.is_out_of_fuel() && !seen.is_stack_overflow(), "a program that does not end: {seen:?}");
    if seen.is_trap() {
        return tally;
    }
    for (load, how) in HOW {
        let enough = run(load, quickest, &wasm, seen.fuel);
        assert_eq!(enough, seen, "with a limit of what was used, where code {how}");
        let less = run(load, quickest, &wasm, seen.fuel - 1);
        assert!(less.is_out_of_fuel(), "with a limit below what was used, where code {how}: {less:?}");
    }
    let counting = naive::counting(&wasm, seen.fuel).expect("these programs have globals");
    let counted = run(load, quickest, &counting, PLENTY);
    assert_eq!(counted.ended, seen.ended, "one at a time, with at most {} instructions", seen.fuel);
    if seen.fuel >= 10_000 {
        tally.count("long");
    }
    tally
}

type Load = fn(usize, &[u8], LoadSpec) -> Result<WasmInstance, Error>;

/// Both ways of metering.
const HOW: [(Load, &str); 2] = [(load, "traps"), (load_asking, "asks")];

/// What comes of the event with this limit.
#[track_caller]
fn run(load: Load, compiler: usize, wasm: &[u8], fuel: u64) -> Seen {
    let mut spec = LoadSpec::new(granted(), host());
    spec.limits = limits(fuel);
    Seen::of(load(compiler, wasm, spec).unwrap_or_else(|error| panic!("{}: {error}", name(compiler))).run("", b""))
}

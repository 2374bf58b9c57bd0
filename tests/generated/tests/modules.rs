//! Modules of wasm-smith's, on every compiler: 2,000 of them, in parts that run side by side.

mod common;

use cis_generated::Oracle;

#[track_caller]
fn hold(from: u64, to: u64) {
    let tally = common::seeds(Oracle::Modules, from, to);
    let all = to - from;
    assert_eq!(tally.of("modules") + tally.of("not_generated"), all);
    // Most have to come as far as the checks that this is about.
    assert!(tally.of("loaded_by_all") > all * 6 / 10, "{tally}");
    assert!(tally.of("replayed") > all * 6 / 10, "{tally}");
    assert!(tally.of("left_nothing") > all * 6 / 10, "{tally}");
    assert!(tally.of("exact_fuel") > all / 2 && tally.of("all_paid") > all / 4, "{tally}");
}

#[test]
fn seeds_0_to_500() {
    hold(0, 500);
}

#[test]
fn seeds_500_to_1000() {
    hold(500, 1_000);
}

#[test]
fn seeds_1000_to_1500() {
    hold(1_000, 1_500);
}

#[test]
fn seeds_1500_to_2000() {
    hold(1_500, 2_000);
}

#[test]
fn the_corpora_hold() {
    let tally = common::corpus(Oracle::Module);
    assert_eq!(tally.of("loaded_by_all"), tally.of("modules"), "{tally}");
    common::corpus(Oracle::Modules);
}

#[test]
fn what_ends_a_process_is_named() {
    let why = common::run(&["module", "files", "nothing.wat"]).unwrap_err();
    assert!(why.contains("at `file nothing.wat`"), "{why}");
}

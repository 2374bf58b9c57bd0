//! Events of 1,000 generated modules that make host calls: held, parked, and replayed on the other compiler.

mod common;

use cis_generated::Oracle;

/// Feeds it 400 modules, of which 250 have to be compared to the end: events that were put down at least once.
#[track_caller]
fn hold(from: u64) {
    let tally = common::seeds(Oracle::Parked, from, from + 400);
    assert_eq!(tally.of("modules") + tally.of("not_generated"), 400);
    assert!(tally.of("parked_and_replayed") >= 250, "{tally}");
    assert!(tally.of("parks") > 2_000 && tally.of("calls") > tally.of("parks"), "{tally}");
    // Most can be suspended. Others change what is not set back.
    assert!(tally.of("went_on") > 30 && tally.of("went_on") > tally.of("began_again"), "{tally}");
    for code in ["answered", "out_of_fuel", "out_of_host_calls", "skill_failed", "trap_out_of_bounds"] {
        assert!(tally.of(code) > 0, "{code}: {tally}");
    }
}

#[test]
fn seeds_0_to_400() {
    hold(0);
}

#[test]
fn seeds_400_to_800() {
    hold(400);
}

#[test]
fn seeds_800_to_1200() {
    hold(800);
}

#[test]
fn seeds_1200_to_1600() {
    hold(1_200);
}

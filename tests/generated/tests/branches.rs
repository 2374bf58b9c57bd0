//! Functions full of loops and branches, in parts that run side by side.

mod common;

use cis_generated::Oracle;

#[track_caller]
fn hold(from: u64, to: u64) {
    let tally = common::seeds(Oracle::Branches, from, to);
    let all = to - from;
    assert_eq!(tally.of("programs"), all);
    assert!(tally.of("answered") > all * 9 / 10 && tally.of("long") > all / 20, "{tally}");
}

#[test]
fn seeds_0_to_500() {
    hold(0, 500);
}

#[test]
fn seeds_500_to_1000() {
    hold(500, 1_000);
}

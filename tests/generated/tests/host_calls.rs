//! Host calls with any arguments.

mod common;

use cis_generated::Oracle;

#[test]
fn every_call_ends_in_an_answer_or_a_typed_error() {
    let tally = common::seeds(Oracle::HostCalls, 0, 3_000);
    assert_eq!(tally.of("replayed"), 3_000, "{tally}");
    assert!(tally.of("replayed_with_calls") > 1_500, "{tally}");
    for code in ["answered", "bad_pointer", "bad_allocation", "out_of_host_calls", "out_of_bytes_in", "skill_failed"] {
        assert!(tally.of(code) > 0, "{code}: {tally}");
    }
}

#[test]
fn the_corpus_holds() {
    common::corpus(Oracle::HostCalls);
}

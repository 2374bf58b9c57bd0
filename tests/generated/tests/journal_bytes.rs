//! Journals and recordings, of any kind and from any bytes.

mod common;

use cis_generated::{Oracle, Tally, bytes, journal};

#[test]
fn reading_undoes_writing() {
    let mut tally = Tally::default();
    for seed in 0..20_000 {
        tally.add(&journal(&bytes(seed, Oracle::Journal.input_len())));
    }
    assert!(tally.of("written") > 19_000, "{tally}");
}

#[test]
fn the_corpus_holds() {
    let tally = common::corpus(Oracle::Journal);
    assert!(tally.of("read_as_journal") > 0 && tally.of("read_as_recording") > 0, "{tally}");
}

//! The wire contract, with numbers and lists of any kind.

mod common;

use cis_generated::{Oracle, Tally, bytes, packed};

#[test]
fn reading_undoes_writing() {
    let mut tally = Tally::default();
    for seed in 0..20_000 {
        tally.add(&packed(&bytes(seed, Oracle::Packed.input_len())));
    }
    assert_eq!(tally.of("checked"), 20_000);
}

#[test]
fn the_corpus_holds() {
    common::corpus(Oracle::Packed);
}

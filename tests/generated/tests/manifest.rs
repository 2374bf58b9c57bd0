//! Manifests of any text.

mod common;

use cis_generated::{Oracle, Tally, bytes, manifest, manifest_text};

#[test]
fn what_parses_prints_as_what_parses_to_the_same() {
    let mut tally = Tally::default();
    for seed in 0..20_000 {
        tally.add(&manifest(&bytes(seed, Oracle::Manifest.input_len())));
    }
    println!("{tally}");
    // Enough of both kinds for the name of this test to be true.
    assert!(tally.of("made_accepted") > 2_000 && tally.of("made_refused") > 2_000, "{tally}");
}

#[test]
fn the_corpus_holds() {
    for file in Oracle::Manifest.corpus().unwrap() {
        let text = std::fs::read_to_string(&file).unwrap();
        if let Err(error) = manifest_text(&text) {
            panic!("{}: {error}", file.display());
        }
    }
}

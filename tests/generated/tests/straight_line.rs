//! Fuel where it is the number of instructions.

mod common;

use cis_generated::Oracle;

#[test]
fn fuel_is_the_number_of_instructions() {
    let tally = common::seeds(Oracle::StraightLine, 0, 500);
    assert_eq!(tally.of("programs"), 500);
}

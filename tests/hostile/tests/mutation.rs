//! Every limit is missed when it is out of service: each of its cases is broken then, on every compiler of this build.
//!
//! Without debug assertions there is no switch, and nothing to try.
#![cfg(debug_assertions)]

use cis_hostile::Case;
use cis_hostile::suite::{self, Job, Suite};

#[test]
fn every_limit_bites() {
    let folder = suite::own_cases();
    let cases = Case::all(&folder).unwrap();
    let suite = Suite { program: env!("CARGO_BIN_EXE_cis-hostile").into(), folder, jobs: 2 };
    let tried = suite.run(&Job::unwired(&cases), |_| ()).unwrap();
    let toothless = suite::toothless(&cases, &tried);
    assert!(toothless.is_empty(), "\n{}", toothless.join("\n"));
}

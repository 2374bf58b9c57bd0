//! Every case is held, on every compiler of this build.

use cis_hostile::suite::{self, Job, Suite};
use cis_hostile::{Case, Expected, Verdict};

#[test]
fn every_case_is_held() {
    let folder = suite::own_cases();
    let cases = Case::all(&folder).unwrap();
    let suite = Suite { program: env!("CARGO_BIN_EXE_cis-hostile").into(), folder, jobs: 2 };
    let tried = suite.run(&Job::all(&cases, None), |_| ()).unwrap();
    assert!(suite::broken(&tried).is_empty(), "\n{}", suite::broken(&tried).join("\n"));
    for one in &tried {
        if let Verdict::Untried(why) = &one.verdict {
            println!("NOT TRIED: {} on {}: {why}", one.job.case.name, one.job.compiler.name());
        }
    }
}

#[test]
fn there_are_enough_of_them() {
    let cases = Case::all(&suite::own_cases()).unwrap();
    let classes: std::collections::BTreeSet<_> = cases.iter().map(|case| &case.class).collect();
    assert!(classes.len() >= 60, "{} classes of attack", classes.len());
    // Nothing is learnt from a case that is expected to do as it likes.
    let events = cases.iter().filter_map(|case| match &case.expected {
        Expected::Events { steps, .. } => Some((case, steps)),
        Expected::Refused(_) => None,
    });
    for (case, steps) in events {
        assert!(!steps.is_empty() && steps.iter().all(|step| step.len() <= 2), "{}", case.name);
    }
}

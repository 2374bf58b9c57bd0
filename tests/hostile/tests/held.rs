//! Every case is held, on every compiler of this build, and stands for a promise.

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

#[test]
fn every_case_stands_in_security_md() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../SECURITY.md")).unwrap();
    // The table with four columns, the last of which names cases: in backquotes, with `*` for any end or beginning.
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.filter_map(|row| row.split(" | ").nth(3)).skip(1);
    let names: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let cases = Case::all(&suite::own_cases()).unwrap();
    let unnamed: Vec<_> =
        cases.iter().map(|case| &case.name).filter(|case| !names.iter().any(|name| fits(name, case))).collect();
    assert!(unnamed.is_empty(), "SECURITY.md does not name {unnamed:?}");
    let empty: Vec<_> = names.iter().filter(|name| !cases.iter().any(|case| fits(name, &case.name))).collect();
    assert!(empty.is_empty(), "SECURITY.md names {empty:?}, and there are no such cases");
}

fn fits(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (_, Some(begin)) => name.starts_with(begin),
        _ => name == pattern,
    }
}

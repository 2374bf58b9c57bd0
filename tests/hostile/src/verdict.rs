//! What came of a case, and whether it was held.

use serde::{Deserialize, Serialize};

use crate::case::{Case, Expected};

/// How far memory may grow beyond a case's own cap, in KiB.
const SLACK_KIB: u64 = 64 << 10;

/// And beyond that, for each byte of the module: its data is copied so often while it is compiled.
const COPIES: u64 = 6;

/// What a process that tried a case says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Why it was not tried, where a tool is missing.
    pub untried: Option<String>,
    /// The code with which loading was refused, or `None`.
    pub refused: Option<String>,
    /// How each event ended: `ok`, or an error's code.
    pub events: Vec<String>,
    /// How `skill_shutdown` ended, where it was run.
    pub shutdown: Option<String>,
    /// The first error, in words.
    pub said: String,
    /// What did not hold beside that.
    pub broken: Vec<String>,
    /// How large the module is, in KiB.
    pub module_kib: u64,
    /// How far memory grew at its peak, in KiB.
    pub grown_kib: Option<u64>,
    /// How long the attack took, in milliseconds.
    pub took_ms: u64,
}

impl Trial {
    /// How it ended, in a word or a few.
    pub fn ended(&self) -> String {
        match &self.refused {
            Some(code) => format!("load: {code}"),
            None => {
                let shutdown = self.shutdown.iter().map(|code| format!("shutdown: {code}"));
                several(self.events.iter().cloned()).into_iter().chain(shutdown).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// Whether a case was held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was.
    Held,
    /// It could not be tried, for want of a tool.
    Untried(String),
    /// It was not, for these reasons.
    Broken(Vec<String>),
}

impl Verdict {
    /// Judges a trial.
    pub fn of(case: &Case, trial: &Trial) -> Verdict {
        if let Some(why) = &trial.untried {
            return Verdict::Untried(why.clone());
        }
        let mut broken = trial.broken.clone();
        if !case.expected.met_by(trial) {
            broken.insert(0, format!("ended with `{}`: {}", trial.ended(), trial.said));
        }
        let cap = case.limits.memory_bytes / 1024 + SLACK_KIB + COPIES * trial.module_kib;
        if let Some(grown) = trial.grown_kib.filter(|grown| *grown > cap) {
            broken.push(format!("memory grew by {grown} KiB, more than {cap}"));
        }
        if broken.is_empty() { Verdict::Held } else { Verdict::Broken(broken) }
    }
}

impl Expected {
    fn met_by(&self, trial: &Trial) -> bool {
        match self {
            Expected::Refused(code) => trial.refused.as_ref() == Some(code),
            Expected::Events { steps, shutdown } => {
                trial.refused.is_none()
                    && steps.len() == trial.events.len()
                    && steps.iter().zip(&trial.events).all(|(step, ended)| step.contains(ended))
                    && *shutdown == trial.shutdown
            }
        }
    }

    /// In a word or a few.
    pub fn shown(&self) -> String {
        match self {
            Expected::Refused(code) => format!("load: {code}"),
            Expected::Events { steps, shutdown } => {
                let shutdown = shutdown.iter().map(|code| format!("shutdown: {code}"));
                several(steps.iter().map(|step| step.join("|")))
                    .into_iter()
                    .chain(shutdown)
                    .collect::<Vec<_>>()
                    .join(" ")
            }
        }
    }
}

/// Equal words that follow each other, as one.
fn several(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for word in words {
        match runs.last_mut() {
            Some((last, count)) if *last == word => *count += 1,
            _ => runs.push((word, 1)),
        }
    }
    runs.into_iter().map(|(word, count)| if count == 1 { word } else { format!("{word} x{count}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(header: &str, trial: Trial) -> Verdict {
        let case = Case::parse("a.wat", &format!(";; class: c\n;; what: w\n{header}")).unwrap();
        Verdict::of(&case, &trial)
    }

    fn ended(events: &[&str]) -> Trial {
        Trial { events: events.iter().map(|code| (*code).to_owned()).collect(), ..Trial::default() }
    }

    #[test]
    fn a_case_is_held_by_exactly_what_it_expects() {
        let header = ";; expect: ok a|b";
        assert_eq!(verdict(header, ended(&["ok", "b"])), Verdict::Held);
        for events in [&["ok"][..], &["ok", "ok"], &["a", "ok"], &["ok", "b", "ok"]] {
            assert!(matches!(verdict(header, ended(events)), Verdict::Broken(_)), "{events:?}");
        }
        let refused = Trial { refused: Some("a".into()), ..Trial::default() };
        assert_eq!(verdict(";; expect_load: a", refused.clone()), Verdict::Held);
        assert!(matches!(verdict(";; expect: a", refused), Verdict::Broken(_)));
    }

    #[test]
    fn memory_and_what_is_broken_count() {
        let grown = |kib| Trial { grown_kib: Some(kib), ..ended(&["ok"]) };
        assert_eq!(verdict(";; memory_kib: 64", grown((64 << 10) + 64)), Verdict::Held);
        assert!(matches!(verdict(";; memory_kib: 64", grown((64 << 10) + 65)), Verdict::Broken(_)));
        let loaded = |kib| Trial { module_kib: 100, ..grown(kib) };
        assert_eq!(verdict(";; memory_kib: 64", loaded((64 << 10) + 664)), Verdict::Held);
        assert!(matches!(verdict(";; memory_kib: 64", loaded((64 << 10) + 665)), Verdict::Broken(_)));
        let broken = Trial { broken: vec!["a canary sang".into()], ..ended(&["ok"]) };
        assert_eq!(verdict("", broken), Verdict::Broken(vec!["a canary sang".into()]));
    }

    #[test]
    fn endings_that_repeat_are_counted() {
        assert_eq!(ended(&["ok", "a", "a", "a", "ok"]).ended(), "ok a x3 ok");
    }
}

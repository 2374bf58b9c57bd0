//! What a run has seen, for reports, and so that a test can tell that it tested anything.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How often things were seen, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<String, u64>,
}

impl Tally {
    /// How often it was seen.
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// Adds what another run has seen.
    pub fn add(&mut self, other: &Tally) {
        for (name, count) in &other.counts {
            *self.counts.entry(name.clone()).or_default() += count;
        }
    }

    /// It was seen once more.
    pub(crate) fn count(&mut self, name: &str) {
        self.count_many(name, 1);
    }

    /// It was seen so many times more.
    pub(crate) fn count_many(&mut self, name: &str, times: u64) {
        *self.counts.entry(name.to_owned()).or_default() += times;
    }
}

/// As `name=count name=count`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, count)) in self.counts.iter().enumerate() {
            write!(f, "{}{name}={count}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// Reads what is displayed.
impl FromStr for Tally {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let entry = |entry: &str| {
            let (name, count) = entry.split_once('=').ok_or_else(|| format!("`{entry}` has no count"))?;
            Ok((name.to_owned(), count.parse().map_err(|error| format!("`{entry}`: {error}"))?))
        };
        Ok(Tally { counts: text.split_whitespace().map(entry).collect::<Result<_, String>>()? })
    }
}

//! Many durations in a few numbers.

use std::fmt;
use std::time::Duration;

/// Durations, to be read at ranks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread {
    all: Vec<Duration>,
}

impl Spread {
    pub(crate) fn add(&mut self, duration: Duration) {
        self.all.push(duration);
    }

    pub(crate) fn append(&mut self, other: &Spread) {
        self.all.extend(&other.all);
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// The smallest duration that so many of a hundred do not exceed; nothing of nothing.
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        let mut sorted = self.all.clone();
        sorted.sort_unstable();
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// `p50`, `p99` and the largest, in milliseconds.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all.is_empty() {
            return write!(f, "{:>9} {:>9} {:>9}", "-", "-", "-");
        }
        let at = |percent| self.percentile(percent).as_secs_f64() * 1e3;
        write!(f, "{:9.3} {:9.3} {:9.3}", at(50.0), at(99.0), at(100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks() {
        let mut spread = Spread::default();
        for millis in (1..=200).rev() {
            spread.add(Duration::from_millis(millis));
        }
        let at = |percent| spread.percentile(percent).as_millis();
        assert_eq!((at(50.0), at(99.0), at(100.0)), (100, 198, 200));
        assert_eq!(spread.to_string().split_whitespace().collect::<Vec<_>>(), ["100.000", "198.000", "200.000"]);
        assert_eq!(Spread::default().percentile(50.0), Duration::ZERO);
    }
}

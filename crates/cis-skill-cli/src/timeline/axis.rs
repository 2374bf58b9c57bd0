//! The time axis: from microseconds to places on the page, and to words.

use std::time::Duration;

/// The time that a page shows, in microseconds.
pub(super) struct Axis {
    total: u64,
}

impl Axis {
    /// An axis that ends with an event, and with the last thing that happened in it.
    pub(super) fn to(ends: impl Iterator<Item = u64>) -> Self {
        Axis { total: ends.max().unwrap_or(0).max(1) }
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Where a time lies, in percent of the axis.
    pub(super) fn percent(&self, us: u64) -> f64 {
        us.min(self.total) as f64 * 100.0 / self.total as f64
    }

    /// The place and size of a bar, as CSS.
    pub(super) fn style(&self, begin: u64, end: u64) -> String {
        let left = self.percent(begin);
        format!("left:{left:.3}%;width:{:.3}%", (self.percent(end) - left).max(0.0))
    }

    /// Round times along the axis.
    pub(super) fn ticks(&self) -> impl Iterator<Item = u64> {
        let steps = (0..19).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.saturating_pow(power)));
        let step = steps.into_iter().find(|step| self.total / step <= 8).unwrap_or(self.total);
        let total = self.total;
        (0..=total / step).map(move |tick| tick * step)
    }
}

/// A time in microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A time in words.
pub(super) fn words(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", decimals(us, 1_000)),
        _ => format!("{} s", decimals(us, 1_000_000)),
    }
}

/// A quotient with as many decimals as say something.
fn decimals(number: u64, unit: u64) -> String {
    let text = format!("{:.3}", number as f64 / unit as f64);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let ticks = |total| Axis::to([total].into_iter()).ticks().collect::<Vec<_>>();
        assert_eq!(ticks(0), [0, 1]);
        assert_eq!(ticks(450), [0, 100, 200, 300, 400]);
        assert_eq!(ticks(8_000_000).len(), 9);
        for total in [1, 7, 999, 123_456_789, u64::MAX] {
            assert!((2..=9).contains(&ticks(total).len()), "{total}");
        }
    }

    #[test]
    fn bars_stay_on_the_axis() {
        let axis = Axis::to([200, 100].into_iter());
        assert_eq!(axis.style(50, 100), "left:25.000%;width:25.000%");
        assert_eq!(axis.style(300, 100), "left:100.000%;width:0.000%");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([words(999), words(1_500), words(2_000_000)], ["999 µs", "1.5 ms", "2 s"]);
        assert_eq!([grouped(0), grouped(1_234), grouped(123_456_789)], ["0", "1,234", "123,456,789"]);
    }
}

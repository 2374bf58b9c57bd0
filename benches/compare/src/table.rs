//! Rows as text, for terminals and for Markdown.

use crate::engine::Engine;
use crate::result::{Row, Spread, Unit};

/// For a terminal: medians, what they spread over, and ratios.
pub(crate) fn plain(rows: &[Row]) -> String {
    let mut lines = vec![vec!["".to_owned(), "".to_owned()]];
    lines[0].extend(Engine::ALL.map(|engine| engine.title().to_owned()));
    for row in rows {
        let mut line = vec![row.name.clone(), row.variant.clone()];
        line.extend(Engine::ALL.map(|engine| match row.cells.get(&engine) {
            Some(cell) => {
                let ratio = cell.ratio.map(|ratio| format!("  {}", times(ratio.median))).unwrap_or_default();
                format!("{} {}{ratio}", value(cell.value.median, row.unit), spread(&cell.value, row.unit))
            }
            None => "-".to_owned(),
        }));
        lines.push(line);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text += cells.join("   ").trim_end();
        text.push('\n');
    }
    for row in rows {
        if let Some(note) = &row.note {
            text += &format!("{}, {}: {note}\n", row.name, row.variant);
        }
    }
    text
}

/// For Markdown: medians and ratios.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let engines: Vec<Engine> = present(rows);
    let mut text = "| | |".to_owned();
    for engine in &engines {
        text += &format!(" {} |", engine.title());
    }
    text += &format!("\n|---|---|{}\n", "---:|".repeat(engines.len()));
    for row in rows {
        text += &format!("| {} | {} |", row.name, row.variant);
        for engine in &engines {
            text += &match row.cells.get(engine) {
                Some(cell) => match cell.ratio {
                    Some(ratio) => format!(" {} · **{}** |", value(cell.value.median, row.unit), times(ratio.median)),
                    None => format!(" {} |", value(cell.value.median, row.unit)),
                },
                None => " |".to_owned(),
            };
        }
        text.push('\n');
    }
    text
}

/// For Markdown: how far what was measured spreads.
pub(crate) fn markdown_spread(rows: &[Row]) -> String {
    let engines: Vec<Engine> = present(rows);
    let mut text = "| | |".to_owned();
    for engine in &engines {
        text += &format!(" {} |", engine.title());
    }
    text += &format!(" load |\n|---|---|{}---:|\n", "---:|".repeat(engines.len()));
    for row in rows {
        text += &format!("| {} | {} |", row.name, row.variant);
        for engine in &engines {
            text += &row
                .cells
                .get(engine)
                .map_or_else(|| " |".to_owned(), |cell| format!(" {} |", spread(&cell.value, row.unit)));
        }
        text += &format!(" {:.1} |\n", row.load);
    }
    text
}

fn present(rows: &[Row]) -> Vec<Engine> {
    Engine::ALL.into_iter().filter(|engine| rows.iter().any(|row| row.cells.contains_key(engine))).collect()
}

/// A ratio: how many times as much.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 100.0 => format!("{ratio:.0}x"),
        ratio if ratio >= 10.0 => format!("{ratio:.1}x"),
        ratio => format!("{ratio:.2}x"),
    }
}

/// A number with its unit, in three digits or so.
pub(crate) fn value(number: f64, unit: Unit) -> String {
    let (size, name) = unit_of(number, unit);
    format!("{} {name}", digits(number / size))
}

/// The least, and where the middle half lies, in the unit of the median.
fn spread(spread: &Spread, unit: Unit) -> String {
    let (size, _) = unit_of(spread.median, unit);
    let [min, q1, q3] = [spread.min, spread.q1, spread.q3].map(|number| digits(number / size));
    format!("({min}; {q1}–{q3})")
}

/// The size and the name of a unit that suits the number.
fn unit_of(number: f64, unit: Unit) -> (f64, &'static str) {
    let units: &[(f64, &str)] = match unit {
        Unit::Nanoseconds => &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")],
        Unit::Bytes => &[(1.0, "B"), (1024.0, "KiB"), (1_048_576.0, "MiB")],
        Unit::Times => &[(1.0, "times")],
    };
    *units.iter().rev().find(|(size, _)| number >= *size).unwrap_or(&units[0])
}

fn digits(number: f64) -> String {
    match number {
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_unit_that_suits_them() {
        assert_eq!(value(999.0, Unit::Nanoseconds), "999 ns");
        assert_eq!(value(1_234.0, Unit::Nanoseconds), "1.23 µs");
        assert_eq!(value(12_345_678.0, Unit::Nanoseconds), "12.3 ms");
        assert_eq!(value(4096.0, Unit::Bytes), "4.00 KiB");
    }

    #[test]
    fn a_spread_has_the_unit_of_its_median() {
        let spread_of = Spread { min: 900.0, q1: 1_000.0, median: 1_100.0, q3: 1_200.0 };
        assert_eq!(spread(&spread_of, Unit::Nanoseconds), "(0.90; 1.00–1.20)");
    }

    #[test]
    fn a_row_has_a_ratio_for_every_peer() {
        let turns = [(Engine::Ours, vec![1_000.0]), (Engine::Extism, vec![400_000.0])];
        let row = Row::of("echo-1k", "fresh", Unit::Nanoseconds, &turns);
        let text = markdown(std::slice::from_ref(&row));
        assert!(text.ends_with("| echo-1k | fresh | 1.00 µs | 400 µs · **400x** |\n"), "{text}");
    }
}

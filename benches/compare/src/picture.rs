//! The picture: a bar for each engine and workload, on a logarithmic axis of time.

use crate::engine::Engine;
use crate::result::{Row, Unit};
use crate::table::value;

const WIDTH: f64 = 860.0;
/// Where bars begin, and the room behind the longest for its value.
const LEFT: f64 = 150.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 44.0;
const BAR: f64 = 11.0;
const GAP: f64 = 12.0;

/// The picture of those rows that are times. Readable on light and dark pages alike.
pub(crate) fn svg(rows: &[Row]) -> String {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.unit == Unit::Nanoseconds).collect();
    let times: Vec<f64> = rows.iter().flat_map(|row| row.cells.values().map(|cell| cell.value.median)).collect();
    let first = times.iter().copied().fold(f64::INFINITY, f64::min).max(1.0).log10().floor();
    let last = times.iter().copied().fold(1.0, f64::max).log10().ceil().max(first + 1.0);
    let x = |time: f64| LEFT + (time.max(1.0).log10() - first) / (last - first) * (WIDTH - LEFT - RIGHT);
    let bars: usize = rows.iter().map(|row| row.cells.len()).sum();
    let height = TOP + bars as f64 * BAR + rows.len() as f64 * GAP + 24.0;

    let mut out = String::new();
    let mut line = |text: String| {
        out += &text;
        out.push('\n');
    };
    line(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif" font-size="11" role="img" aria-label="Time per event, by engine">"#
    ));
    line(format!(r##"<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"##));
    let mut at = LEFT;
    for engine in Engine::ALL {
        let (colour, title) = (colour(engine), engine.title());
        line(format!(r#"<rect x="{at}" y="10" width="10" height="10" fill="{colour}"/>"#));
        line(format!(r##"<text x="{:.0}" y="19" fill="#222222">{title}</text>"##, at + 14.0));
        at += 40.0 + title.len() as f64 * 6.5;
    }
    line(format!(
        r##"<text x="{:.0}" y="19" fill="#555555" text-anchor="end">time per event, logarithmic: shorter is better</text>"##,
        WIDTH - 10.0
    ));
    for power in first as i32..=last as i32 {
        let (time, bottom) = (10_f64.powi(power), height - 20.0);
        let x = x(time);
        line(format!(r##"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom:.1}" stroke="#dddddd"/>"##));
        let label = value(time, Unit::Nanoseconds).replace(".00", "").replace(".0 ", " ");
        line(format!(
            r##"<text x="{x:.1}" y="{:.1}" fill="#555555" text-anchor="middle">{label}</text>"##,
            height - 6.0
        ));
    }
    let mut y = TOP + GAP / 2.0;
    for row in rows {
        let middle = y + row.cells.len() as f64 * BAR / 2.0 + 4.0;
        let label = format!("{}, {}", row.name, row.variant);
        line(format!(
            r##"<text x="{:.0}" y="{middle:.1}" fill="#222222" text-anchor="end">{label}</text>"##,
            LEFT - 8.0
        ));
        for (engine, cell) in &row.cells {
            let end = x(cell.value.median);
            let (colour, width, thick) = (colour(*engine), (end - LEFT).max(1.0), BAR - 2.0);
            line(format!(r#"<rect x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{thick}" fill="{colour}"/>"#));
            let text = value(cell.value.median, row.unit);
            line(format!(
                r##"<text x="{:.1}" y="{:.1}" fill="#444444" font-size="9">{text}</text>"##,
                end + 4.0,
                y + BAR - 3.0
            ));
            y += BAR;
        }
        y += GAP;
    }
    line("</svg>".to_owned());
    out
}

fn colour(engine: Engine) -> &'static str {
    match engine {
        Engine::Ours => "#1d4ed8",
        Engine::Wasmtime => "#d97706",
        Engine::Extism => "#9333ea",
        Engine::Wasmer => "#6b7280",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_ten_times_as_long_in_time_is_one_step_longer() {
        let turns = [(Engine::Ours, vec![100.0]), (Engine::Wasmtime, vec![1_000.0]), (Engine::Wasmer, vec![10_000.0])];
        let svg = svg(&[Row::of("x", "fresh", Unit::Nanoseconds, &turns)]);
        let step = (WIDTH - LEFT - RIGHT) / 2.0;
        assert!(svg.contains(&format!("width=\"{step:.1}\"")), "{svg}");
        assert!(svg.contains(&format!("width=\"{:.1}\"", 2.0 * step)), "{svg}");
    }
}

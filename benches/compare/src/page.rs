//! The generated part of `docs/performance.md`, and the picture beside it.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Fallible;
use crate::machine::Machine;
use crate::result::Row;
use crate::workload::Workload;
use crate::{picture, table};

const BEGIN: &str = "<!-- generated: compare -->";
const END: &str = "<!-- end generated -->";

/// All that was measured on a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rows: Vec<Row>,
}

impl Results {
    /// What was saved earlier, if it was and is of this machine.
    pub(crate) fn saved(file: &Path) -> Self {
        let machine = Machine::this();
        let saved = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Results>(&bytes).ok());
        let rows = saved.filter(|saved| saved.machine == machine).map_or_else(Vec::new, |saved| saved.rows);
        Results { machine, rows }
    }

    /// Takes a row in, in the place of an earlier one of the same name.
    pub(crate) fn take(&mut self, row: Row) {
        match self.rows.iter_mut().find(|old| old.name == row.name && old.variant == row.variant) {
            Some(old) => *old = row,
            None => self.rows.push(row),
        }
    }

    pub(crate) fn save(&self, file: &Path) -> Fallible<()> {
        Ok(std::fs::write(file, serde_json::to_vec_pretty(self)?)?)
    }
}

/// Rewrites the part between the marks of `performance.md`, and `performance.svg`.
pub(crate) fn write(results: &Results, docs: &Path) -> Fallible<()> {
    let page = docs.join("performance.md");
    let old = std::fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
    let fresh = replaced(&old, &part(results)).ok_or_else(|| format!("{}: no `{BEGIN}`", page.display()))?;
    for row in lost(&old, &fresh) {
        eprintln!("no longer on the page, because it was not measured here yet: {row}");
    }
    std::fs::write(&page, fresh)?;
    let (events, _) = of_workloads(&results.rows);
    Ok(std::fs::write(docs.join("performance.svg"), picture::svg(&events))?)
}

fn replaced(page: &str, part: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{part}{END}{after}"))
}

/// The rows of tables that are on one page and not on the other.
fn lost(old: &str, new: &str) -> Vec<String> {
    let rows = |page: &str| -> BTreeSet<String> {
        let cells = |line: &str| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            Some(format!("{}, {}", cells.next()?, cells.next()?))
        };
        page.lines().filter_map(cells).collect()
    };
    rows(old).difference(&rows(new)).cloned().collect()
}

fn part(results: &Results) -> String {
    let Machine { processor, cores, kernel, pagemap_scan } = &results.machine;
    let (events, others) = of_workloads(&results.rows);
    let busiest = results.rows.iter().map(|row| row.load).fold(0.0, f64::max);
    let busy = if busiest > *cores as f64 + 1.0 {
        format!("The machine was busy with other work (load up to {busiest:.1}): the ratios are what counts. ")
    } else {
        String::new()
    };
    let mut text = format!(
        "{processor}, {cores} cores, {kernel}. {busy}`PAGEMAP_SCAN` {} there for wasmtime. Times are medians of the turns, on \
         the calling thread; **bold** is that engine's over ours, the median over the turns: above 1 we are ahead.\n\n",
        if *pagemap_scan { "was" } else { "was not" }
    );
    text += &format!("![Time per event, by engine](performance.svg)\n\n{}\n", table::markdown(&events));
    if !others.is_empty() {
        text += &format!("{}\n", table::markdown(&others));
    }
    for row in &results.rows {
        if let Some(note) = &row.note {
            text += &format!("- {}, {}: {note}.\n", row.name, row.variant);
        }
    }
    text += "\nWhat the workloads do:\n\n";
    for workload in Workload::all() {
        text += &format!("- `{}`: {}.\n", workload.name, workload.about);
    }
    text += "\n<details><summary>Spread: (least; middle half), and what else the machine did</summary>\n\n";
    text += &table::markdown_spread(&results.rows);
    text + "\n</details>\n"
}

/// The rows of workloads in their order, and the others.
fn of_workloads(rows: &[Row]) -> (Vec<Row>, Vec<Row>) {
    let names: Vec<&str> = Workload::all().into_iter().map(|workload| workload.name).collect();
    let (mut events, others): (Vec<Row>, Vec<Row>) =
        rows.iter().cloned().partition(|row| names.contains(&row.name.as_str()));
    let place = |row: &Row| (row.variant != "fresh", names.iter().position(|name| *name == row.name));
    events.sort_by_key(place);
    (events, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_between_the_marks_is_rewritten() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        assert_eq!(replaced(&page, "new\n").unwrap(), format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert!(replaced("no marks", "new").is_none());
    }

    #[test]
    fn rows_that_go_are_told() {
        let old = "| | | ours |\n|---|---|---:|\n| echo-1k | fresh | 1 ns |\n| load | cold | 2 ns |\n";
        let new = "| | | ours |\n|---|---|---:|\n| echo-1k | fresh | 3 ns |\n";
        assert_eq!(lost(old, new), ["load, cold"]);
        assert!(lost(new, old).is_empty());
    }
}

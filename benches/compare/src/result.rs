//! What was measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::Engine;

/// One measurement of every engine that takes part in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// A workload, or what else was measured.
    pub(crate) name: String,
    /// `fresh` or `kept`, or what else there is more than one of.
    pub(crate) variant: String,
    pub(crate) unit: Unit,
    pub(crate) cells: BTreeMap<Engine, Cell>,
    /// What a reader has to know of this row.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) note: Option<String>,
    /// Runnable threads of the whole machine while it was measured, this program's one among them.
    pub(crate) load: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Nanoseconds,
    Bytes,
    /// So many times as much.
    Times,
}

/// One engine's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) value: Spread,
    /// This over ours, turn by turn. Above 1 we are ahead.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) ratio: Option<Spread>,
}

/// How what was measured in the turns is distributed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    /// The first quartile: a quarter is below.
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
}

impl Spread {
    /// Of at least one number.
    pub(crate) fn of(numbers: &[f64]) -> Self {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (sorted.len().saturating_sub(1)) as f64;
            let (low, high) = (place.floor() as usize, place.ceil() as usize);
            match (sorted.get(low), sorted.get(high)) {
                (Some(a), Some(b)) => a + (b - a) * place.fract(),
                _ => f64::NAN,
            }
        };
        Spread { min: at(0.0), q1: at(0.25), median: at(0.5), q3: at(0.75) }
    }
}

impl Row {
    /// From what each engine gave in each turn.
    pub(crate) fn of(name: &str, variant: &str, unit: Unit, turns: &[(Engine, Vec<f64>)]) -> Self {
        let ours = turns.iter().find(|(engine, _)| *engine == Engine::Ours).map(|(_, numbers)| numbers);
        let cells = turns.iter().map(|(engine, numbers)| {
            let ratio = ours.filter(|_| *engine != Engine::Ours).map(|ours| {
                let ratios: Vec<f64> = numbers.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect();
                Spread::of(&ratios)
            });
            (*engine, Cell { value: Spread::of(numbers), ratio })
        });
        Row {
            name: name.to_owned(),
            variant: variant.to_owned(),
            unit,
            cells: cells.collect(),
            note: None,
            load: crate::machine::load(),
        }
    }

    pub(crate) fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_numbers() {
        let spread = Spread::of(&[4.0, 1.0, 2.0, 3.0, 5.0]);
        assert_eq!(spread, Spread { min: 1.0, q1: 2.0, median: 3.0, q3: 4.0 });
        assert_eq!(Spread::of(&[1.0, 2.0]).median, 1.5);
        assert_eq!(Spread::of(&[7.0]).q3, 7.0);
    }

    #[test]
    fn ratios_are_taken_turn_by_turn() {
        let turns = [(Engine::Ours, vec![1.0, 10.0]), (Engine::Extism, vec![2.0, 20.0])];
        let row = Row::of("x", "fresh", Unit::Nanoseconds, &turns);
        assert_eq!(row.cells[&Engine::Extism].ratio.unwrap().median, 2.0);
        assert!(row.cells[&Engine::Ours].ratio.is_none());
    }
}

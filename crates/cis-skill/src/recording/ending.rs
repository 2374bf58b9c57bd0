//! What came of a recorded event: all of it that is the same whenever it is run again.

use bytes::Bytes;
use cis_wasm_host::{Amounts, LogLine};
use cis_wasm_runtime::Outcome;

/// What came of an event, but for how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The response, or why there is none.
    pub result: Result<Bytes, Failure>,
    /// What the skill logged.
    pub log: Vec<LogLine>,
    /// What the host did for it.
    pub used: Amounts,
    /// Fuel used.
    pub fuel: u64,
    /// Linear memory at its end, in bytes.
    pub memory_bytes: u64,
}

/// An error as it stands in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its stable name.
    pub code: String,
    /// Whose fault it is, by name.
    pub fault: String,
    /// What it says.
    pub message: String,
}

impl Ending {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let failure = |error: &cis_wasm_runtime::Error| Failure {
            code: error.code().into(),
            fault: error.fault().name().into(),
            message: error.to_string(),
        };
        Ending {
            result: outcome.result.clone().map_err(|error| failure(&error)),
            log: outcome.log.clone(),
            used: *outcome.receipt.ledger.used(),
            fuel: outcome.receipt.fuel,
            memory_bytes: outcome.receipt.memory_bytes,
        }
    }

    /// Whether the event was stopped by a clock or by whoever had sent it. What it had used by then is chance.
    pub fn was_stopped(&self) -> bool {
        let stops = ["cancelled", "deadline_exceeded", "runtime_closed"];
        self.result.as_ref().is_err_and(|failure| stops.contains(&failure.code.as_str()))
    }

    /// What an operator could see differ in an event that was run again, in words.
    pub(super) fn differences(&self, again: &Ending) -> Vec<String> {
        let mut differences = Vec::new();
        if self.result != again.result {
            let shown = |result: &Result<Bytes, Failure>| match result {
                Ok(bytes) => format!("the response {}", excerpt(&String::from_utf8_lossy(bytes))),
                Err(failure) => format!("the error {}: {}", failure.code, excerpt(&failure.message)),
            };
            differences.push(format!("{}, recorded {}", shown(&again.result), shown(&self.result)));
        }
        if self.log != again.log {
            let at = self.log.iter().zip(&again.log).take_while(|(was, is)| was == is).count();
            let line = |log: &[LogLine]| match log.get(at) {
                Some(line) => format!("[{}] {}", line.level.name(), excerpt(&line.message)),
                None => "nothing more".into(),
            };
            differences.push(format!("log line {at}: {}, recorded {}", line(&again.log), line(&self.log)));
        }
        differences
    }

    /// How the receipts differ, in words.
    pub(super) fn receipt_differences(&self, again: &Ending) -> Vec<String> {
        let host = self.used.iter().zip(again.used.iter()).map(|((resource, was), (_, is))| (resource.name(), was, is));
        let engine = [("fuel", self.fuel, again.fuel), ("memory_bytes", self.memory_bytes, again.memory_bytes)];
        let differing = host.chain(engine).filter(|(_, was, is)| was != is);
        differing.map(|(name, was, is)| format!("{name} {is}, recorded {was}")).collect()
    }
}

/// The beginning of a text, in quotes.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 120;
    let end = text.floor_char_boundary(MOST);
    format!("{:?}{}", &text[..end], if end < text.len() { "…" } else { "" })
}

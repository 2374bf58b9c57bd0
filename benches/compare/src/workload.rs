//! The workloads: the same bytes for every engine.

use serde_json::json;

use crate::Fallible;
use crate::engine::State;

/// One kind of event.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// What the guest calls it.
    pub(crate) kind: &'static str,
    pub(crate) data: Vec<u8>,
    /// What it does, for readers of the table.
    pub(crate) about: &'static str,
    expected: Expected,
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The event's data.
    Data,
    /// So many bytes.
    Bytes(usize),
    /// How many pages had been written to: none in a clean instance, all in one that saw an event before.
    Pages,
    /// How many keys were missing.
    Missing,
}

impl Workload {
    pub(crate) fn all() -> Vec<Workload> {
        let workload = |name, kind, data, about, expected| Workload { name, kind, data, about, expected };
        vec![
            workload("echo-1k", "echo", filler(1 << 10), "1 KiB in, the same out", Expected::Data),
            workload(
                "agent-step",
                "agent_step",
                step(),
                "1 KiB JSON in, memory get 256 B, parse, log a line, memory set 256 B, 512 B JSON out",
                Expected::Bytes(512),
            ),
            workload("wide-64", "write_pages", Vec::new(), "writes to 64 pages of 4 KiB", Expected::Pages),
            workload("bulk-1m", "echo", filler(1 << 20), "1 MiB in, the same out", Expected::Data),
            workload(
                "host-1000",
                "host_1000",
                Vec::new(),
                "1,000 times memory get of a missing key",
                Expected::Missing,
            ),
            workload("compute", "compute", Vec::new(), "SHA-256 of 1 MiB", Expected::Bytes(32)),
        ]
    }

    /// Of all workloads, the one of this name.
    pub(crate) fn named(name: &str) -> Option<Workload> {
        Workload::all().into_iter().find(|workload| workload.name == name)
    }

    /// The same data for another of the guest's handlers.
    pub(crate) fn called(self, kind: &'static str) -> Self {
        Workload { kind, ..self }
    }

    /// Refuses an answer that is not the workload's.
    pub(crate) fn check(&self, answer: &[u8], state: State, earlier_events: usize) -> Fallible<()> {
        let right = match self.expected {
            Expected::Data => answer == self.data,
            Expected::Bytes(len) => answer.len() == len,
            Expected::Missing => answer == 1000_u32.to_le_bytes(),
            Expected::Pages => {
                let written = if state == State::Kept && earlier_events > 0 { 64_u32 } else { 0 };
                answer == written.to_le_bytes()
            }
        };
        if right {
            return Ok(());
        }
        Err(format!("{}, {}: a wrong answer of {} bytes", self.name, state.name(), answer.len()).into())
    }
}

/// Bytes that look like any others.
fn filler(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 % 251) as u8).collect()
}

/// A step of an agent, 1 KiB of JSON.
fn step() -> Vec<u8> {
    let step = |padding: usize| {
        let said =
            "could you look at what we noted about the harbour and say which boats are due before the tide turns";
        json!({
            "user": "ada",
            "goal": "find out which boats are due today and tell the harbour master",
            "budget": { "tokens": 4096, "calls": 8 },
            "tools": ["search", "notes", "calendar", "mail", "weather"],
            "messages": [
                { "role": "system", "content": "You are the harbour's assistant. Answer in one sentence. Name your source." },
                { "role": "user", "content": said },
                { "role": "assistant", "content": "Three boats are due: the Marie, the Hopewell and the Curlew, by the notes of this morning." },
                { "role": "user", "content": format!("{said}; and {}", "x".repeat(padding)) },
                { "role": "assistant", "content": "The tide turns at four; the Curlew will be late." },
                { "role": "user", "content": "Then write to the master of the Curlew." },
            ],
        })
        .to_string()
    };
    let bare = step(0).len();
    step(1024_usize.saturating_sub(bare)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_kibibyte() {
        assert_eq!(step().len(), 1024);
    }

    #[test]
    fn a_page_that_another_event_wrote_is_found() {
        let pages = Workload::named("wide-64").unwrap();
        let (none, all) = (0_u32.to_le_bytes(), 64_u32.to_le_bytes());
        assert!(pages.check(&none, State::Fresh, 3).is_ok());
        assert!(pages.check(&all, State::Fresh, 3).is_err());
        assert!(pages.check(&all, State::Kept, 1).is_ok());
    }
}

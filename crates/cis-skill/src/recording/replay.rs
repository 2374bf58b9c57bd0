//! Running a recorded event again.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use cis_wasm_abi::{ValType, import};
use cis_wasm_host::{Answer, Host, HostError, HostReply, Journal, JournalEntry, SkillScope};
use cis_wasm_runtime::{Compiler, Error, ErrorKind as RuntimeErrorKind, LoadSpec, Outcome, WasmRuntime};

use super::{Ending, Parts, bad};
use crate::wasm::answer;
use crate::{Response, Result};

/// How a recording is replayed. The default runs the recorded module on the recorded compiler, or, where this build does
/// not have it, on its default one.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Replay {
    compiler: Option<Compiler>,
    module: Option<Bytes>,
    until: Option<usize>,
    edits: Vec<(usize, HostReply)>,
}

impl Replay {
    /// The default.
    pub fn new() -> Self {
        Replay::default()
    }

    /// The compiler.
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// A module to run in place of the recorded one. It is the same as long as it makes the same calls and ends the same;
    /// it may use more or less for that.
    pub fn module(mut self, wasm: impl Into<Bytes>) -> Self {
        self.module = Some(wasm.into());
        self
    }

    /// Stops before a host call, by its number from 0.
    pub fn until(mut self, call: usize) -> Self {
        self.until = Some(call);
        self
    }

    /// Answers a host call, by its number from 0, with something else.
    pub fn edit(mut self, call: usize, reply: HostReply) -> Self {
        self.edits.push((call, reply));
        self
    }
}

/// What came of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// What the skill answered, with log and receipt. The time in the receipt is that of the replay.
    pub result: Result<Response>,
    /// The same, to be compared with [`Recording::ending`](super::Recording::ending).
    pub ending: Ending,
    /// How it compares with the recording.
    pub verdict: Verdict,
    /// How many host calls were answered.
    pub calls: usize,
    /// The compiler it ran on.
    pub compiler: Compiler,
}

/// How a replay compares with its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is the same: calls, response, log and receipt.
    Same,
    /// The recorded event was stopped by its deadline or by its sender. Up to there it is the same.
    SameUntilStopped,
    /// It was stopped before a host call, as it was told to.
    StoppedBefore {
        /// The number of the call, from 0.
        call: usize,
    },
    /// It is not the same.
    Different {
        /// How, in words: the first host call that differs, or else what came of the event.
        differences: Vec<String>,
    },
    /// Replies were edited.
    Edited {
        /// What the run did otherwise, in words.
        differences: Vec<String>,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Same => f.write_str("the same as recorded"),
            Verdict::SameUntilStopped => {
                f.write_str("the same as recorded, up to where the recorded event was stopped")
            }
            Verdict::StoppedBefore { call } => write!(f, "stopped before host call {call}"),
            Verdict::Different { differences } => write!(f, "not as recorded: {}", differences.join("; ")),
            Verdict::Edited { differences } if differences.is_empty() => {
                f.write_str("with the edited reply: the same as recorded")
            }
            Verdict::Edited { differences } => write!(f, "with the edited reply: {}", differences.join("; ")),
        }
    }
}

pub(super) fn replay(parts: &Parts, replay: &Replay) -> Result<Replayed> {
    let compiler = replay.compiler.or_else(|| Compiler::from_name(&parts.compiler).ok()).unwrap_or_default();
    let runtime = WasmRuntime::builder().compiler(compiler).workers(1).build()?;
    let module = replay.module.as_ref().unwrap_or(&parts.module);
    let instance = runtime.load(module, spec(parts))?;

    let edited = edited(parts, &replay.edits)?;
    let end = replay.until.unwrap_or(edited.len()).min(edited.len());
    let journal = match replay.edits.is_empty() {
        true => Journal::replay(&edited[..end]),
        false => Journal::what_if(&edited[..end]),
    };
    let event = &parts.event;
    let mut outcome = instance.run_with(event.event_type(), event.data(), journal);
    outcome.receipt.limits = parts.limits.engine;
    let ending = Ending::of(&outcome);
    let verdict = verdict(parts, replay, end, &outcome, &ending);
    let calls = outcome.journal.answered();
    Ok(Replayed { ending, verdict, calls, compiler, result: answer(outcome) })
}

/// What the module is loaded with: nothing that reaches out, and no clock.
fn spec(parts: &Parts) -> LoadSpec {
    let mut scope = SkillScope::new(parts.skill.clone());
    scope.budget = parts.limits.budget;
    scope.quota = parts.limits.quota;
    scope.config = parts.config.clone();
    let mut spec = LoadSpec::new(scope, Host::default());
    spec.limits = parts.limits.engine;
    spec.limits.deadline = Duration::MAX;
    if parts.ending.was_stopped() {
        // What stopped it is not here to stop it again.
        spec.limits.fuel = spec.limits.fuel.min(parts.ending.fuel);
    }
    spec.state = parts.state;
    spec.recorded = true;
    spec.init = Some(parts.init.clone());
    spec
}

/// The recorded calls, with edits.
fn edited(parts: &Parts, edits: &[(usize, HostReply)]) -> Result<Vec<JournalEntry>> {
    let mut entries = parts.calls.to_vec();
    let recorded = entries.len();
    for (call, reply) in edits {
        let Some(entry) = entries.get_mut(*call) else {
            return Err(bad(format!(
                "there is no host call {call} to edit: the recording has {recorded}, counted from 0"
            )));
        };
        let name = entry.call.name();
        let packed = import(name).is_some_and(|import| import.result == Some(ValType::I64));
        entry.answer = match reply {
            HostReply::Bytes(_) if !packed => {
                return Err(bad(format!("host call {call}, {name}, answers a status, not bytes")));
            }
            HostReply::Status(status) if status.is_error() => {
                Answer::Refused { status: *status, message: "edited for a replay".into() }
            }
            reply => Answer::Replied(reply.clone()),
        };
    }
    Ok(entries)
}

fn verdict(parts: &Parts, replay: &Replay, end: usize, outcome: &Outcome, ending: &Ending) -> Verdict {
    let host_error = outcome.result.as_ref().err().and_then(|error| match error.kind() {
        RuntimeErrorKind::Host(error) => Some(error),
        _ => None,
    });
    let beyond = matches!(host_error, Some(HostError::NotJournalled { index, .. }) if *index == end);
    if beyond && end < parts.calls.len() {
        return Verdict::StoppedBefore { call: end };
    }
    if !replay.edits.is_empty() {
        let noted =
            outcome.journal.differences().iter().map(|(call, difference)| format!("host call {call}: {difference}"));
        let mut differences: Vec<String> = noted.collect();
        match host_error {
            Some(HostError::Diverged { index, difference }) => {
                differences.push(format!("the recording has no answer to host call {index}: {difference}"));
            }
            Some(HostError::NotJournalled { .. }) => {
                differences.extend(outcome.result.as_ref().err().map(Error::to_string))
            }
            _ => {
                differences.extend(unmade(outcome));
                differences.extend(parts.ending.differences(ending));
            }
        }
        return Verdict::Edited { differences };
    }
    match host_error {
        Some(error @ HostError::Diverged { .. }) => return Verdict::Different { differences: vec![error.to_string()] },
        Some(error @ HostError::NotJournalled { index, .. }) => {
            let waited = parts.calls.get(*index).is_some_and(|entry| entry.answer == Answer::Unanswered);
            return match parts.ending.was_stopped() && (waited || *index == parts.calls.len()) {
                true => until_stopped(parts, ending),
                false => Verdict::Different { differences: vec![error.to_string()] },
            };
        }
        _ => {}
    }
    if let Some(unmade) = unmade(outcome) {
        return Verdict::Different { differences: vec![unmade] };
    }
    if parts.ending.was_stopped() {
        return until_stopped(parts, ending);
    }
    let mut differences = parts.ending.differences(ending);
    if replay.module.as_ref().is_none_or(|module| *module == parts.module) {
        differences.extend(parts.ending.receipt_differences(ending));
    }
    if differences.is_empty() { Verdict::Same } else { Verdict::Different { differences } }
}

/// The first recorded call that the run did not make, when its guest had the time to.
fn unmade(outcome: &Outcome) -> Option<String> {
    outcome.journal.finish().err().map(|error| error.to_string())
}

/// Up to where it was stopped, an event has logged what it logged.
fn until_stopped(parts: &Parts, ending: &Ending) -> Verdict {
    if parts.ending.log == ending.log {
        return Verdict::SameUntilStopped;
    }
    let same_result = Ending { result: parts.ending.result.clone(), ..ending.clone() };
    Verdict::Different { differences: parts.ending.differences(&same_result) }
}

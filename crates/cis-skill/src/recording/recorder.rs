//! What an event carries along to be recorded.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use cis_wasm_host::{Answer, Host, HostError, Journal, JournalEntry, Secrets, encode_journal};
use cis_wasm_runtime::{ErrorKind as RuntimeErrorKind, Outcome, State, WasmInstance};

use super::ending::Ending;
use super::file;
use super::{Parts, Recording};
use crate::options::Plan;
use crate::{ErrorKind, Event, Manifest, Result};

/// Takes the recordings of the events that carry it: see [`Event::recorded_by`]. Clones are the same recorder.
///
/// An event ends as it would without it. Each attempt of a durable event leaves a recording; attempts in another process,
/// and after a [`retry`](crate::SkillManager::retry), do not know the recorder. What could not be recorded is an error in its place:
///
/// - The skill was not loaded with [`LoadOptions::recordable`](crate::LoadOptions::recordable), or is native.
/// - The skill is kept, and this was not the first event since it was loaded: what it did depends on the events before.
/// - The event is a durable one that was resumed, and is not the one in its journal any more: another module was loaded.
/// - A secret of the host would be in the recording, because the skill was told it by the event, its settings, the AI or
///   its memory.
#[derive(Clone, Default)]
pub struct Recorder {
    taken: Arc<Mutex<Vec<Result<Recording>>>>,
}

impl Recorder {
    /// A recorder that has taken nothing yet.
    pub fn new() -> Self {
        Recorder::default()
    }

    /// What was recorded so far, in the order in which events ended, and forgets it.
    ///
    /// # Errors
    ///
    /// In each place: [`ErrorKind::CannotRecord`].
    pub fn take(&self) -> Vec<Result<Recording>> {
        std::mem::take(&mut self.taken())
    }

    pub(crate) fn add(&self, recording: Result<Recording>) {
        self.taken().push(recording);
    }

    fn taken(&self) -> MutexGuard<'_, Vec<Result<Recording>>> {
        // A push is all that is done under the lock.
        self.taken.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder({})", self.taken().len())
    }
}

/// What a skill that can be recorded keeps for that.
pub(crate) struct Recordable {
    pub(crate) module: Bytes,
    pub(crate) compiler: &'static str,
}

/// The journal of an event that is recorded.
pub(crate) fn journal() -> Journal {
    Journal::record().traced()
}

/// Makes the recording of an event that has ended.
pub(crate) fn recording(
    recordable: Option<&Recordable>,
    plan: &Plan,
    instance: &WasmInstance,
    host: &Host,
    event: &Event,
    outcome: &Outcome,
) -> Result<Recording> {
    let Some(Recordable { module, compiler }) = recordable else {
        return Err(cannot(
            "the skill was not loaded to be recorded; `LoadOptions::recordable(true)` has it keep its module",
        ));
    };
    if outcome.journal.is_off() {
        return Err(cannot(match plan.manifest.state {
            State::Kept => {
                "a kept skill's event depends on the events before it; only its first one after loading can be recorded"
            }
            State::Fresh => "the event did not run",
        }));
    }
    if let Err(error) = &outcome.result
        && matches!(error.kind(), RuntimeErrorKind::Host(HostError::Diverged { .. }))
    {
        return Err(cannot(format!("it went on from a journal that is not its own: {error}")));
    }
    let calls = made(&outcome.journal);
    let (times, refused, rests) = match outcome.journal.trace() {
        Some(trace) => (trace.calls().to_vec(), trace.refused().to_vec(), trace.rests().to_vec()),
        None => Default::default(),
    };
    let times = times.into_iter().take(calls.len()).collect();
    let refused = refused.into_iter().filter(|refused| refused.before <= calls.len()).collect();
    let manifest = Manifest { permissions: plan.scope.grants.clone(), limits: plan.limits, ..(*plan.manifest).clone() };
    let parts = Parts {
        skill: plan.scope.name.clone(),
        compiler: (*compiler).into(),
        state: plan.manifest.state,
        manifest: manifest.to_string(),
        limits: plan.limits,
        config: plan.scope.config.clone(),
        module: module.clone(),
        event: event.clone().unrecorded(),
        init: instance.init_journal().clone(),
        init_log: instance.init_log().to_vec(),
        calls: calls.into(),
        times,
        refused,
        rests,
        ending: Ending::of(outcome),
        wall_us: u64::try_from(outcome.receipt.wall.as_micros()).unwrap_or(u64::MAX),
    };
    without_secrets(&parts, host.secrets())?;
    Ok(Recording { inner: Arc::new(parts) })
}

/// The calls that an event made. One that goes on from a journal and is stopped before it has come to the
/// journal's end has not made them all.
fn made(journal: &Journal) -> &[JournalEntry] {
    let (answered, entries) = journal.entries().split_at(journal.answered());
    let waits = entries.first().is_some_and(|entry| entry.answer == Answer::Unanswered);
    if waits { &journal.entries()[..answered.len() + 1] } else { answered }
}

/// Refuses a recording with a secret in it. Cutting the secret out would make it one of another event.
fn without_secrets(parts: &Parts, secrets: &Secrets) -> Result<()> {
    let refuse = |name: &str, place: String| {
        Err(cannot(format!(
            "the secret `{name}` would be in the recording: it is in {place}, where the skill can see it"
        )))
    };
    if let Some(name) = secrets.found_in(&parts.module) {
        return refuse(name, "the module".into());
    }
    if let Some(name) = secrets.found_in(parts.event.event_type().as_bytes()).or(secrets.found_in(parts.event.data())) {
        return refuse(name, "the event".into());
    }
    let journals = [("skill_init's", &parts.init), ("the event's", &parts.calls)];
    for (whose, entries) in journals {
        for (index, entry) in entries.iter().enumerate() {
            let bytes = encode_journal(std::slice::from_ref::<JournalEntry>(entry));
            if let Some(name) = secrets.found_in(&bytes) {
                return refuse(name, format!("{whose} host call {index}, {}", entry.call.name()));
            }
        }
    }
    match secrets.found_in(&file::write(parts)) {
        Some(name) => refuse(name, "the skill's settings, manifest or response".into()),
        None => Ok(()),
    }
}

pub(crate) fn cannot(why: impl Into<String>) -> crate::Error {
    ErrorKind::CannotRecord { why: why.into() }.into()
}

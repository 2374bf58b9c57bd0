//! The attempts that a durable event has, and what follows from how each of them ends.
//!
//! What fails by chance, a backend that is down for one, may not fail a little later. So a second attempt comes after the
//! time for which a failed skill is left alone, and each further one after twice as long.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cis_wasm_host::{DurableEvent, EventEnd, EventId, HostError, Journal, JournalEntry, JournalStore};
use cis_wasm_runtime::{ErrorKind as EngineErrorKind, WasmRuntime};
use futures_channel::oneshot;

use super::config::Rules;
use super::durable::not_kept;
use super::in_air::Flying;
use super::routing::run;
use super::slot::{Admission, Slot};
use crate::event::JournalCell;
use crate::{ErrorKind, Event, Response, Result};

/// An event that is about to run, for as often as it takes.
pub(super) struct Attempts {
    pub(super) event: DurableEvent,
    pub(super) flying: Flying,
    slot: Arc<Slot>,
    plain: Event,
    cell: JournalCell,
    runtime: WasmRuntime,
    rules: Rules,
}

/// The shortest time that an event waits for a failed skill that another event is trying.
const A_MOMENT: Duration = Duration::from_millis(10);

impl Attempts {
    /// Also lets the event in, for the first of them.
    pub(super) fn new(
        slot: Arc<Slot>,
        (event, flying): (DurableEvent, Flying),
        plain: Event,
        journal: Vec<JournalEntry>,
        runtime: WasmRuntime,
        rules: Rules,
    ) -> Result<(Self, Admission)> {
        let cell: JournalCell = Arc::new(Mutex::new(Some(Journal::durable(event.clone(), journal))));
        let attempts = Attempts { event, flying, slot, plain, cell, runtime, rules };
        let admission = attempts.admit()?;
        Ok((attempts, admission))
    }

    fn admit(&self) -> Result<Admission> {
        self.slot.admit(self.plain.clone().journalled(&self.cell))
    }

    /// Brings an event that has run to its end, with more attempts where it failed.
    pub(super) async fn settle(&self, mut result: Result<Response>) -> Settled {
        let (store, id) = (self.event.store(), self.event.id());
        loop {
            match Next::after(&result) {
                Next::Left => return Settled::Over(result),
                Next::Ended(end) => {
                    let journal = self.cell.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
                    if journal.is_some_and(|journal| journal.is_determined()) {
                        return Settled::Ended { result, store: store.clone(), id, end };
                    }
                    return Settled::Over(store.done(id, end).await.map_err(not_kept).and(result));
                }
                Next::Failed(why) => match store.failed(id, why, self.rules.durable_attempts).await {
                    Err(error) => return Settled::Over(Err(not_kept(error))),
                    Ok(None) => return Settled::Over(result),
                    Ok(Some(kept)) => {
                        let journal = Journal::durable(self.event.clone(), kept.journal);
                        *self.cell.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(journal);
                        result = match self.admit_later(kept.failures).await {
                            Ok(admission) => run(admission).await,
                            Err(refused) => return Settled::Over(Err(refused)),
                        };
                    }
                },
            }
        }
    }

    /// Lets the event in again after some rest, and not before its skill, if that is failed, may be tried.
    async fn admit_later(&self, failures: u32) -> Result<Admission> {
        let (policy, in_air) = (&self.rules.failures, self.flying.all());
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        let mut time = policy.back_off.saturating_mul(doubled).min(policy.longest_back_off);
        loop {
            in_air.rest(&self.runtime, time).await;
            match self.admit() {
                Err(refused) if !in_air.is_closing() => match refused.kind() {
                    ErrorKind::BackingOff { health, .. } => time = health.back_off.unwrap_or_default().max(A_MOMENT),
                    _ => return Err(refused),
                },
                admitted => return admitted,
            }
        }
    }
}

/// What became of an event.
pub(super) enum Settled {
    /// Its outcome, about which there is nothing more to do.
    Over(Result<Response>),
    /// It has ended, and would end like this again; that it has is yet to be stored.
    Ended { result: Result<Response>, store: Arc<dyn JournalStore>, id: EventId, end: EventEnd },
}

impl Settled {
    pub(super) async fn tell(self, outcome: oneshot::Sender<Result<Response>>, flying: Flying) {
        match self {
            Settled::Over(result) => {
                // Whoever learns the outcome can resume the event at once.
                drop(flying);
                // Nobody may be waiting any more.
                drop(outcome.send(result));
            }
            Settled::Ended { result, store, id, end } => {
                drop(outcome.send(result));
                if let Err(error) = store.done(id, end).await {
                    tracing::warn!(target: "cis_skill", event = %id, "a durable event's end was not stored: {error}");
                }
            }
        }
    }
}

/// What follows from how an attempt ended.
enum Next {
    Ended(EventEnd),
    Failed(String),
    /// It stays unfinished: the event did not fail, it did not get to its end.
    Left,
}

impl Next {
    fn after(result: &Result<Response>) -> Next {
        let error = match result {
            Ok(response) => return Next::Ended(EventEnd { error: None, body: Some(response.body().clone()) }),
            Err(error) => error,
        };
        let ended = || Next::Ended(EventEnd { error: Some(error.code().into()), body: Some(error.to_string().into()) });
        match error.kind() {
            ErrorKind::Runtime(engine) => match engine.kind() {
                EngineErrorKind::SkillFailed { .. } => ended(),
                EngineErrorKind::Cancelled
                | EngineErrorKind::RuntimeClosed
                | EngineErrorKind::Host(HostError::NotStored { .. }) => Next::Left,
                _ => Next::Failed(error.to_string()),
            },
            ErrorKind::BackingOff { .. }
            | ErrorKind::EventWithdrawn { .. }
            | ErrorKind::NotActive { .. }
            | ErrorKind::NotDurable { .. }
            | ErrorKind::QueueFull { .. }
            | ErrorKind::ShutDown
            | ErrorKind::UnknownSkill { .. } => Next::Left,
            _ => Next::Failed(error.to_string()),
        }
    }
}

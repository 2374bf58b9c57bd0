//! A skill's place in the manager: its state, its version, its queue and its counts.
//!
//! Invariant: the lock is held for a few steps of bookkeeping only. No guest, backend, native skill or other lock is
//! reached while it is held, except [`Version`]'s count of flights.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use cis_wasm_host::SkillName;
use futures_channel::oneshot;

use super::config::Rules;
use super::flight::{Flight, Version};
use super::health::{Health, Trial, Verdict};
use super::info::{EventCounts, SkillInfo, Standing};
use super::lifecycle::{SkillState, Transition};
use super::queue::{Queue, Queued, Ticket};
use crate::{Error, ErrorKind, Event, Response, Result};

pub(super) struct Slot {
    name: SkillName,
    inner: Mutex<Inner>,
}

struct Inner {
    state: SkillState,
    version: Arc<Version>,
    /// Replaced versions on which something may still fly.
    retired: Vec<Arc<Version>>,
    queue: Queue,
    counts: EventCounts,
    health: Health,
}

/// What becomes of a new event.
pub(super) enum Admission {
    /// It may run.
    Run(Ticket),
    /// It is queued; its ticket comes when the skill is resumed.
    Wait(oneshot::Receiver<Result<Ticket>>),
}

impl Slot {
    pub(super) fn new(name: SkillName, version: Version, state: SkillState, rules: &Rules) -> Self {
        let inner = Inner {
            state,
            version: Arc::new(version),
            retired: Vec::new(),
            queue: Queue::new(rules.queue_bound),
            counts: EventCounts::default(),
            health: Health::new(rules.failures),
        };
        Slot { name, inner: Mutex::new(inner) }
    }

    pub(super) fn name(&self) -> &SkillName {
        &self.name
    }

    /// Lets an event in, queues it, or refuses it, as the state says.
    pub(super) fn admit(self: &Arc<Self>, event: Event) -> Result<Admission> {
        let mut inner = self.inner();
        let run = |version, trial, event| Admission::Run(Ticket::Ready(Flight::begin(self, version, trial), event));
        match inner.state {
            SkillState::Active => Ok(run(&inner.version, inner.health.trial(), event)),
            SkillState::Failed => {
                let now = Instant::now();
                match inner.health.try_again(now) {
                    Some(trial) => Ok(run(&inner.version, trial, event)),
                    None => {
                        Err(ErrorKind::BackingOff { skill: self.name.clone(), health: inner.health.info(now) }.into())
                    }
                }
            }
            SkillState::Paused => match inner.queue.push(event) {
                Some(ticket) => Ok(Admission::Wait(ticket)),
                None => Err(ErrorKind::QueueFull { skill: self.name.clone(), bound: inner.queue.bound() }.into()),
            },
            state @ (SkillState::Inactive | SkillState::Unloading) => {
                Err(ErrorKind::NotActive { skill: self.name.clone(), state }.into())
            }
        }
    }

    /// Changes the state, and serves or gives back the queued events as the new one says.
    pub(super) fn apply(self: &Arc<Self>, transition: Transition) -> Result<()> {
        let (state, queued) = {
            let mut inner = self.inner();
            let from = inner.state;
            let Some(state) = transition.from(from) else { return Err(self.illegal(transition, from)) };
            inner.state = state;
            if from == SkillState::Failed || transition == Transition::Activate {
                inner.health.begin_anew();
            }
            let queued: Vec<(Queued, Option<Flight>)> = match transition {
                Transition::Reload => Vec::new(),
                Transition::Resume => {
                    let queued = inner.queue.take();
                    let flight = |queued| (queued, Some(Flight::begin(self, &inner.version, inner.health.trial())));
                    queued.into_iter().map(flight).collect()
                }
                _ => inner.queue.take().into_iter().map(|queued| (queued, None)).collect(),
            };
            (state, queued)
        };
        for (queued, flight) in queued {
            match flight {
                Some(flight) => queued.serve(flight),
                None => queued.refuse(ErrorKind::EventWithdrawn { skill: self.name.clone(), state }.into()),
            }
        }
        Ok(())
    }

    /// Answers all queued events that the manager has shut down.
    pub(super) fn give_back_queue(&self) {
        let queued = self.inner().queue.take();
        for queued in queued {
            queued.refuse(ErrorKind::ShutDown.into());
        }
    }

    /// The version that takes new events.
    pub(super) fn version(&self) -> Arc<Version> {
        self.inner().version.clone()
    }

    /// Whether a transition is legal now.
    pub(super) fn check(&self, transition: Transition) -> Result<()> {
        let state = self.inner().state;
        transition.from(state).map(drop).ok_or_else(|| self.illegal(transition, state))
    }

    /// Puts a new version in the place of the current one, which is handed back for its retirement.
    pub(super) fn replace(&self, version: Version) -> Result<Arc<Version>> {
        let mut inner = self.inner();
        let state = inner.state;
        inner.state = Transition::Reload.from(state).ok_or_else(|| self.illegal(Transition::Reload, state))?;
        inner.health.begin_anew();
        let old = std::mem::replace(&mut inner.version, Arc::new(version));
        inner.retired.retain(|retired| retired.flights() > 0);
        inner.retired.push(old.clone());
        Ok(old)
    }

    /// Waits until nothing flies on any version, then runs the shutdown hook of the current one.
    pub(super) async fn close(&self) -> Result<()> {
        let (version, retired) = {
            let inner = self.inner();
            (inner.version.clone(), inner.retired.clone())
        };
        for version in &retired {
            version.clear().await;
        }
        version.clear().await;
        version.shut_down().await
    }

    /// Counts an event that ended with a result.
    pub(super) fn tally(&self, trial: Trial, result: &Result<Response>) {
        let receipt = match result {
            Ok(response) => response.receipt(),
            Err(error) => error.receipt(),
        };
        let mut inner = self.inner();
        let counts = &mut inner.counts;
        counts.peak_memory_bytes = counts.peak_memory_bytes.max(receipt.map_or(0, |receipt| receipt.memory_bytes));
        match result {
            Ok(_) => counts.ok += 1,
            Err(error) => {
                counts.failed += 1;
                counts.last_error = Some(error.code());
            }
        }
        self.judge(inner, trial, Verdict::of(result));
    }

    /// Counts an event whose sender stopped waiting.
    pub(super) fn tally_cancelled(&self, trial: Trial) {
        let mut inner = self.inner();
        inner.counts.cancelled += 1;
        self.judge(inner, trial, Verdict::None);
    }

    /// Draws the consequences of how an event ended, and says so when there are any.
    fn judge(&self, mut inner: MutexGuard<'_, Inner>, trial: Trial, verdict: Verdict) {
        let (before, now) = (inner.state, Instant::now());
        let after = inner.health.judge(before, trial, verdict, now);
        inner.state = after;
        let health = inner.health.info(now);
        drop(inner);
        match (before, after) {
            (SkillState::Active, SkillState::Failed) => {
                let (failures, last) = (health.failures_in_a_row, health.last_failure);
                let back_off = health.back_off.unwrap_or_default();
                tracing::warn!(target: "cis_skill", skill = %self.name, failures, last, ?back_off, "the skill is failed");
            }
            (SkillState::Failed, SkillState::Active) => {
                tracing::info!(target: "cis_skill", skill = %self.name, "the skill works again");
            }
            _ => {}
        }
    }

    pub(super) fn subscribes(&self, event_type: &str) -> bool {
        let (state, version) = {
            let inner = self.inner();
            (inner.state, inner.version.clone())
        };
        let open = matches!(state, SkillState::Active | SkillState::Failed | SkillState::Paused);
        open && version.skill.subscriptions().contains(&event_type)
    }

    pub(super) fn info(&self) -> SkillInfo {
        let (version, standing) = {
            let inner = self.inner();
            let standing = Standing {
                state: inner.state,
                health: inner.health.info(Instant::now()),
                running: inner.retired.iter().chain([&inner.version]).map(|version| version.flights()).sum(),
                queued: inner.queue.len(),
                events: inner.counts,
            };
            (inner.version.clone(), standing)
        };
        SkillInfo::new(&version, standing)
    }

    fn illegal(&self, transition: Transition, from: SkillState) -> Error {
        ErrorKind::IllegalTransition { skill: self.name.clone(), transition, from }.into()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock, and each change is whole by itself.
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

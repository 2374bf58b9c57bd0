//! Events that survive the process.
//!
//! An event is accepted by the host's [`JournalStore`] and handled meanwhile; the workers go on with it whether or not
//! anyone waits. It is unfinished until its end is in the store. An event whose outcome was told has its effects in the
//! store, and would come to the same end again.
//!
//! An event may be what ended its process: a backend that aborts, for one. So a resumed event is counted in the store
//! before it begins, and after so many times it is a dead letter. What was in flight with it is resumed as often as it at
//! first; therefore events that were resumed before take turns, and only the one that has its turn can be counted.
//!
//! Invariant: an event runs once at a time. Its number is in [`InAir`](super::in_air::InAir) for as long as it is this
//! process's affair.

use std::future::Future;
use std::sync::Arc;

use cis_wasm_host::{
    BackendError, DeadLetter, DurableEvent, EventEnd, EventId, EventToKeep, JournalEntry, JournalStore, KeptEvent,
    SkillName,
};
use cis_wasm_runtime::State;
use futures_channel::oneshot;
use futures_util::future::try_join;

use super::SkillManager;
use super::attempts::Attempts;
use super::in_air::Flying;
use super::routing::{lost, run, turn};
use super::slot::{Admission, Slot};
use crate::wasm::kept;
use crate::{Error, ErrorKind, Event, Response, Result};

/// A durable event that was accepted. Dropping it lets the event go on unwatched.
#[derive(Debug)]
pub struct DurableHandle {
    id: EventId,
    outcome: oneshot::Receiver<Result<Response>>,
}

impl DurableHandle {
    /// The event's number, by which [`SkillManager::durable_end`] knows it also after a restart.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// How the event ends.
    ///
    /// # Errors
    ///
    /// The skill's own error ends the event. With [`ErrorKind::NotActive`], [`ErrorKind::BackingOff`],
    /// [`ErrorKind::QueueFull`], [`ErrorKind::EventWithdrawn`], [`ErrorKind::ShutDown`] and [`ErrorKind::NotKept`] it is
    /// unfinished, and [`SkillManager::recover`] resumes it. After any other it is a dead letter.
    pub async fn outcome(self) -> Result<Response> {
        self.outcome.await.unwrap_or_else(|_| Err(lost()))
    }
}

/// An event that an earlier process, or an earlier attempt, left unfinished.
#[derive(Debug)]
pub struct Recovered {
    /// Its number.
    pub id: EventId,
    /// The skill it was sent to.
    pub skill: SkillName,
    /// The event.
    pub event: Event,
    /// It goes on, or why it cannot: it stays unfinished then. With [`ErrorKind::ResumedTooOften`] it became a dead letter.
    pub outcome: Result<DurableHandle>,
}

impl SkillManager {
    /// Sends a fresh skill an event that survives the process. The future is ready when the event is accepted: from then
    /// on it is handled to its end, now or, after [`recover`](Self::recover), by a later process. Its changes of memory are
    /// made once. AI and HTTP requests are made at least once, with an idempotency key, and never again when their reply
    /// was kept.
    ///
    /// The host needs a store for it: [`HostBuilder::durable`](crate::HostBuilder::durable). The event is on its way from
    /// this call on; dropping the future does not take it back.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use cis_skill::{Event, Host, LoadOptions, RedbMemory, SkillManager};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("agent.redb");
    /// # let wasm_bytes = wat::parse_str(r#"(module (memory (export "memory") 1) (data (i32.const 16) "hello")
    /// #     (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
    /// #         (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 5))))"#)?;
    /// # pollster::block_on(async {
    /// let manager = SkillManager::new(Host::builder().durable(Arc::new(RedbMemory::open(path)?)).build())?;
    /// manager.load_wasm("hello", &wasm_bytes, LoadOptions::default())?;
    /// for left_over in manager.recover().await? {
    ///     println!("event {} of {} goes on", left_over.id, left_over.skill);
    /// }
    /// let accepted = manager.send_event_durable("hello", Event::tick(0)).await?;
    /// assert_eq!(accepted.outcome().await?.text()?, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotDurable`] for a kept or native skill and without a store, [`ErrorKind::NotKept`] when the store
    /// cannot be written, and when the skill takes no events, as for [`send_event`](Self::send_event). The event was not
    /// accepted then, and did nothing.
    pub fn send_event_durable(
        &self,
        skill: &str,
        event: Event,
    ) -> impl Future<Output = Result<DurableHandle>> + Send + 'static + use<> {
        let begun = self.begin(skill, event);
        async move {
            let (accepted, handle) = begun?;
            accepted.await.unwrap_or_else(|_| Err(lost()))?;
            Ok(handle)
        }
    }

    /// Resumes the durable events that earlier processes left unfinished, and those that were refused in this one. To be
    /// called when the skills are loaded; an event of a skill that is not there stays as it is.
    ///
    /// An event that was resumed before and came no further takes turns with others of its kind, so that one which takes the
    /// process down takes none of them along; and after [`ManagerBuilder::durable_recoveries`](crate::ManagerBuilder) times
    /// it becomes a dead letter.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotDurable`] without a store, and [`ErrorKind::NotKept`] when it cannot be read.
    pub async fn recover(&self) -> Result<Vec<Recovered>> {
        let mut all = Vec::new();
        for kept in self.events()?.unfinished().await.map_err(not_kept)? {
            all.extend(self.go_on(kept).await);
        }
        Ok(all)
    }

    /// The durable events that failed too often to be tried again.
    ///
    /// # Errors
    ///
    /// As for [`recover`](Self::recover).
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        self.events()?.dead_letters().await.map_err(not_kept)
    }

    /// Resumes a dead letter from its journal, as if it had never failed. `None` when there is no such dead letter.
    ///
    /// # Errors
    ///
    /// As for [`recover`](Self::recover).
    pub async fn retry(&self, id: EventId) -> Result<Option<Recovered>> {
        let Some(revived) = self.events()?.revive(id).await.map_err(not_kept)? else { return Ok(None) };
        self.shared.durable.forget(id);
        Ok(self.go_on(revived).await)
    }

    /// Forgets a dead letter and its journal. False when there is no such dead letter.
    ///
    /// # Errors
    ///
    /// As for [`recover`](Self::recover).
    pub async fn discard(&self, id: EventId) -> Result<bool> {
        self.events()?.discard(id).await.map_err(not_kept)
    }

    /// How a durable event ended, also in an earlier process. `None` while it has not, and when that was long ago.
    ///
    /// # Errors
    ///
    /// As for [`recover`](Self::recover).
    pub async fn durable_end(&self, id: EventId) -> Result<Option<EventEnd>> {
        self.events()?.ended(id).await.map_err(not_kept)
    }

    fn events(&self) -> Result<&Arc<dyn JournalStore>> {
        let why = "the host has no store for it; give it one with `HostBuilder::durable`";
        self.shared.host.events().ok_or_else(|| ErrorKind::NotDurable { why }.into())
    }

    /// The place of a skill that can have durable events.
    fn durable_slot(&self, skill: &str, store: &Arc<dyn JournalStore>) -> Result<Arc<Slot>> {
        let slot = self.slot(skill)?;
        let version = slot.version();
        let wasm = version.skill.as_wasm().ok_or_else(native)?;
        if wasm.manifest().state == State::Kept {
            return Err(kept());
        }
        if !wasm.host().events().is_some_and(|its| Arc::ptr_eq(its, store)) {
            let why =
                "the skill was registered with a host of its own, whose store is another; load it with the manager";
            return Err(ErrorKind::NotDurable { why }.into());
        }
        Ok(slot)
    }

    /// Has a new event accepted and handled.
    fn begin(&self, skill: &str, event: Event) -> Result<(oneshot::Receiver<Result<()>>, DurableHandle)> {
        let store = self.events()?;
        let slot = self.durable_slot(skill, store)?;
        let to_keep = EventToKeep {
            skill: slot.name().clone(),
            event_type: event.event_type().to_owned(),
            data: event.data().clone(),
        };
        let durable = DurableEvent::new(store.clone());
        let id = durable.id();
        let twice = || ErrorKind::Internal { message: format!("the store gave out the number {id} twice") };
        let flying = self.shared.durable.begin(id).ok_or_else(twice)?;
        let (attempts, admission) = self.attempts(slot, (durable, flying), event, Vec::new())?;
        let (tell_accepted, accepted) = oneshot::channel();
        let (tell, outcome) = oneshot::channel();
        self.runtime().spawn(async move {
            let accept = async {
                let accepted = attempts.event.accept(to_keep).await.map_err(not_kept);
                let go_on = accepted.as_ref().map(drop).map_err(drop);
                // Whoever stopped waiting will find the event in the store.
                let _ = tell_accepted.send(accepted);
                go_on
            };
            let first = async { Ok(run(admission).await) };
            if let Ok(((), result)) = try_join(accept, first).await {
                attempts.settle(result).await.tell(tell, attempts.flying).await;
            }
        });
        Ok((accepted, DurableHandle { id, outcome }))
    }

    /// Resumes an event that the store has. `None` when it is in the air.
    async fn go_on(&self, kept: KeptEvent) -> Option<Recovered> {
        let KeptEvent { id, event: EventToKeep { skill, event_type, data }, resumed, journal, .. } = kept;
        let in_air = &self.shared.durable;
        let flying = in_air.begin(id)?;
        let event = Event::new(event_type, data);
        let before = in_air.before(id, resumed);
        if before >= self.shared.rules.durable_recoveries {
            return Some(Recovered { id, skill, event, outcome: Err(self.give_up(id, before).await) });
        }
        let begun = self.events().and_then(|store| {
            let slot = self.durable_slot(skill.as_str(), store)?;
            self.attempts(slot, (DurableEvent::kept(store.clone(), id), flying), event.clone(), journal)
        });
        let outcome = begun.map(|(attempts, admission)| {
            let (tell, outcome) = oneshot::channel();
            self.runtime().spawn(async move {
                let run = async {
                    let ticket = turn(admission).await?;
                    let _alone = if before > 0 { Some(attempts.flying.all().alone().await) } else { None };
                    attempts.flying.count(attempts.event.store(), before + 1).await?;
                    ticket.run().await
                };
                let result = run.await;
                attempts.settle(result).await.tell(tell, attempts.flying).await;
            });
            DurableHandle { id, outcome }
        });
        Some(Recovered { id, skill, event, outcome })
    }

    /// Makes a dead letter of an event that was resumed so often.
    async fn give_up(&self, id: EventId, times: u32) -> Error {
        let error = Error::from(ErrorKind::ResumedTooOften { times });
        let buried = async { self.events()?.failed(id, error.to_string(), 1).await.map_err(not_kept) };
        buried.await.map_or_else(|not_kept| not_kept, |_| error)
    }

    fn attempts(
        &self,
        slot: Arc<Slot>,
        event: (DurableEvent, Flying),
        plain: Event,
        journal: Vec<JournalEntry>,
    ) -> Result<(Attempts, Admission)> {
        Attempts::new(slot, event, plain, journal, self.runtime().clone(), self.shared.rules)
    }
}

/// Why an event of a native skill is not durable.
pub(super) fn native() -> Error {
    let why = "the skill is native; only what a wasm skill asks and is answered is all that it sees";
    ErrorKind::NotDurable { why }.into()
}

pub(super) fn not_kept(error: BackendError) -> Error {
    ErrorKind::NotKept { why: error.message().into() }.into()
}

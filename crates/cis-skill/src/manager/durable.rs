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
//! Invariants:
//! - An event runs once at a time. Its number is in [`InAir`] for as long as it is this process's affair.
//! - It is counted at most once in a process, because a process ends once.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};

use cis_wasm_host::{
    BackendError, DeadLetter, DurableEvent, EventEnd, EventId, EventToKeep, HostError, Journal, JournalEntry,
    JournalStore, KeptEvent, SkillName,
};
use cis_wasm_runtime::{ErrorKind as EngineErrorKind, State};
use futures_channel::oneshot;
use futures_util::future::try_join;
use futures_util::lock::Mutex as AsyncMutex;

use super::SkillManager;
use super::routing::{lost, run, turn};
use super::slot::{Admission, Slot};
use crate::event::JournalCell;
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

/// The durable events that this process is at.
#[derive(Debug, Default)]
pub(super) struct InAir {
    inner: Mutex<Inside>,
    /// Held by the one event that runs of those that were resumed before.
    suspected: AsyncMutex<()>,
}

#[derive(Debug, Default)]
struct Inside {
    events: BTreeSet<EventId>,
    /// Those that this process has counted, also when they are no longer in the air.
    counted: BTreeSet<EventId>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// One of them. Dropped when the process is done with it.
struct Flying {
    all: Arc<InAir>,
    id: EventId,
}

impl InAir {
    /// `None` when the event is in the air already.
    fn begin(self: &Arc<Self>, id: EventId) -> Option<Flying> {
        self.inner().events.insert(id).then(|| Flying { all: self.clone(), id })
    }

    /// How often an event was resumed by earlier processes, when the store says how often it was.
    fn before(&self, id: EventId, resumed: u32) -> u32 {
        resumed.saturating_sub(u32::from(self.inner().counted.contains(&id)))
    }

    /// Forgets that an event was counted.
    fn forget(&self, id: EventId) {
        self.inner().counted.remove(&id);
    }

    /// Waits until there is none.
    pub(super) async fn clear(&self) {
        let landed = {
            let mut inner = self.inner();
            if inner.events.is_empty() {
                return;
            }
            let (sender, landed) = oneshot::channel();
            inner.waiting.push(sender);
            landed
        };
        // The sender is kept until it has sent.
        let _ = landed.await;
    }

    fn inner(&self) -> MutexGuard<'_, Inside> {
        // Nothing panics while it holds the lock.
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Flying {
    /// Counts that this process resumes the event.
    async fn count(&self, store: &Arc<dyn JournalStore>, times: u32) -> Result<()> {
        if !self.all.inner().counted.contains(&self.id) {
            store.resumed(self.id, times).await.map_err(not_kept)?;
            self.all.inner().counted.insert(self.id);
        }
        Ok(())
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        let mut inner = self.all.inner();
        inner.events.remove(&self.id);
        if inner.events.is_empty() {
            for waiting in inner.waiting.drain(..) {
                // Whoever stopped waiting needs no word.
                let _ = waiting.send(());
            }
        }
    }
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
        let course = self.course(slot, durable, event, Vec::new())?;
        let (tell_accepted, accepted) = oneshot::channel();
        let (tell, outcome) = oneshot::channel();
        let id = course.event.id();
        let flying = self.shared.durable.begin(id);
        let Course { slot, event: durable, plain, cell, admission, most } = course;
        self.runtime().spawn(async move {
            let accept = async {
                let accepted = durable.accept(to_keep).await.map_err(not_kept);
                let go_on = accepted.as_ref().map(drop).map_err(drop);
                // Whoever stopped waiting will find the event in the store.
                let _ = tell_accepted.send(accepted);
                go_on
            };
            let first = async { Ok(run(admission).await) };
            if let Ok(((), result)) = try_join(accept, first).await {
                let end = settle(&slot, &durable, &plain, &cell, most, result);
                end.await.tell(tell, flying).await;
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
            self.course(slot, DurableEvent::kept(store.clone(), id), event.clone(), journal)
        });
        let outcome = begun.map(|course| {
            let (tell, outcome) = oneshot::channel();
            let Course { slot, event: durable, plain, cell, admission, most } = course;
            let all = in_air.clone();
            self.runtime().spawn(async move {
                let run = async {
                    let ticket = turn(admission).await?;
                    let _alone = if before > 0 { Some(all.suspected.lock().await) } else { None };
                    flying.count(durable.store(), before + 1).await?;
                    ticket.run().await
                };
                let result = run.await;
                settle(&slot, &durable, &plain, &cell, most, result).await.tell(tell, Some(flying)).await;
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

    fn course(&self, slot: Arc<Slot>, event: DurableEvent, plain: Event, journal: Vec<JournalEntry>) -> Result<Course> {
        let cell: JournalCell = Arc::new(Mutex::new(Some(Journal::durable(event.clone(), journal))));
        let admission = slot.admit(plain.clone().journalled(&cell))?;
        Ok(Course { slot, event, plain, cell, admission, most: self.shared.rules.durable_attempts })
    }
}

/// An event that is about to run.
struct Course {
    slot: Arc<Slot>,
    event: DurableEvent,
    plain: Event,
    cell: JournalCell,
    admission: Admission,
    most: u32,
}

/// What became of an event.
enum Settled {
    /// Its outcome, about which there is nothing more to do.
    Over(Result<Response>),
    /// It has ended, and would end like this again; that it has is yet to be stored.
    Ended { result: Result<Response>, store: Arc<dyn JournalStore>, id: EventId, end: EventEnd },
}

impl Settled {
    async fn tell(self, outcome: oneshot::Sender<Result<Response>>, flying: Option<Flying>) {
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

/// Brings an event that has run to its end, with more attempts where it failed.
async fn settle(
    slot: &Arc<Slot>,
    event: &DurableEvent,
    plain: &Event,
    cell: &JournalCell,
    most: u32,
    mut result: Result<Response>,
) -> Settled {
    let (store, id) = (event.store(), event.id());
    loop {
        match Course::after(&result) {
            Next::Left => return Settled::Over(result),
            Next::Ended(end) => {
                let journal = cell.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
                if journal.is_some_and(|journal| journal.is_determined()) {
                    return Settled::Ended { result, store: store.clone(), id, end };
                }
                return Settled::Over(store.done(id, end).await.map_err(not_kept).and(result));
            }
            Next::Failed(why) => match store.failed(id, why, most).await {
                Err(error) => return Settled::Over(Err(not_kept(error))),
                Ok(None) => return Settled::Over(result),
                Ok(Some(kept)) => {
                    let journal = Journal::durable(event.clone(), kept.journal);
                    *cell.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(journal);
                    result = match slot.admit(plain.clone().journalled(cell)) {
                        Ok(admission) => run(admission).await,
                        Err(refused) => return Settled::Over(Err(refused)),
                    };
                }
            },
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

impl Course {
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

/// Why an event of a native skill is not durable.
pub(super) fn native() -> Error {
    let why = "the skill is native; only what a wasm skill asks and is answered is all that it sees";
    ErrorKind::NotDurable { why }.into()
}

fn not_kept(error: BackendError) -> Error {
    ErrorKind::NotKept { why: error.message().into() }.into()
}

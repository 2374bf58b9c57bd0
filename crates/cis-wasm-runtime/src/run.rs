//! A loaded skill, and how an event runs on it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cis_wasm_abi::{EXPORT_ABI_VERSION, EXPORT_INIT, ceilings};
use cis_wasm_host::unwired::{Limit, unwired};
use cis_wasm_host::{Journal, JournalEntry, Ledger, LogLine, SkillScope};
use futures_channel::oneshot;

use crate::cache::CacheOutcome;
use crate::checkpoint::{Repeats, Resumption, Ticket};
use crate::clock::{Cancel, Clock, Deadline, Fuel, SLICE};
use crate::error::{Error, ErrorKind};
use crate::guest::{OnWorker, Patience, PutDown, Running, internal};
use crate::handling::Handling;
use crate::instance::{Live, Origin, PutDownRun, Ran, is_known};
use crate::learnt::{LITTLE, Learnt};
use crate::limits::{Limits, Receipt};
use crate::nesting::Depth;
use crate::pending::Pending;
use crate::pool::{Pool, Pooled};
use crate::program::Program;
use crate::reset;
use crate::runtime::WasmRuntime;
use crate::shares::Shares;
use crate::single::{Circle, Held, Single};
use crate::spec::{LoadSpec, State};
use crate::tier::Tier;
use crate::turns::{Turn, Turns};
use crate::worker::SkillId;

/// What came of an event.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The skill's response, or why there is none.
    pub result: Result<Bytes, Error>,
    /// What the skill logged.
    pub log: Vec<LogLine>,
    /// What it was allowed and what it used.
    pub receipt: Receipt,
    /// What it asked and was answered, when it was run with a journal.
    pub journal: Journal,
}

/// A loaded skill, ready for events. Cheap to clone; clones are the same skill.
///
/// ```
/// use cis_wasm_runtime::WasmRuntime;
///
/// let wasm = wat::parse_str(r#"(module
///     (memory (export "memory") 1)
///     (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
///         ;; the response is the event's own data
///         (i64.or (i64.shl (i64.extend_i32_u (local.get 2)) (i64.const 32)) (i64.extend_i32_u (local.get 3)))))"#)?;
/// let echo = WasmRuntime::new()?.load_skill(&wasm)?;
/// assert_eq!(echo.run("greet", b"hello").result?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WasmInstance {
    skill: Arc<Skill>,
    /// The same, for the futures of events.
    shares: Arc<Shares<Skill>>,
}

pub(crate) struct Skill {
    /// For taking turns with other skills.
    pub(crate) id: SkillId,
    pub(crate) program: Program,
    pub(crate) runtime: WasmRuntime,
    pub(crate) state: StateOf,
    init_log: Vec<LogLine>,
    pub(crate) park_after: Duration,
    pub(crate) learnt: Learnt,
    pub(crate) learnt_going_on: Learnt,
    /// Fuel of runs that were repeated.
    pub(crate) repeated_fuel: AtomicU64,
}

pub(crate) enum StateOf {
    Fresh(Fresh),
    Kept(Kept),
}

/// Where a fresh skill's instances come from.
pub(crate) struct Fresh {
    /// What `skill_init` asked and was answered at load. Where each event has an instance made for it, that one's own is
    /// answered from this.
    init: Arc<[JournalEntry]>,
    /// Instances that are set back after each event, when the skill can have them.
    pool: Option<Arc<Pool>>,
}

/// The one instance of a kept skill.
pub(crate) struct Kept {
    /// What `skill_init` asked and was answered at load, if the skill may be recorded.
    init: Arc<[JournalEntry]>,
    /// Whether an event has begun.
    begun: AtomicBool,
    instance: Single<Slot>,
    pub(crate) turns: Turns,
}

enum Slot {
    /// The next event gets a new one.
    Empty,
    Ready(Box<Live>),
    /// It was shut down: there will be none.
    Closed,
}

/// What an event finds when it is its turn.
enum Place<'s> {
    Fresh(&'s Fresh),
    Kept(&'s Kept, Held<'s, Slot>),
}

/// How an event is to be run.
struct Run {
    begun: Option<(Deadline, Duration)>,
    cancel: Cancel,
    on: Thread,
    patience: Patience,
    /// Whether it is worth it to have it run where it can be suspended.
    suspends: bool,
    resumption: Option<Box<Resumption>>,
}

/// What a run is given, beside its instance.
pub(crate) struct Start {
    pub clock: Clock,
    pub on: Thread,
    pub patience: Patience,
    pub journal: Journal,
    pub suspends: bool,
}

impl Start {
    /// For a run that the instance needs before this one.
    pub(crate) fn before(&self, journal: Journal) -> Self {
        Start { clock: self.clock.clone(), on: self.on, patience: Patience::Holds, journal, suspends: false }
    }
}

/// What came of running one.
struct Handled {
    /// Without a result when the event was put down.
    outcome: Outcome,
    put_down: Option<Box<PutDownRun>>,
    deadline: Deadline,
}

/// An event that is to be handled, for the first time or again.
pub(crate) struct Task {
    pub event_type: String,
    pub data: Bytes,
    pub journal: Journal,
    /// Whether whoever sent it wants the journal.
    pub journalled: bool,
    /// Its deadline, and how much of its time is gone. None before its first turn.
    pub begun: Option<(Deadline, Duration)>,
    /// What its runs came to that were put down.
    pub repeats: Repeats,
    /// What it goes on with, if it does not begin at its start.
    pub resumption: Option<Box<Resumption>>,
}

/// What came of an attempt to handle an event.
pub(crate) enum Attempt {
    Done(Outcome),
    /// It was put down, and this is what it takes to go on.
    PutDown {
        task: Task,
        /// The call that it waits for. None when it has only taken long.
        waits: Option<Pending>,
        /// What was kept of the run.
        ticket: Option<Ticket>,
        /// What it had used by then.
        fuel: u64,
        memory_bytes: u64,
    },
}

impl Attempt {
    /// Fuel that it used.
    pub(crate) fn fuel(&self) -> u64 {
        match self {
            Attempt::Done(outcome) => outcome.receipt.fuel,
            Attempt::PutDown { fuel, .. } => *fuel,
        }
    }
}

impl WasmInstance {
    pub(crate) fn load(runtime: WasmRuntime, wasm: &[u8], spec: LoadSpec) -> Result<Self, Error> {
        let depth = Depth::of_next()?;
        let state = if unwired(Limit::Fresh) { State::Kept } else { spec.state };
        let (recorded, init, park_after) = (spec.recorded, spec.init.clone(), spec.park_after);
        let program = Program::make(&runtime, wasm, spec)?;
        let pooled = state == State::Fresh && runtime.reuses() && reset::SUPPORTED && !program.lasts();
        let mut live = Live::new(&program, if pooled { &Origin::Template } else { &Origin::Module })?;
        let clock = Clock { deadline: Deadline::starting_now(program.limits.deadline), cancel: Cancel::default() };
        let journal = match init {
            Some(init) => Journal::replay(init),
            None if recorded || state == State::Fresh => Journal::record(),
            None => Journal::OFF,
        };
        let mut start = Start { clock, on: Thread::Lent, patience: Patience::Holds, journal, suspends: false };
        let running = program.running(live.idle(&program), &runtime, &mut start);
        let (started, ran) = depth.within(|| live.start_up(running));
        if let Err(error) = started {
            return Err(error.with_log(ran.log));
        }
        let Ran { journal, log: init_log, .. } = ran;
        journal.finish()?;
        let init = journal.into_entries().into();
        let state = match state {
            State::Fresh => {
                let pool = if pooled { Some(Pool::new(runtime.pools().clone(), live)?) } else { None };
                StateOf::Fresh(Fresh { init, pool })
            }
            State::Kept => {
                let instance = Single::new(Slot::Ready(Box::new(live)));
                StateOf::Kept(Kept { init, begun: AtomicBool::new(false), instance, turns: Turns::default() })
            }
        };
        let skill = Skill {
            id: SkillId::next(),
            program,
            runtime,
            state,
            init_log,
            park_after,
            learnt: Learnt::of_events(),
            learnt_going_on: Learnt::of_going_on(),
            repeated_fuel: AtomicU64::new(0),
        };
        let skill = Arc::new(skill);
        Ok(WasmInstance { shares: Arc::new(Shares::new(&skill)), skill })
    }

    /// What the skill logged while it was loaded.
    pub fn init_log(&self) -> &[LogLine] {
        &self.skill.init_log
    }

    /// What `skill_init` asked and was answered at load: empty for a kept skill that was not loaded to be
    /// [recorded](LoadSpec::recorded).
    pub fn init_journal(&self) -> &Arc<[JournalEntry]> {
        match &self.skill.state {
            StateOf::Fresh(Fresh { init, .. }) | StateOf::Kept(Kept { init, .. }) => init,
        }
    }

    /// What the runtime's artifact cache did for it. On a tiered runtime, `stored` becomes true when the better compiler
    /// is done.
    pub fn cache_outcome(&self) -> CacheOutcome {
        self.skill.program.current.cached()
    }

    /// Fuel of runs that were repeated: of events that were put down while a host call waited, or because they took long on a
    /// thread that was not the runtime's, and were run again from their start. No receipt has it.
    pub fn repeated_fuel(&self) -> u64 {
        self.skill.repeated_fuel.load(Ordering::Relaxed)
    }

    /// Which compiler's code its next instance runs.
    pub fn tier(&self) -> Tier {
        self.skill.program.current.tier()
    }

    #[cfg(test)]
    pub(crate) fn program(&self) -> &Program {
        &self.skill.program
    }

    /// The limits on its events.
    pub fn limits(&self) -> &Limits {
        &self.skill.program.limits
    }

    /// What it is called and granted.
    pub fn scope(&self) -> &SkillScope {
        &self.skill.program.scope
    }

    /// Handles an event on the calling thread, and waits for it.
    ///
    /// Backends are polled on this thread too. On a thread of an async runtime, use [`WasmInstance::handle`]: a backend
    /// that needs the runtime's own thread to make progress would otherwise wait for itself until the deadline.
    ///
    /// A kept skill has one instance. A backend that blocks its thread for an event of a kept skill, within an event of which
    /// that skill waits, would wait for itself: the event fails with [`ErrorKind::WaitsForItself`]. One that awaits
    /// [`WasmInstance::handle`] instead waits until the deadline of the event that called it.
    pub fn run(&self, event_type: &str, data: &[u8]) -> Outcome {
        self.run_with(event_type, data, Journal::OFF)
    }

    /// The same with a journal, which comes back in the outcome.
    ///
    /// What a kept skill does depends on the events before: its first event is journalled, and for any other the journal
    /// is switched off.
    pub fn run_with(&self, event_type: &str, data: &[u8], journal: Journal) -> Outcome {
        let run = Run {
            begun: None,
            cancel: Cancel::default(),
            on: Thread::Lent,
            patience: Patience::Holds,
            suspends: false,
            resumption: None,
        };
        match Depth::of_next() {
            Ok(depth) => depth.within(|| self.skill.handle(event_type, data, journal, run)).outcome,
            Err(error) => self.skill.outcome_without_run(error),
        }
    }

    /// Handles an event, without waiting on a thread. The future belongs to no executor in particular.
    ///
    /// A fresh skill's event begins on the thread that polls the future, for less than 200 microseconds, when others of its type
    /// were that short: it costs some tens to wake another thread. If it takes longer, it goes to the runtime's workers, where
    /// the first events of a type begin. While a host call waits, the event takes no thread and no instance: it is put down, and
    /// when the call is answered it is run again from its start, with the answers that it had before, or goes on where it was, in
    /// the same way as it began. A poll begins one such run at the most, and has the future polled again where the next one can
    /// begin. A kept skill's events go to the workers, and keep a thread while they wait.
    ///
    /// Dropping it cancels the event at once, in guest code and where it waits for a backend. A backend that blocks its
    /// thread is waited for.
    ///
    /// # Panics
    ///
    /// The future does when it is polled again after it was ready.
    pub fn handle(&self, event_type: &str, data: Bytes) -> impl Future<Output = Outcome> + Send + 'static + use<> {
        self.handle_with(event_type, data, Journal::OFF)
    }

    /// The same with a journal, as [`run_with`](Self::run_with).
    pub fn handle_with(
        &self,
        event_type: &str,
        data: Bytes,
        journal: Journal,
    ) -> impl Future<Output = Outcome> + Send + 'static + use<> {
        let journalled = !journal.is_off();
        let task = Task {
            event_type: event_type.to_owned(),
            data,
            journal,
            journalled,
            begun: None,
            repeats: Repeats::default(),
            resumption: None,
        };
        Handling::new(self.shares.share(), task)
    }

    /// Ends a kept skill on the calling thread: runs its `skill_shutdown` and drops its instance. Later events are refused.
    ///
    /// Waits for the event that is being handled. A fresh skill has nothing to end: nothing happens.
    ///
    /// # Errors
    ///
    /// When `skill_shutdown` traps or exceeds a limit. The instance is gone all the same.
    pub fn shutdown(&self) -> Result<(), Error> {
        Depth::of_next()?.within(|| self.skill.shut_down(Thread::Lent))
    }

    /// The same on the runtime's workers, after the events that were sent before. The future belongs to no executor in
    /// particular.
    ///
    /// From its first poll on the skill ends even when the future is dropped.
    ///
    /// # Errors
    ///
    /// As [`WasmInstance::shutdown`].
    pub fn close(&self) -> impl Future<Output = Result<(), Error>> + Send + 'static + use<> {
        let skill = self.skill.clone();
        async move {
            let StateOf::Kept(kept) = &skill.state else { return Ok(()) };
            let (reply, answer) = oneshot::channel();
            skill.wait_for_turn(kept, Turn::Close(reply));
            // The sender goes without an answer only when its job was dropped with the workers.
            answer.await.unwrap_or_else(|_| Err(ErrorKind::RuntimeClosed.into()))
        }
    }
}

/// What an event runs on.
#[derive(Clone, Copy)]
pub(crate) enum Thread {
    /// A thread that somebody lent.
    Lent,
    /// A worker, for this skill.
    Worker(SkillId),
}

impl Program {
    /// A run that begins, in one that is idle. It takes what the start owns: a start is that of one run.
    pub(crate) fn running(&self, mut idle: Box<Running>, runtime: &WasmRuntime, start: &mut Start) -> Box<Running> {
        let watched = runtime.signals();
        let slice = match (start.patience, watched) {
            (Patience::Inline { fuel, .. }, _) => fuel,
            (_, true) => u64::MAX,
            (_, false) => SLICE,
        };
        idle.context.journal = std::mem::take(&mut start.journal);
        idle.fuel = Fuel::new(self.limits.fuel, slice);
        idle.clock = Clock { deadline: start.clock.deadline, cancel: std::mem::take(&mut start.clock.cancel) };
        if let Thread::Worker(skill) = start.on {
            idle.worker = Some(OnWorker { workers: runtime.workers().clone(), skill, watched, long: None });
        }
        idle.watched = watched;
        idle.patience = start.patience;
        idle.suspends = start.suspends;
        idle
    }
}

impl Skill {
    /// The clock of a turn that begins now.
    fn clock(&self, begun: Option<(Deadline, Duration)>, cancel: Cancel) -> Clock {
        let deadline = match begun {
            Some((deadline, spent)) => deadline.after_a_break(spent),
            None => Deadline::starting_now(self.program.limits.deadline),
        };
        Clock { deadline, cancel }
    }

    /// Handles an event, from its arrival on a thread to its outcome.
    fn handle(&self, event_type: &str, data: &[u8], mut journal: Journal, run: Run) -> Handled {
        let Run { begun, cancel, on, patience, suspends, resumption } = run;
        // First, because an event's time begins with its turn.
        let place = match &self.state {
            StateOf::Fresh(fresh) => Ok(Place::Fresh(fresh)),
            StateOf::Kept(kept) => self.slot(kept, on).map(|slot| Place::Kept(kept, slot)),
        };
        let first = begun.is_none();
        let clock = self.clock(begun, cancel);
        let deadline = clock.deadline;
        if first {
            journal.begin();
        }
        let admitted = admissible(event_type, data).and_then(|()| clock.cancel.check()).and(place);
        let mut start = Start { clock, on, patience, journal, suspends };
        let (result, ran) = match admitted {
            Err(error) => (Err(error), self.nothing_ran()),
            Ok(Place::Fresh(Fresh { pool: Some(pool), .. })) => {
                match resumption.and_then(|resumption| self.go_on(pool, event_type, resumption, &mut start)) {
                    Some(handled) => handled,
                    None => self.handle_pooled(pool, event_type, data, &mut start),
                }
            }
            Ok(Place::Fresh(Fresh { init, .. })) => self.handle_made(init, event_type, data, &mut start),
            Ok(Place::Kept(kept, slot)) => {
                if kept.begun.swap(true, Ordering::Relaxed) {
                    start.journal = Journal::OFF;
                }
                self.handle_kept(slot, event_type, data, &mut start)
            }
        };
        let Ran { ledger, journal, log, fuel, memory_bytes, put_down } = ran;
        let receipt = Receipt { limits: self.program.limits, ledger, fuel, memory_bytes, wall: deadline.elapsed() };
        Handled { outcome: Outcome { result, log, receipt, journal }, put_down, deadline }
    }

    /// Handles an event of a fresh skill as far as it gets.
    fn attempt(&self, task: Task, cancel: Cancel, on: Thread, patience: Patience) -> Attempt {
        let Task { event_type, data, mut journal, journalled, begun, repeats, resumption } = task;
        // A run that may be put down goes on from its journal.
        let suspends = repeats.are_enough(self.runtime.checkpoints().allowance);
        if !journalled && journal.is_off() && !matches!(patience, Patience::Holds) {
            journal = Journal::record();
        }
        let used = resumption.as_ref().map_or(repeats.last(), |resumption| resumption.fuel);
        let again = begun.is_some();
        let run = Run { begun, cancel, on, patience, suspends, resumption };
        let Handled { mut outcome, put_down, deadline } = self.handle(&event_type, &data, journal, run);
        let Some(put_down) = put_down else {
            if again && outcome.journal.is_replaying() {
                self.catch_up(&mut outcome, used);
            }
            if !journalled {
                outcome.journal = Journal::OFF;
            }
            return Attempt::Done(outcome);
        };
        let Receipt { fuel, memory_bytes, .. } = outcome.receipt;
        let PutDownRun { why, ticket, resumption, .. } = *put_down;
        // With what it goes on from where it was, if that is kept, nothing is repeated but what it came further.
        let (repeats, repeated) = match (&why, &ticket, &resumption) {
            (PutDown::Later, ..) | (_, Some(_), _) => (repeats, 0),
            (_, None, Some(resumption)) => (repeats.back(), fuel.saturating_sub(resumption.fuel)),
            (_, None, None) => (repeats.one_more(fuel), fuel),
        };
        let (journal, waits) = match why {
            PutDown::Waits(pending) => (Journal::OFF, Some(pending)),
            PutDown::Long | PutDown::Later => (outcome.journal.again(), None),
        };
        let begun = Some((deadline, deadline.elapsed()));
        if repeated > 0 {
            self.repeated_fuel.fetch_add(repeated, Ordering::Relaxed);
        }
        let task = Task { event_type, data, journal, journalled, begun, repeats, resumption };
        Attempt::PutDown { task, waits, ticket, fuel, memory_bytes }
    }

    /// An event that ends before it came back to where it had been, and had used so much fuel there: by its deadline, for one.
    /// What it used is what it had used then.
    fn catch_up(&self, outcome: &mut Outcome, fuel: u64) {
        if !matches!(outcome.result.as_ref().map_err(Error::kind), Err(ErrorKind::DeadlineExceeded { .. })) {
            return;
        }
        let mut context = self.program.context();
        context.ledger = outcome.receipt.ledger;
        (context.journal, context.log) = (std::mem::take(&mut outcome.journal), std::mem::take(&mut outcome.log));
        self.program.host.catch_up(&mut context);
        outcome.receipt.ledger = context.ledger;
        outcome.receipt.fuel = outcome.receipt.fuel.max(fuel);
        (outcome.journal, outcome.log) = (context.journal, context.log);
    }

    fn handle_pooled(
        &self,
        pool: &Arc<Pool>,
        event_type: &str,
        data: &[u8],
        start: &mut Start,
    ) -> (Result<Bytes, Error>, Ran) {
        let mut pooled = match self.instance_for(pool, &mut start.patience) {
            Ok(Some(pooled)) => pooled,
            Ok(None) => {
                let put_down = Some(Box::new(PutDownRun::of(PutDown::Long)));
                let ran = Ran { journal: std::mem::take(&mut start.journal), put_down, ..self.nothing_ran() };
                return (Err(internal("an event was put down")), ran);
            }
            Err(error) => return (Err(error), self.nothing_ran()),
        };
        let ours = matches!(start.on, Thread::Worker(_));
        let running = self.program.running(pooled.live.idle(&self.program), &self.runtime, start);
        let (result, ran) = pooled.live.event(event_type, data, running, false);
        if ours && (is_known(&result) || ran.put_down.is_some()) {
            pooled.live.map();
        }
        self.ended(pool, pooled, result, ran)
    }

    /// An instance for a run. There is none for one on a thread that is not ours, unless one waits that does not keep it: to make
    /// one has the kernel map memory, and may wait for other threads.
    fn instance_for(&self, pool: &Pool, patience: &mut Patience) -> Result<Option<Pooled>, Error> {
        let Patience::Inline { fuel, .. } = patience else { return pool.take(&self.program).map(Some) };
        let Some(pooled) = pool.take_waiting(&self.program) else { return Ok(None) };
        if !pooled.live.is_light() {
            pool.put_back(pooled);
            return Ok(None);
        }
        if !pooled.live.is_mapped() {
            *fuel = (*fuel).min(LITTLE);
        }
        Ok(Some(pooled))
    }

    fn handle_made(
        &self,
        init: &Arc<[JournalEntry]>,
        event_type: &str,
        data: &[u8],
        start: &mut Start,
    ) -> (Result<Bytes, Error>, Ran) {
        let mut live = match Live::new(&self.program, &Origin::Module) {
            Ok(live) => live,
            Err(error) => return (Err(error), self.nothing_ran()),
        };
        if self.starts_up() {
            // Charged to nobody: it was paid for at load. Its calls are answered from then, so none is made twice.
            let mut again = start.before(Journal::replay(init.clone()));
            let again = self.program.running(live.idle(&self.program), &self.runtime, &mut again);
            if let (Err(error), ran) = live.start_up(again) {
                return (Err(error), ran);
            }
        }
        let running = self.program.running(live.idle(&self.program), &self.runtime, start);
        live.event(event_type, data, running, false)
    }

    fn handle_kept(
        &self,
        mut slot: Held<'_, Slot>,
        event_type: &str,
        data: &[u8],
        start: &mut Start,
    ) -> (Result<Bytes, Error>, Ran) {
        // Out of its slot while guest code runs: whatever happens, only an instance in a known state goes back.
        let mut live = match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Ready(live) => live,
            Slot::Closed => {
                *slot = Slot::Closed;
                return (Err(ErrorKind::RuntimeClosed.into()), self.nothing_ran());
            }
            Slot::Empty => {
                let mut live = match Live::new(&self.program, &Origin::Module) {
                    Ok(live) => Box::new(live),
                    Err(error) => return (Err(error), self.nothing_ran()),
                };
                let mut starting = start.before(Journal::OFF);
                let starting = self.program.running(live.idle(&self.program), &self.runtime, &mut starting);
                if let (Err(error), ran) = live.start_up(starting) {
                    return (Err(error), ran);
                }
                live
            }
        };
        let running = self.program.running(live.idle(&self.program), &self.runtime, start);
        let handled = live.event(event_type, data, running, true);
        if is_known(&handled.0) || unwired(Limit::Retire) {
            *slot = Slot::Ready(live);
        }
        handled
    }

    /// The place of a kept skill's instance. Waits while another event has it; a worker that waits gives up its own place
    /// meanwhile.
    fn slot<'k>(&self, kept: &'k Kept, on: Thread) -> Result<Held<'k, Slot>, Error> {
        if let Some(slot) = kept.instance.take_at_once() {
            return Ok(slot);
        }
        let _away = match on {
            Thread::Worker(skill) => Some(self.runtime.workers().wait(skill)),
            Thread::Lent => None,
        };
        // An instance is out of its slot while anything can panic, so the slot is whole.
        kept.instance.take().map_err(|Circle| ErrorKind::WaitsForItself.into())
    }

    /// Ends a kept skill.
    pub(crate) fn shut_down(&self, on: Thread) -> Result<(), Error> {
        let StateOf::Kept(kept) = &self.state else { return Ok(()) };
        let mut slot = self.slot(kept, on)?;
        let Slot::Ready(mut live) = std::mem::replace(&mut *slot, Slot::Closed) else { return Ok(()) };
        let clock = self.clock(None, Cancel::default());
        let mut start = Start { clock, on, patience: Patience::Holds, journal: Journal::OFF, suspends: false };
        let running = self.program.running(live.idle(&self.program), &self.runtime, &mut start);
        live.shut_down(running).0
    }

    /// Whether an instance has anything to do before its first event.
    fn starts_up(&self) -> bool {
        let shape = &self.program.shape;
        // Saying its version is code as any other: what it changes, every instance has to have.
        shape.has_start || shape.has(EXPORT_ABI_VERSION) || shape.has(EXPORT_INIT)
    }

    /// What is left of an event of which nothing ran.
    pub(crate) fn nothing_ran(&self) -> Ran {
        let ledger = Ledger::new(self.program.scope.budget);
        Ran { ledger, journal: Journal::OFF, log: Vec::new(), fuel: 0, memory_bytes: 0, put_down: None }
    }

    pub(crate) fn outcome_without_run(&self, error: Error) -> Outcome {
        let receipt = Receipt {
            limits: self.program.limits,
            ledger: Ledger::new(self.program.scope.budget),
            fuel: 0,
            memory_bytes: 0,
            wall: Duration::ZERO,
        };
        Outcome { result: Err(error), log: Vec::new(), receipt, journal: Journal::OFF }
    }

    /// Whether an event's next run may begin on a thread that is not ours: if nothing comes before it that takes long, and runs
    /// like it usually do not.
    pub(crate) fn is_brief(&self, task: &Task) -> bool {
        let starts_soon = match &self.state {
            StateOf::Fresh(fresh) => fresh.pool.is_some() || !self.starts_up(),
            StateOf::Kept(_) => false,
        };
        starts_soon
            && match &task.resumption {
                None => self.learnt.of(&task.event_type).are_brief(),
                Some(resumption) => {
                    let known = self.learnt_going_on.of(&task.event_type);
                    resumption.is_small() && !task.repeats.went_back() && known.are_brief()
                }
            }
    }

    /// Handles an event as far as it gets, where a panic of ours must not get further.
    pub(crate) fn attempt_safely(&self, task: Task, cancel: Cancel, on: Thread, patience: Patience) -> Attempt {
        catch_unwind(AssertUnwindSafe(|| self.attempt(task, cancel, on, patience)))
            .unwrap_or_else(|_| Attempt::Done(self.outcome_without_run(internal("handling an event panicked"))))
    }
}

fn admissible(event_type: &str, data: &[u8]) -> Result<(), Error> {
    let too_large = |what, len, ceiling| Err(ErrorKind::EventTooLarge { what, len, ceiling }.into());
    if event_type.len() > ceilings::EVENT_TYPE {
        return too_large("type", event_type.len(), ceilings::EVENT_TYPE);
    }
    if data.len() > ceilings::EVENT_DATA {
        return too_large("data", data.len(), ceilings::EVENT_DATA);
    }
    Ok(())
}

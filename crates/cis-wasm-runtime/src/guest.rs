//! What an instance's imports can reach: its memory, its allocator, and the event that is being handled.

use bytes::Bytes;
use cis_wasm_host::{CallContext, Host, HostCall, HostError, HostReply, QuickCall, Resource};
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use crate::clock::{Cancel, Clock, Deadline, Fuel};
use crate::counter::Counter;
use crate::error::{Error, ErrorKind};
use crate::fiber::{Fiber, Suspension};
use crate::interrupt;
use crate::memory::GuestMemory;
use crate::pending::Pending;
use crate::room::Allocator;
use crate::trap::Authored;
use crate::wait::{block_on, on_the_spot, poll_for};
use crate::worker::{Away, SkillId, Workers};

/// What an instance's imports find.
pub(crate) struct Guest {
    /// The module's functions, for naming frames.
    pub authored: Authored,
    /// The cap on memory in bytes, for errors.
    pub memory_cap: u64,
    /// Set once, right after instantiation and before any of the guest's code runs.
    pub parts: Option<Parts>,
    /// The event that is being handled. Present exactly while guest code may run.
    pub running: Option<Box<Running>>,
}

/// What of an instance the host works with.
pub(crate) struct Parts {
    pub memory: GuestMemory,
    pub fuel: Counter,
    pub allocator: Allocator,
}

/// One run of guest code: an event, an initialisation or a shutdown.
///
/// It is in a box that its instance keeps for the next run, because it is large and is handed on a few times. With that, it counts
/// references that all instances of a skill share only once.
pub(crate) struct Running {
    pub host: Host,
    /// In a box, which goes with a call that waits.
    pub context: Box<CallContext>,
    pub fuel: Fuel,
    pub clock: Clock,
    /// Whether the watch stops it when it is due. Otherwise it looks at the clock itself.
    pub watched: bool,
    /// What happens when a host call is not answered at once.
    pub patience: Patience,
    /// Why the run was put down, if it was. It is to be run again, or goes on where it was when it could be suspended.
    pub put_down: Option<PutDown>,
    /// Whether it is worth it to have it run where it can be suspended.
    pub suspends: bool,
    /// Where it runs, when it can be.
    pub fiber: Option<Arc<Fiber>>,
    /// Where the counter stands when it begins: not at 0 when it goes on.
    pub left: i64,
    /// What the call is answered with that it was suspended in, when it goes on.
    pub answer: Option<Result<HostReply, HostError>>,
    /// The workers this runs on, when it does not run on a thread that somebody lent.
    pub worker: Option<OnWorker>,
    /// Whether the guest is allocating for the host. It may not call the host then: every such call would allocate again.
    pub allocating: bool,
    /// What it is allocating for, when that is the answer to a call of its own.
    pub reply: Option<Bytes>,
    /// What it answered an event with, while it has its room back.
    pub response: Option<Bytes>,
}

/// What happens when a host call is not answered at once.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// The thread waits for the answer.
    Holds,
    /// The thread waits for so long, if nobody else wants it, and then the run is put down.
    Parks(Duration),
    /// The run is put down at once, and also when it has taken long or used so much fuel: its thread is not ours to keep.
    Inline { since: Instant, fuel: u64 },
}

/// Why a run was put down.
pub(crate) enum PutDown {
    /// A call has not been answered.
    Waits(Pending),
    /// It has taken long.
    Long,
    /// Its instance has another run at the moment, so that it could not go on.
    Later,
}

/// How long a run may have a thread that is not ours and make host calls. Longer than the work that its fuel is good for, because
/// a thread that has to wait for a processor takes no longer for it.
const INLINE: Duration = Duration::from_micros(80);

/// Every so many host calls a run looks whether it has taken that long.
const GLANCE: u64 = 8;

impl Running {
    /// One to be, in a context in which nothing has happened.
    pub(crate) fn idle(host: Host, context: Box<CallContext>) -> Box<Self> {
        let clock = Clock { deadline: Deadline::starting_now(Duration::ZERO), cancel: Cancel::default() };
        Box::new(Running {
            host,
            context,
            fuel: Fuel::new(0, 0),
            clock,
            watched: false,
            patience: Patience::Holds,
            put_down: None,
            suspends: false,
            fiber: None,
            left: 0,
            answer: None,
            worker: None,
            allocating: false,
            reply: None,
            response: None,
        })
    }

    /// Is over: lets go of whatever was this run's, for the next one.
    pub(crate) fn over(&mut self) {
        self.context.renew();
        self.clock.cancel = Cancel::default();
        self.put_down = None;
        self.fiber = None;
        self.left = 0;
        self.answer = None;
        self.worker = None;
        self.allocating = false;
        self.reply = None;
        self.response = None;
    }

    /// Makes a host call that may be answered on the spot.
    #[inline]
    pub(crate) fn ask_quickly(&mut self, call: &QuickCall<'_>) -> Result<HostReply, Error> {
        if self.answer.is_some() {
            return self.ask(call.into());
        }
        // Such a call takes next to nothing, and looking at the clock is a good part of that.
        if self.context.ledger.used().of(Resource::HostCalls).is_multiple_of(GLANCE) {
            self.is_brief()?;
        }
        let Running { host, context, .. } = self;
        let answer = on_the_spot(|| host.call_now(context, call), &self.clock, call.name(), self.watched)?;
        match answer {
            Some(answer) => Ok(answer?),
            None => self.ask(call.into()),
        }
    }

    /// Puts the run down if it has a thread that is not ours, and has taken long.
    #[inline]
    fn is_brief(&mut self) -> Result<(), Error> {
        match self.patience {
            Patience::Inline { since, .. } if since.elapsed() > INLINE => Err(self.put_down(PutDown::Long)),
            _ => Ok(()),
        }
    }

    /// Makes a host call and waits for the answer, as long as the run has patience.
    pub(crate) fn ask(&mut self, call: HostCall) -> Result<HostReply, Error> {
        if let Some(answer) = self.answer.take() {
            return Ok(answer?);
        }
        let name = call.name();
        self.is_brief()?;
        let patience = match self.patience {
            _ if self.context.journal.is_replaying() || !self.host.may_wait(&call) => None,
            Patience::Holds => None,
            // That short a wait needs nobody to take the thread's place; and nobody who wants it has to wait.
            Patience::Parks(patience) => {
                let wanted = self.worker.as_ref().is_some_and(|worker| worker.workers.are_wanted());
                Some(if wanted { Duration::ZERO } else { patience })
            }
            Patience::Inline { .. } => Some(Duration::ZERO),
        };
        let Some(patience) = patience else {
            let asked = self.host.call(&mut self.context, call);
            return Ok(block_on(asked, &self.clock, name, self.worker.as_ref(), self.watched)??);
        };
        let vacant = Box::new(self.context.another());
        let context = std::mem::replace(&mut self.context, vacant);
        let mut pending = Pending::new(self.host.clone(), context, call);
        let poll = |context: &mut Context<'_>| pending.poll(context);
        let answered = poll_for(poll, &self.clock, name, None, self.watched, Some(patience));
        if let Ok(None) = answered {
            return Err(self.put_down(PutDown::Waits(pending)));
        }
        self.context =
            pending.into_context().ok_or_else(|| internal("a call did not give its event's context back"))?;
        Ok(answered?.expect("what was not answered was seen to above")?)
    }

    /// How it is suspended, if it was put down in a way that lets it go on where it is.
    pub(crate) fn suspension(&self) -> Option<Suspension> {
        let fiber = self.fiber.as_ref().filter(|_| matches!(self.put_down, Some(PutDown::Waits(_))));
        fiber.map(|fiber| fiber.suspension())
    }

    /// What it means that the run trapped with its counter at `left`, if it means anything.
    pub(crate) fn out_of_fuel(&mut self, left: i64) -> Option<Error> {
        if left >= 0 {
            return None;
        }
        match (self.fuel.check(left), &self.patience) {
            (Err(error), _) => Some(error),
            // A run that may not take long has only a part of its fuel.
            (Ok(()), Patience::Inline { .. }) => Some(self.put_down(PutDown::Long)),
            (Ok(()), _) => None,
        }
    }

    /// Until when the run may have its thread, if that is not ours.
    pub(crate) fn until(&self) -> Option<Instant> {
        match self.patience {
            Patience::Inline { since, .. } => Some(since + INLINE),
            Patience::Holds | Patience::Parks(_) => None,
        }
    }

    /// Puts the run down for what it has taken.
    pub(crate) fn takes_long(&mut self) -> Error {
        self.put_down(PutDown::Long)
    }

    /// Puts the run down. The error ends it, and nobody gets to see it.
    fn put_down(&mut self, why: PutDown) -> Error {
        self.put_down = Some(why);
        internal("a run was put down")
    }
}

/// A run on a worker's thread.
pub(crate) struct OnWorker {
    pub workers: Arc<Workers>,
    pub skill: SkillId,
    /// Whether the watch sees to it that another thread takes this one's place when the run takes long. Otherwise the run
    /// itself does.
    pub watched: bool,
    /// Set from when the run has taken long, where it sees to that itself.
    pub long: Option<Away>,
}

impl OnWorker {
    /// Lets another thread take this one's place while it waits, unless one does already.
    pub(crate) fn wait(&self) -> Waiting {
        let away = match self.watched {
            true => interrupt::with_slot(|slot| slot.wait()),
            false => self.long.is_none().then(|| self.workers.wait(self.skill)),
        };
        Waiting { _away: away, watched: self.watched }
    }
}

/// A wait of a worker's.
pub(crate) struct Waiting {
    _away: Option<Away>,
    watched: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.watched {
            interrupt::with_slot(|slot| slot.go_on());
        }
    }
}

/// How long a run has a worker to itself. Far longer than nearly all events take, and short for those that wait behind.
pub(crate) const LONG: Duration = Duration::from_millis(5);

impl Running {
    /// Lets another thread take this one's place once this run has taken long.
    fn make_room(&mut self) {
        if let Some(OnWorker { workers, skill, watched: false, long: long @ None }) = &mut self.worker
            && self.clock.deadline.elapsed() > LONG
        {
            *long = Some(workers.run_long(*skill));
        }
    }
}

impl Guest {
    /// How its run is suspended, if it is.
    pub(crate) fn suspension(&self) -> Option<Suspension> {
        self.running.as_deref()?.suspension()
    }

    #[inline]
    pub(crate) fn parts(&self) -> Result<&Parts, Error> {
        self.parts.as_ref().ok_or_else(|| internal("guest code ran before its instance was complete"))
    }

    #[inline]
    pub(crate) fn parts_mut(&mut self) -> Result<&mut Parts, Error> {
        self.parts.as_mut().ok_or_else(|| internal("guest code ran before its instance was complete"))
    }

    /// Its parts, and the run that it is in.
    #[inline]
    pub(crate) fn at_work(&mut self) -> Result<(&mut Parts, &mut Running), Error> {
        let parts = self.parts.as_mut().ok_or_else(|| internal("guest code ran before its instance was complete"))?;
        let running = self.running.as_deref_mut().ok_or_else(|| internal("guest code ran outside of any event"))?;
        Ok((parts, running))
    }

    #[inline]
    pub(crate) fn running(&mut self) -> Result<&mut Running, Error> {
        self.running.as_deref_mut().ok_or_else(|| internal("guest code ran outside of any event"))
    }
}

pub(crate) fn internal(message: &str) -> Error {
    ErrorKind::Internal { message: message.into() }.into()
}

/// Gives the guest its next slice of fuel.
pub(crate) fn refuel(guest: &mut Guest) -> Result<(), Error> {
    let counter = guest.parts()?.fuel;
    let running = guest.running()?;
    // First, because a run that was stopped has an empty counter.
    running.clock.check()?;
    let slice = running.fuel.next_slice(counter.get())?;
    if matches!(running.patience, Patience::Inline { .. }) {
        return Err(running.put_down(PutDown::Long));
    }
    running.make_room();
    counter.set(slice);
    Ok(())
}

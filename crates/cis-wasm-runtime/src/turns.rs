//! How events get to the workers: those of a kept skill in the order in which they were sent, one at a time.
//!
//! Invariant: while anything waits for a kept skill's instance, one job of its is with the workers, and no more than one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};

use futures_channel::oneshot;

use crate::clock::Cancel;
use crate::error::Error;
use crate::guest::{Patience, internal};
use crate::learnt::Stopwatch;
use crate::nesting::Depth;
use crate::run::{Attempt, Kept, Skill, StateOf, Task, Thread};

/// What waits for a kept skill's one instance.
#[derive(Default)]
pub(crate) struct Turns(Mutex<Queue>);

impl Turns {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[derive(Default)]
struct Queue {
    /// In order.
    waiting: VecDeque<Turn>,
    /// Whether a worker has been sent to serve them.
    served: bool,
}

/// What a kept skill is to do next.
pub(crate) enum Turn {
    Event(Box<Event>),
    /// End, and say how that went.
    Close(oneshot::Sender<Result<(), Error>>),
}

/// An event on its way to a worker.
pub(crate) struct Event {
    task: Task,
    depth: Depth,
    cancel: Cancel,
    reply: oneshot::Sender<Attempt>,
}

impl Skill {
    /// Sends an event to the workers.
    pub(crate) fn submit(self: &Arc<Self>, task: Task, cancel: Cancel) -> oneshot::Receiver<Attempt> {
        let (reply, answer) = oneshot::channel();
        let event = Event { task, depth: Depth::here(), cancel, reply };
        let skill = self.clone();
        match &self.state {
            StateOf::Fresh(_) => self.runtime.workers().spawn(self.id, Box::new(move || skill.serve(event))),
            StateOf::Kept(kept) => self.wait_for_turn(kept, Turn::Event(Box::new(event))),
        }
        answer
    }

    /// Puts something at the end of a kept skill's queue.
    pub(crate) fn wait_for_turn(self: &Arc<Self>, kept: &Kept, turn: Turn) {
        let mut queue = kept.turns.queue();
        queue.waiting.push_back(turn);
        if !std::mem::replace(&mut queue.served, true) {
            drop(queue);
            self.send_worker();
        }
    }

    /// Has a worker see to a kept skill's next turn: one, so that other skills get theirs.
    fn send_worker(self: &Arc<Self>) {
        let skill = self.clone();
        self.runtime.workers().spawn(
            self.id,
            Box::new(move || {
                let StateOf::Kept(kept) = &skill.state else { return };
                let next = kept.turns.queue().waiting.pop_front();
                match next {
                    Some(Turn::Event(event)) => skill.serve(*event),
                    Some(Turn::Close(reply)) => {
                        let closed = catch_unwind(AssertUnwindSafe(|| skill.shut_down(Thread::Worker(skill.id))));
                        // Nobody may be waiting any more.
                        let _ = reply.send(closed.unwrap_or_else(|_| Err(internal("ending a skill panicked"))));
                    }
                    None => {}
                }
                let mut queue = kept.turns.queue();
                queue.served = !queue.waiting.is_empty();
                let more = queue.served;
                drop(queue);
                if more {
                    skill.send_worker();
                }
            }),
        );
    }

    fn serve(&self, event: Event) {
        let Event { task, depth, cancel, reply } = event;
        let patience = match &self.state {
            StateOf::Fresh(_) => Patience::Parks(self.park_after),
            StateOf::Kept(_) => Patience::Holds,
        };
        // One that goes on did not use all of its fuel here.
        let measured = matches!(self.state, StateOf::Fresh(_)) && task.resumption.is_none();
        let measured = measured.then(|| (self.learnt.of(&task.event_type), Stopwatch::start()));
        let attempt = depth.within(|| self.attempt_safely(task, cancel, Thread::Worker(self.id), patience));
        if let Some((kind, stopwatch)) = measured {
            kind.worked(attempt.fuel(), stopwatch.elapsed());
        }
        // Nobody may be waiting any more.
        let _ = reply.send(attempt);
    }
}

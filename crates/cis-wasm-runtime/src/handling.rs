//! The future of an event: whose turn it is, and what it takes to wait.
//!
//! An event of a fresh skill begins on the thread that polls the future, when others of its type took little time. Where that
//! takes too long, or nothing is known of them, it goes to a worker. Where a host call is not answered at once, the run is put down: its instance is free for
//! others, and what stays is the call, which is polled here from then on, with the event's journal in it. When it is
//! answered, the event is run again from its start, or goes on where it was if that was kept ([`crate::checkpoint`]): here
//! once more, on the thread that the answer woke, or on a worker.
//!
//! Invariants:
//! - A poll begins one run at the most, so it takes no longer than a run may on a thread that is not ours. An answer that is
//!   there at once has the future polled again.
//! - An event is in one place at a time: with a worker, with a call that waits, or in a run on the polling thread.
//! - Its deadline goes on while a call waits, and stands still while it waits for a worker.
//! - Nothing of it goes on when the future is dropped: a worker's run is cancelled, a waiting call is dropped.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use cis_wasm_host::{HostError, HostReply};
use futures_channel::oneshot;

use crate::checkpoint::{Resumption, Ticket};
use crate::clock::{Cancel, Deadline};
use crate::error::{Error, ErrorKind};
use crate::guest::{Patience, internal};
use crate::interrupt::{self, Alarm};
use crate::learnt::Time;
use crate::limits::Receipt;
use crate::nesting::Depth;
use crate::pending::Pending;
use crate::run::{Attempt, Outcome, Skill, Task, Thread};
use crate::shares::Share;

/// An event that is being handled.
pub(crate) struct Handling {
    skill: Share<Skill>,
    stage: Stage,
    /// Known from its first poll on.
    depth: Option<Depth>,
}

enum Stage {
    /// It is to be run, for the first time or again.
    Due(Task),
    OnWorker {
        answer: oneshot::Receiver<Attempt>,
        cancel: CancelOnDrop,
    },
    /// In a box, because most events never wait, and all are handed on.
    Waiting(Box<Waiting>),
    /// Its outcome was given out.
    Over,
}

/// What follows a stage.
enum Next {
    /// Another one, and something to do for it.
    Goes(Stage),
    /// Another one, in which the future will be woken.
    Waits(Stage),
    Ends(Outcome),
}

/// An event that was put down while a call waits.
struct Waiting {
    task: Task,
    call: Pending,
    deadline: Deadline,
    /// When it was put down.
    since: Instant,
    /// Wakes at the deadline.
    alarm: Option<Alarm>,
    /// What was kept of its run.
    ticket: Option<Ticket>,
    fuel: u64,
    memory_bytes: u64,
}

/// Cancels an event whose future is dropped before its end.
struct CancelOnDrop(Option<Cancel>);

impl CancelOnDrop {
    /// The event has ended. Nobody is to look for its run: that would wake the watch, and have it signal a thread.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}

impl Handling {
    pub(crate) fn new(skill: Share<Skill>, task: Task) -> Self {
        Handling { skill, stage: Stage::Due(task), depth: None }
    }

    /// Runs the event as far as it gets at once, from its start or from where it was.
    fn begin(&self, task: Task) -> Next {
        // Where a run is going on already, a skill's backend handles an event of a skill: that goes only so deep on one stack.
        if interrupt::is_running() || !self.skill.is_brief(&task) {
            return self.send(task);
        }
        let kind = self.skill.learnt.of(&task.event_type);
        let (begins, goes_on, stopwatch) = (task.begun.is_none(), task.resumption.is_some(), kind.stopwatch());
        let patience = Patience::Inline { since: stopwatch.since(), fuel: kind.fuel() };
        let attempt = || self.skill.attempt_safely(task, Cancel::default(), Thread::Lent, patience);
        let attempt = self.skill.runtime.workers().scoped(attempt);
        match &attempt {
            _ if goes_on => {}
            // Its receipt says how long it took on the wall, when it has not been elsewhere before.
            Attempt::Done(Outcome { receipt, .. }) if begins && !stopwatch.measures() => {
                kind.ended(receipt.fuel, Time::on_the_wall(receipt.wall))
            }
            Attempt::Done(Outcome { receipt, .. }) => kind.ended(receipt.fuel, stopwatch.time()),
            Attempt::PutDown { waits: Some(_), fuel, .. } => kind.ended(*fuel, stopwatch.time()),
            // Nothing ran: there was no instance for it, which says nothing of the event.
            Attempt::PutDown { waits: None, fuel: 0, .. } => {}
            Attempt::PutDown { waits: None, fuel, .. } => kind.unended(*fuel, stopwatch.time()),
        }
        self.after(attempt)
    }

    fn send(&self, task: Task) -> Next {
        let cancel = Cancel::possible();
        let answer = self.skill.submit(task, cancel.clone());
        Next::Goes(Stage::OnWorker { answer, cancel: CancelOnDrop(Some(cancel)) })
    }

    /// What follows an attempt.
    fn after(&self, attempt: Attempt) -> Next {
        match attempt {
            Attempt::Done(outcome) => Next::Ends(outcome),
            // Its instance was not free: somebody else may be polled meanwhile.
            Attempt::PutDown { task, waits: None, .. } if task.resumption.is_some() && !task.repeats.went_back() => {
                Next::Goes(Stage::Due(task))
            }
            Attempt::PutDown { task, waits: None, .. } => self.send(task),
            Attempt::PutDown { task, waits: Some(call), ticket, fuel, memory_bytes } => {
                let Some((deadline, _)) = task.begun else {
                    return self.fails("a run was put down before it began");
                };
                let since = Instant::now();
                let waiting = Waiting { task, call, deadline, since, alarm: None, ticket, fuel, memory_bytes };
                Next::Goes(Stage::Waiting(Box::new(waiting)))
            }
        }
    }

    /// Polls a call that waits.
    fn wait(&self, mut waiting: Box<Waiting>, context: &mut Context<'_>) -> Next {
        let answered = self.skill.runtime.workers().scoped(|| waiting.call.poll(context));
        // Also when it was answered: an answer that is late is late.
        if let Err(late) = waiting.deadline.left(waiting.call.name) {
            return Next::Ends(self.given_up(*waiting, late));
        }
        match answered {
            Poll::Ready(answer) => self.answered(*waiting, answer),
            Poll::Pending => {
                match &waiting.alarm {
                    Some(alarm) => alarm.wakes(context.waker()),
                    None => {
                        let due = waiting.deadline.due();
                        waiting.alarm = Some(self.skill.runtime.watch().alarm(due, context.waker().clone()));
                    }
                }
                Next::Waits(Stage::Waiting(waiting))
            }
        }
    }

    fn answered(&self, waiting: Waiting, answer: Result<HostReply, HostError>) -> Next {
        match answer {
            // An exhausted budget stands in the journal like an answer.
            Ok(_) | Err(HostError::BudgetExhausted { .. }) => {
                let Waiting { mut task, call, deadline, since, ticket, fuel, .. } = waiting;
                let Some(mut context) = call.into_context() else {
                    return self.fails("a call did not give its event's context back");
                };
                context.journal.parked(since);
                task.begun = Some((deadline, deadline.elapsed()));
                match ticket {
                    Some(ticket) => {
                        task.resumption = Some(Box::new(Resumption::new(ticket, context, answer, fuel)));
                    }
                    None => task.journal = context.journal.again(),
                }
                Next::Goes(Stage::Due(task))
            }
            Err(error) => Next::Ends(self.given_up(waiting, error.into())),
        }
    }

    /// It ends of a bug of ours.
    fn fails(&self, why: &str) -> Next {
        Next::Ends(self.skill.outcome_without_run(internal(why)))
    }

    /// The outcome of an event that ends while a call of it waits.
    fn given_up(&self, waiting: Waiting, error: Error) -> Outcome {
        let Waiting { task, call, deadline, fuel, memory_bytes, .. } = waiting;
        let mut outcome = self.skill.outcome_without_run(error);
        if let Some(context) = call.into_context() {
            outcome.receipt = Receipt {
                ledger: context.ledger,
                fuel,
                memory_bytes,
                wall: deadline.elapsed(),
                limits: outcome.receipt.limits,
            };
            outcome.log = context.log;
            if task.journalled {
                outcome.journal = context.journal;
            }
        }
        outcome
    }
}

impl Future for Handling {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let depth = match self.depth.map_or_else(Depth::of_next, Ok) {
            Ok(depth) => depth,
            Err(error) => {
                self.stage = Stage::Over;
                return Poll::Ready(self.skill.outcome_without_run(error));
            }
        };
        self.depth = Some(depth);
        depth.within(|| self.go_on(context))
    }
}

impl Handling {
    fn go_on(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut began = false;
        loop {
            let next = match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Due(task) if began => {
                    context.waker().wake_by_ref();
                    Next::Waits(Stage::Due(task))
                }
                Stage::Due(task) => {
                    began = true;
                    self.begin(task)
                }
                Stage::OnWorker { mut answer, cancel } => match Pin::new(&mut answer).poll(context) {
                    Poll::Pending => Next::Waits(Stage::OnWorker { answer, cancel }),
                    Poll::Ready(Ok(attempt)) => {
                        cancel.disarm();
                        self.after(attempt)
                    }
                    // The sender goes without an answer only when its job was dropped with the workers.
                    Poll::Ready(Err(_)) => Next::Ends(self.skill.outcome_without_run(ErrorKind::RuntimeClosed.into())),
                },
                Stage::Waiting(waiting) => self.wait(waiting, context),
                Stage::Over => panic!("an event's future was polled after it was ready"),
            };
            match next {
                Next::Goes(stage) => self.stage = stage,
                Next::Waits(stage) => {
                    self.stage = stage;
                    return Poll::Pending;
                }
                Next::Ends(outcome) => return Poll::Ready(outcome),
            }
        }
    }
}

//! The events that wait while their skill is paused.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_channel::oneshot;

use super::flight::Flight;
use crate::{Error, Event, Response, Result};

/// Events in order of their arrival, up to a bound.
pub(super) struct Queue {
    waiting: VecDeque<Queued>,
    bound: usize,
}

/// One event that waits.
pub(super) struct Queued {
    event: Event,
    answer: oneshot::Sender<Result<Ticket>>,
}

/// An event's right to run, and how far it has come.
pub(super) enum Ticket {
    /// It has not begun.
    Ready(Flight, Event),
    /// It has begun, and this is the rest of it. The flight stands behind it, so that it is dropped last.
    Begun(Pin<Box<dyn Future<Output = Result<Response>> + Send>>, Flight),
    /// It has ended.
    Ended(Flight, Box<Result<Response>>),
}

impl Queue {
    pub(super) fn new(bound: usize) -> Self {
        Queue { waiting: VecDeque::new(), bound }
    }

    /// Puts an event at the end. `None` when the queue is full.
    pub(super) fn push(&mut self, event: Event) -> Option<oneshot::Receiver<Result<Ticket>>> {
        if self.waiting.len() >= self.bound {
            self.waiting.retain(Queued::wanted);
        }
        if self.waiting.len() >= self.bound {
            return None;
        }
        let (answer, ticket) = oneshot::channel();
        self.waiting.push_back(Queued { event, answer });
        Some(ticket)
    }

    /// Takes all events out, the oldest first.
    pub(super) fn take(&mut self) -> Vec<Queued> {
        self.waiting.drain(..).filter(Queued::wanted).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.iter().filter(|queued| queued.wanted()).count()
    }

    pub(super) fn bound(&self) -> usize {
        self.bound
    }
}

impl Queued {
    /// Whether its sender still waits.
    fn wanted(&self) -> bool {
        !self.answer.is_canceled()
    }

    /// Lets the event run. A wasm skill's event begins right here, so that events begin in the order in which they are
    /// served, whatever the executor of their senders does first. Not a durable one's: it may have to be counted first.
    pub(super) fn serve(self, flight: Flight) {
        let ticket = match flight.wasm() {
            None => Ticket::Ready(flight, self.event),
            Some(_) if self.event.journal().is_some() => Ticket::Ready(flight, self.event),
            Some(skill) => {
                let mut run: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(skill.handle(self.event));
                match run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(result) => Ticket::Ended(flight, Box::new(result)),
                    Poll::Pending => Ticket::Begun(run, flight),
                }
            }
        };
        // When its sender has gone meanwhile, dropping the ticket cancels the event.
        let _ = self.answer.send(Ok(ticket));
    }

    /// Gives the event back to its sender.
    pub(super) fn refuse(self, error: Error) {
        let _ = self.answer.send(Err(error));
    }
}

impl Ticket {
    /// Runs the event, or what is left of it, to its end.
    pub(super) async fn run(self) -> Result<Response> {
        let (flight, result) = match self {
            Ticket::Ready(flight, event) => return flight.run(event).await,
            Ticket::Begun(mut run, flight) => {
                let result = poll_fn(|context| run.as_mut().poll(context)).await;
                (flight, result)
            }
            Ticket::Ended(flight, result) => (flight, *result),
        };
        flight.land(result)
    }

    /// The same on the calling thread.
    pub(super) fn run_blocking(self) -> Result<Response> {
        match self {
            Ticket::Ready(flight, event) => flight.run_blocking(event),
            begun => pollster::block_on(begun.run()),
        }
    }
}

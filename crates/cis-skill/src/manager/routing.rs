//! Bringing an event to its skill, or to every skill that subscribes to it.

use std::future::Future;
use std::sync::Arc;

use cis_wasm_host::SkillName;
use futures_util::future::join_all;

use super::SkillManager;
use super::queue::Ticket;
use super::slot::{Admission, Slot};
use crate::{Error, ErrorKind, Event, Response, Result};

impl SkillManager {
    /// Sends an event to a skill and waits for its answer, under any executor.
    ///
    /// Dropping the future cancels the event. While the skill is paused the event is queued, and runs when the skill is
    /// resumed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownSkill`], [`ErrorKind::NotActive`], [`ErrorKind::BackingOff`], [`ErrorKind::QueueFull`] and
    /// [`ErrorKind::EventWithdrawn`] when the event did not run. Otherwise the skill's own error, which carries the
    /// event's receipt and log.
    pub fn send_event(
        &self,
        skill: &str,
        event: Event,
    ) -> impl Future<Output = Result<Response>> + Send + 'static + use<> {
        let slot = self.slot(skill);
        async move { send(slot?, event).await }
    }

    /// The same for an embedder without an executor: the event runs on the calling thread, which is blocked until the
    /// skill has answered, and before that for as long as the skill is paused.
    ///
    /// Not to be called on a thread of an async executor; [`send_event`](Self::send_event) is for those.
    ///
    /// # Errors
    ///
    /// As for [`send_event`](Self::send_event).
    pub fn send_event_blocking(&self, skill: &str, event: Event) -> Result<Response> {
        match self.slot(skill)?.admit(event)? {
            Admission::Run(ticket) => ticket.run_blocking(),
            Admission::Wait(ticket) => pollster::block_on(ticket).unwrap_or_else(|_| Err(lost()))?.run_blocking(),
        }
    }

    /// Sends an event to every skill that subscribes to its type and is active, paused or failed, to all at the same time,
    /// and waits for all answers. They come in order of the skills' names.
    ///
    /// A skill that fails keeps no other from its event: each has its own result.
    pub fn broadcast(
        &self,
        event: Event,
    ) -> impl Future<Output = Vec<(SkillName, Result<Response>)>> + Send + 'static + use<> {
        let subscribers: Vec<(SkillName, Arc<Slot>)> =
            self.slots().into_iter().filter(|(_, slot)| slot.subscribes(event.event_type())).collect();
        async move {
            join_all(subscribers.into_iter().map(|(name, slot)| {
                let event = event.clone();
                async move { (name, send(slot, event).await) }
            }))
            .await
        }
    }
}

async fn send(slot: Arc<Slot>, event: Event) -> Result<Response> {
    run(slot.admit(event)?).await
}

/// Runs an event that was let in, when it is its turn.
pub(super) async fn run(admission: Admission) -> Result<Response> {
    turn(admission).await?.run().await
}

/// Waits for the turn of an event that was let in.
pub(super) async fn turn(admission: Admission) -> Result<Ticket> {
    match admission {
        Admission::Run(ticket) => Ok(ticket),
        Admission::Wait(ticket) => ticket.await.unwrap_or_else(|_| Err(lost())),
    }
}

/// Every way out of a queue answers; a ticket that was dropped unanswered went with the whole manager.
pub(super) fn lost() -> Error {
    ErrorKind::ShutDown.into()
}

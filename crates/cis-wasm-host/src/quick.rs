//! The short way through the door, for calls that are answered on the spot: no future, and no copy of an argument that nobody
//! keeps.
//!
//! Invariant: whether a call takes this way or [`Host::call`], the event's ledger, journal, log and last failure are the same
//! after it, and so is the answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use cis_wasm_abi::{Status, ceilings};

use crate::host::{Answered, Ended, Refusal, backend_panicked, config_get, place_to_delete, place_to_set, within};
use crate::place::Place;
use crate::unwired::{Limit, unwired};
use crate::{
    Access, BackendError, CallContext, Charge, Host, HostCall, HostError, HostReply, ImmediateMemory, JournalEntry,
    QuickCall, Resource,
};

impl Host {
    /// Answers a call at once, if nothing of it has to wait. If not, nothing has happened, and the call is to be made by
    /// [`Host::call`], which does the same.
    ///
    /// # Errors
    ///
    /// As [`Host::call`].
    #[inline]
    pub fn call_now(&self, context: &mut CallContext, call: &QuickCall<'_>) -> Option<Result<HostReply, HostError>> {
        if !context.journal.is_plain() {
            return None;
        }
        let memory = if call.is_memory() { Some(self.immediate_memory()?) } else { None };
        Some(self.quick(context, call, memory))
    }

    #[inline]
    fn quick(
        &self,
        context: &mut CallContext,
        call: &QuickCall<'_>,
        memory: Option<&dyn ImmediateMemory>,
    ) -> Result<HostReply, HostError> {
        let name = call.name();
        context.ledger.take(name, Resource::HostCalls, 1)?;
        context.ledger.take(name, Resource::BytesIn, call.bytes())?;
        if context.journal.is_off() {
            return match self.answer_now(context, call, memory) {
                Ok(reply) => context.replied(name, reply),
                Err(ended) => {
                    let answer = self.ended(context, name, ended)?;
                    context.end(name, answer)
                }
            };
        }
        let kept: HostCall = call.into();
        let before = Charge::total(&kept, &context.ledger);
        let answer = match self.answer_now(context, call, memory) {
            Ok(reply) => crate::Answer::Replied(reply),
            Err(ended) => self.ended(context, name, ended)?,
        };
        let charge = Charge::total(&kept, &context.ledger).since(before);
        context.journal.keep(JournalEntry { call: kept, answer: answer.clone(), charge });
        context.end(name, answer)
    }

    #[inline]
    fn answer_now(
        &self,
        context: &mut CallContext,
        call: &QuickCall<'_>,
        memory: Option<&dyn ImmediateMemory>,
    ) -> Answered {
        let no_memory = || Refusal::new(Status::NotConfigured, "the host has no memory backend");
        match *call {
            QuickCall::ConfigGet { key } => config_get(context, key),
            QuickCall::Log { level, message } => self.log(context, level, message),
            QuickCall::SetError { message } => self.set_error(context, message),
            QuickCall::MemoryGet { key } => {
                let place = Place::of_key(context.scope(), key, Access::Read)?;
                let memory = memory.ok_or_else(no_memory)?;
                Ok(match guarded(|| memory.get_now(&place.namespace, place.key))? {
                    None => HostReply::OK,
                    Some(value) => HostReply::Bytes(within(value, ceilings::VALUE, "the value")?),
                })
            }
            QuickCall::MemorySet { key, value } => {
                let (scope, ledger) = context.scope_and_ledger();
                let (place, _) = place_to_set(scope, ledger, key, value)?;
                let memory = memory.ok_or_else(no_memory)?;
                let value = Bytes::copy_from_slice(value);
                guarded(|| memory.set_now(&place.namespace, place.key, value, scope.quota))?;
                Ok(HostReply::OK)
            }
            QuickCall::MemoryDelete { key } => {
                let (scope, ledger) = context.scope_and_ledger();
                let place = place_to_delete(scope, ledger, key)?;
                let memory = memory.ok_or_else(no_memory)?;
                let deleted = guarded(|| memory.delete_now(&place.namespace, place.key))?;
                Ok(HostReply::Status(if deleted { Status::Ok } else { Status::NotFound }))
            }
        }
    }
}

/// Has a backend answer, so that its panic is an error of the backend and not the end of a worker.
#[inline]
fn guarded<T>(answer: impl FnOnce() -> Result<T, BackendError>) -> Result<T, Ended> {
    if unwired(Limit::Panics) {
        return Ok(answer()?);
    }
    Ok(catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|panic| Err(backend_panicked(&*panic)))?)
}

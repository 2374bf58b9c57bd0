//! How far an event has come, for a run that goes back there.

use crate::{CallContext, CallFailure, Ledger};

/// How far an event had come: made by [`CallContext::mark`].
#[derive(Clone, Debug)]
pub struct Mark {
    ledger: Ledger,
    /// Lines logged.
    log: usize,
    error_text: Option<String>,
    last_failure: Option<CallFailure>,
    /// Calls that the journal had answered, and refused.
    calls: (usize, usize),
}

impl CallContext {
    /// How far the event has come, for [`back_to`](Self::back_to).
    pub fn mark(&self) -> Mark {
        Mark {
            ledger: self.ledger,
            log: self.log.len(),
            error_text: self.error_text.clone(),
            last_failure: self.last_failure.clone(),
            calls: self.journal.calls(),
        }
    }

    /// Goes back to where the event was, for a run that does again what was done since. The journal answers the calls that
    /// were made since, and what they cost is charged again.
    ///
    /// The journal and the log are those of the event, as they are now; of the rest nothing is looked at.
    pub fn back_to(&mut self, mark: Mark) {
        let Mark { ledger, log, error_text, last_failure, calls } = mark;
        self.ledger = ledger;
        self.log.truncate(log);
        self.error_text = error_text;
        self.last_failure = last_failure;
        self.journal.back_to(calls);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use cis_wasm_abi::{Level, Status};

    use super::*;
    use crate::{Host, HostCall, InMemory, Journal, Resource, SkillScope};

    /// Nothing here waits.
    fn made(host: &Host, context: &mut CallContext, call: HostCall) {
        let mut call = pin!(host.call(context, call));
        assert!(matches!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(_))));
    }

    #[test]
    fn what_was_done_since_is_done_again_by_the_journal() {
        let host = Host::builder().memory(InMemory::new()).build();
        let log = |message: &str| HostCall::Log { level: Level::Info, message: message.into() };
        let set = |value: &str| HostCall::MemorySet { key: "key".into(), value: value.to_owned().into() };
        let tells = |message: &str| HostCall::SetError { message: message.into() };
        let mut context = CallContext::new(Arc::new(SkillScope::new("notes".parse().unwrap())));
        context.journal = Journal::record().traced();
        for call in [log("one"), tells("first"), set("a")] {
            made(&host, &mut context, call);
        }
        host.refuse(&mut context, "host_memory_get", Status::NotUtf8, "the key".into()).unwrap();
        let (mark, then) = (context.mark(), context.clone());
        let since = |host: &Host, context: &mut CallContext| {
            for call in [log("two"), tells("second"), set("b")] {
                made(host, context, call);
            }
            host.refuse(context, "host_ai_chat", Status::TooLarge, "the prompt".into()).unwrap();
        };
        since(&host, &mut context);
        let end = context.clone();
        context.back_to(mark);
        assert_eq!((context.ledger, &context.log), (then.ledger, &then.log));
        assert_eq!((&context.error_text, &context.last_failure), (&then.error_text, &then.last_failure));
        assert_eq!(context.journal.answered(), 3);
        // By a host that has no memory.
        since(&Host::default(), &mut context);
        assert!(!context.journal.is_replaying());
        assert_eq!(context.ledger.used().of(Resource::HostCalls), 8);
        assert_eq!((context.ledger, &context.log), (end.ledger, &end.log));
        assert_eq!((&context.error_text, &context.last_failure), (&end.error_text, &end.last_failure));
        assert_eq!(context.journal.entries(), end.journal.entries());
        let refused = |context: &CallContext| context.journal.trace().unwrap().refused().to_vec();
        assert_eq!(refused(&context), refused(&end));
        assert_eq!(refused(&end).len(), 2);
        // And what comes then is live again.
        made(&host, &mut context, set("c"));
        assert_eq!(context.journal.entries().len(), 7);
    }
}

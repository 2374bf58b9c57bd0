//! A host call that can outlive the run that made it.
//!
//! Invariant: a call is asked of its backend once. The future that asks is neither dropped nor made again when its run is put
//! down: it goes along, with the event's context in it, and the next run of the event is answered from the journal that the
//! context keeps.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use cis_wasm_host::{CallContext, Host, HostCall, HostError, HostReply};

/// A call that was made and has not been answered.
pub(crate) struct Pending {
    call: Pin<Box<dyn Future<Output = Result<HostReply, HostError>> + Send>>,
    context: Arc<Mutex<Option<Box<CallContext>>>>,
    relay: Arc<Relay>,
    /// The import that made it.
    pub name: &'static str,
}

/// A context that is lent to a call, and comes back however that ends.
struct Lent {
    context: Option<Box<CallContext>>,
    to: Arc<Mutex<Option<Box<CallContext>>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.to.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = self.context.take();
    }
}

/// Wakes whoever polled last. Who polls changes as the call goes from a run to whoever waits for it, and a backend that keeps
/// the waker of its first poll is common enough.
#[derive(Default)]
struct Relay {
    to: Mutex<Option<Waker>>,
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        let to = self.to.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if let Some(waker) = to {
            waker.wake();
        }
    }
}

impl Pending {
    /// Makes a call in the name of an event. Nothing happens before it is polled.
    pub(crate) fn new(host: Host, context: Box<CallContext>, call: HostCall) -> Self {
        let name = call.name();
        let back = Arc::new(Mutex::new(None));
        let mut lent = Lent { context: Some(context), to: back.clone() };
        let call = Box::pin(async move {
            let context = lent.context.as_mut().expect("it is taken when `lent` is dropped");
            host.call(context, call).await
        });
        Pending { call, context: back, relay: Arc::default(), name }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<HostReply, HostError>> {
        {
            let mut to = self.relay.to.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if !to.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *to = Some(context.waker().clone());
            }
        }
        self.call.as_mut().poll(&mut Context::from_waker(&Waker::from(self.relay.clone())))
    }

    /// The event's context. A call that was not answered is given up.
    pub(crate) fn into_context(self) -> Option<Box<CallContext>> {
        drop(self.call);
        self.context.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }
}

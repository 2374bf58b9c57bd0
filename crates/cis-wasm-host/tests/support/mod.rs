//! What the tests share: a way to wait, loopback servers, a host with backends to look into, and the log.
// Every test file is a program of its own and uses a part of this.
#![allow(dead_code, unreachable_pub)]

pub mod backends;
#[cfg(feature = "http")]
pub mod egress;
pub mod logs;
pub mod server;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use cis_wasm_host::{CallContext, Grants, SkillScope};

/// Waits for a future on a plain thread, without any executor.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// The scope of a skill with these grants.
pub fn scope(name: &str, grants: Grants) -> SkillScope {
    SkillScope { grants, ..SkillScope::new(name.parse().unwrap()) }
}

/// A new event of a skill with these grants.
pub fn event(name: &str, grants: Grants) -> CallContext {
    CallContext::new(Arc::new(scope(name, grants)))
}

//! What each host import of a CIS skill means, knowing nothing of the engine that runs the skill.
//!
//! A call from a skill arrives as a [`HostCall`] and leaves as a [`HostReply`], through one door: [`Host::call`]. Behind
//! the door, in this order:
//!
//! 1. **grant**: may this skill do this at all ([`Grants`])?
//! 2. **budget**: is there some of it left for this event ([`Ledger`])? It is taken before the work is done.
//! 3. **journal**: was this call answered before ([`Journal`])?
//! 4. **backend**: [`MemoryBackend`], [`AiBackend`] or [`HttpBackend`] does the work.
//!
//! ```
//! use std::sync::Arc;
//! use cis_wasm_host::{CallContext, Host, HostCall, HostReply, InMemory, SkillScope};
//!
//! # fn block_on<F: std::future::Future>(future: F) -> F::Output {
//! #     let mut future = std::pin::pin!(future);
//! #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
//! #     loop { if let std::task::Poll::Ready(out) = future.as_mut().poll(&mut context) { return out } }
//! # }
//! let host = Host::builder().memory(InMemory::new()).build();
//! let mut context = CallContext::new(Arc::new(SkillScope::new("notes".parse()?)));
//!
//! let set = HostCall::MemorySet { key: "greeting".into(), value: "hello".into() };
//! assert_eq!(block_on(host.call(&mut context, set))?, HostReply::OK);
//! let get = HostCall::MemoryGet { key: "greeting".into() };
//! assert_eq!(block_on(host.call(&mut context, get))?, HostReply::Bytes("hello".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `redb` | yes | `RedbMemory`: memory in one redb file; an acknowledged write survives a crash |
//! | `openai` | yes | `OpenAi`: any OpenAI-compatible chat endpoint; async-openai, reqwest, a tokio thread of its own |
//! | `http` | yes | `EgressClient`: reqwest with rustls behind the egress guard, on a tokio thread of its own |
//! | `unwire` | no | for tests: a switch that takes one limit out of service, in builds with debug assertions only |
#![forbid(unsafe_code)]

mod backend;
mod call;
mod durable;
#[cfg(feature = "http")]
mod egress;
mod error;
mod grant;
mod host;
#[cfg(any(feature = "http", feature = "openai"))]
mod io_thread;
mod journal;
mod ledger;
mod limits;
mod mark;
#[cfg(feature = "openai")]
mod openai;
mod place;
mod quick;
mod scope;
mod secrets;
mod store;
#[cfg(any(feature = "http", feature = "openai"))]
mod tls;
#[doc(hidden)]
pub mod unwired;

pub use backend::{
    AiBackend, AiReply, AiRequest, BackendError, BackendErrorKind, HttpBackend, HttpRequest, HttpResponse,
    ImmediateMemory, MemoryBackend, Namespace, Quota,
};
pub use call::{HostCall, HostReply, QuickCall};
pub use durable::{
    Changed, DeadLetter, EntryOf, EventEnd, EventId, EventToKeep, JournalPiece, JournalStore, KeptEvent, MemoryChange,
};
#[cfg(feature = "http")]
pub use egress::{AddressClass, EgressClient, EgressPolicy, EgressPolicyError, Resolver, SystemResolver};
pub use error::{Fault, HostError};
pub use grant::{Access, Grants, HostPattern, HttpGrant, HttpRule, HttpRuleError, SecretGrant};
pub use host::{CallContext, CallFailure, Host, HostBuilder, LogLine};
pub use journal::{
    Answer, CallTrace, Charge, DurableEvent, JOURNAL_VERSION, Journal, JournalEntry, JournalError, RefusedCall, Rest,
    Trace, decode_journal, encode_journal,
};
pub use ledger::{Amounts, Ledger, Resource};
pub use limits::{Limits, State};
pub use mark::Mark;
#[cfg(feature = "openai")]
pub use openai::{OpenAi, OpenAiConfig, ReplyLimit};
pub use scope::{SkillName, SkillNameError, SkillScope};
pub use secrets::{SecretValue, SecretValueError, Secrets};
pub use store::InMemory;
#[cfg(feature = "redb")]
pub use store::RedbMemory;

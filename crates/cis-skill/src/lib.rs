//! Skills for AI agents: small programs that extend an agent, run as sandboxed WebAssembly or as native code.
//!
//! A skill can do only what its [`Manifest`] was granted, for as long and as much as its limits allow. An integrator
//! gives a [`SkillManager`] its services, loads skills, and sends them [`Event`]s:
//!
//! ```
//! use cis_skill::{Event, InMemory, LoadOptions, SkillManager};
//!
//! # async fn embed(wasm_bytes: &[u8]) -> Result<(), cis_skill::Error> {
//! let manager = SkillManager::new(InMemory::new())?;
//! manager.load_wasm("greeter", wasm_bytes, LoadOptions::default())?;
//! let event = Event::custom("greet", &serde_json::json!({ "name": "Ada" }))?;
//! match manager.send_event("greeter", event).await {
//!     Ok(response) => println!("{} ({:?})", response.text()?, response.receipt()),
//!     Err(error) => eprintln!("{}: {error} ({:?})", error.code(), error.receipt()),
//! }
//! manager.shutdown().await;
//! # Ok(())
//! # }
//! # let greeter = wat::parse_str(r#"(module (memory (export "memory") 1) (data (i32.const 16) "hello, Ada")
//! #     (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
//! #         (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 10))))"#)?;
//! # pollster::block_on(embed(&greeter))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The futures run under any executor; an integrator without one has [`SkillManager::send_event_blocking`].
//! [`Host::builder`] takes an AI and an HTTP service beside the memory. What an integrator needs of the crates below is
//! re-exported here, so that this dependency is enough.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `redb` | yes | `RedbMemory`: memory in one redb file; an acknowledged write survives a crash |
//! | `openai` | yes | `OpenAi`: any OpenAI-compatible chat endpoint; async-openai, reqwest, a tokio thread of its own |
//! | `http` | yes | `EgressClient`: reqwest with rustls behind the egress guard, on a tokio thread of its own |
//! | `singlepass` | no | `Compiler::Singlepass` and `Tiered`, whose licence is not open source: see cis-wasm-runtime |
#![forbid(unsafe_code)]

mod context;
mod error;
mod event;
mod manager;
mod narrowed;
mod options;
pub mod recording;
mod response;
pub mod skill;
pub mod wasm;

use cis_skill_manifest as manifest;
use cis_skill_manifest::suggest;

/// Everything of the host's crate: backends and what they are made of.
pub use cis_wasm_host as host;

pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use cis_wasm_abi::{Level, Status};
#[cfg(feature = "redb")]
pub use cis_wasm_host::RedbMemory;
pub use cis_wasm_host::{
    Access, AiBackend, AiReply, AiRequest, Amounts, BackendError, BackendErrorKind, DeadLetter, EventEnd, EventId,
    Fault, Grants, Host, HostBuilder, HttpBackend, HttpGrant, HttpRequest, HttpResponse, HttpRule, InMemory,
    JournalStore, Ledger, LogLine, MemoryBackend, Namespace, Quota, Resource, SecretGrant, Secrets, SkillName,
    SkillNameError, SkillScope,
};
#[cfg(feature = "http")]
pub use cis_wasm_host::{EgressClient, EgressPolicy, EgressPolicyError};
#[cfg(feature = "openai")]
pub use cis_wasm_host::{OpenAi, OpenAiConfig, ReplyLimit};
pub use context::SkillContext;
pub use error::{Error, ErrorKind, Result};
pub use event::{Change, Event};
pub use manager::{
    DurableHandle, EventCounts, FailurePolicy, ManagerBuilder, MemoryOnly, Recovered, RegisterOptions, Services,
    SkillHealth, SkillInfo, SkillManager, SkillState, Transition, WholeHost,
};
pub use manifest::{ConfigError, ConfigSchema, Manifest, ManifestError, Setting, SettingType, SkillLimits};
pub use options::LoadOptions;
pub use response::Response;
pub use skill::Skill;
pub use wasm::{
    ArtifactCache, CacheOutcome, Compiler, Limits, Receipt, State, WasmRuntime, WasmSkill, WasmSkillBuilder,
};

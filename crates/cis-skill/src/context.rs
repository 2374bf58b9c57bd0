//! The same host for native skills.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cis_wasm_abi::{Keys, Level, Status};
use cis_wasm_host::{CallContext, Host, HostCall, HostReply, Ledger, LogLine, SkillName, SkillScope};
use cis_wasm_runtime::{Limits, Receipt};
use serde::de::DeserializeOwned;

use crate::{ErrorKind, Result};

/// What a native skill reaches while it handles an event: the calls a wasm skill has as imports, with the same grants,
/// the same budget and the same backends.
///
/// Only the engine's limits do not hold for a native skill: it is the integrator's own code.
///
/// ```
/// use cis_skill::{Host, InMemory, SkillContext, SkillScope};
///
/// let host = Host::builder().memory(InMemory::new()).build();
/// let mut ctx = SkillContext::new(host, SkillScope::new("counter".parse()?));
/// # pollster::block_on(async {
/// ctx.memory_set("count", "1").await?;
/// assert_eq!(ctx.memory_get("count").await?.as_deref(), Some(&b"1"[..]));
/// assert_eq!(ctx.memory_list("").await?, ["count"]);
/// # Ok::<(), cis_skill::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SkillContext {
    host: Host,
    call: CallContext,
    started: Instant,
}

impl SkillContext {
    /// The context of a new event.
    pub fn new(host: Host, scope: impl Into<Arc<SkillScope>>) -> Self {
        SkillContext { host, call: CallContext::new(scope.into()), started: Instant::now() }
    }

    /// The name the skill goes by. Its memory is kept under this name.
    pub fn skill(&self) -> &SkillName {
        &self.call.scope().name
    }

    /// The value of a memory key; `@name/key` is the key of a shared namespace. `None` when there is no such key.
    ///
    /// # Errors
    ///
    /// As for every call here: [`ErrorKind::HostCallFailed`] when it was denied or the backend failed, and
    /// [`ErrorKind::Runtime`] when the event's budget is used up.
    pub async fn memory_get(&mut self, key: &str) -> Result<Option<Bytes>> {
        Ok(match self.call(HostCall::MemoryGet { key: key.to_owned() }).await? {
            HostReply::Bytes(value) => Some(value),
            HostReply::Status(_) => None,
        })
    }

    /// Stores a value under a memory key.
    ///
    /// # Errors
    ///
    /// As for [`memory_get`](Self::memory_get), and when the skill's quota is full.
    pub async fn memory_set(&mut self, key: &str, value: impl Into<Bytes>) -> Result<()> {
        self.call(HostCall::MemorySet { key: key.to_owned(), value: value.into() }).await.map(drop)
    }

    /// Deletes a memory key and says whether it was there.
    ///
    /// # Errors
    ///
    /// As for [`memory_get`](Self::memory_get).
    pub async fn memory_delete(&mut self, key: &str) -> Result<bool> {
        let reply = self.call(HostCall::MemoryDelete { key: key.to_owned() }).await?;
        Ok(reply != HostReply::Status(Status::NotFound))
    }

    /// The memory keys that begin with a prefix, in order of their bytes.
    ///
    /// # Errors
    ///
    /// As for [`memory_get`](Self::memory_get).
    pub async fn memory_list(&mut self, prefix: &str) -> Result<Vec<String>> {
        let HostReply::Bytes(list) = self.call(HostCall::MemoryList { prefix: prefix.to_owned() }).await? else {
            return Ok(Vec::new());
        };
        let keys = Keys::new(&list).map(|key| key.map(str::to_owned));
        let broken = |error| ErrorKind::Internal { message: format!("the host's key list: {error:?}") }.into();
        keys.collect::<std::result::Result<_, _>>().map_err(broken)
    }

    /// Asks the AI.
    ///
    /// # Errors
    ///
    /// As for [`memory_get`](Self::memory_get).
    pub async fn ai_chat(&mut self, prompt: &str) -> Result<String> {
        let reply = self.call(HostCall::AiChat { prompt: prompt.to_owned() }).await?;
        let HostReply::Bytes(text) = reply else { return Ok(String::new()) };
        String::from_utf8(text.into())
            .map_err(|_| ErrorKind::Internal { message: "the host's AI reply is not UTF-8".into() }.into())
    }

    /// Sends an HTTP POST and returns the response's body.
    ///
    /// # Errors
    ///
    /// As for [`memory_get`](Self::memory_get), and when the server's answer is not a success.
    pub async fn http_post(&mut self, url: &str, body: impl Into<Bytes>) -> Result<Bytes> {
        Ok(match self.call(HostCall::HttpPost { url: url.to_owned(), body: body.into() }).await? {
            HostReply::Bytes(body) => body,
            HostReply::Status(_) => Bytes::new(),
        })
    }

    /// Writes a line to the skill's log.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Runtime`] when the event's log budget is used up.
    pub fn log(&mut self, level: Level, message: impl Into<String>) -> Result<()> {
        // Logging has no backend to wait for.
        pollster::block_on(self.call(HostCall::Log { level, message: message.into() })).map(drop)
    }

    /// One of the skill's settings, or `None` when it has no value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadConfig`] when the value is not one of a `T`.
    pub fn config<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.call.scope().config.get(key) else { return Ok(None) };
        let bad = |error: serde_json::Error| ErrorKind::BadConfig { message: format!("the setting `{key}`: {error}") };
        T::deserialize(value).map(Some).map_err(|error| bad(error).into())
    }

    /// What the event may use and has used.
    pub fn ledger(&self) -> &Ledger {
        &self.call.ledger
    }

    /// Makes any host call. An error status in the reply is an error here.
    async fn call(&mut self, call: HostCall) -> Result<HostReply> {
        let name = call.name();
        let reply = self.host.call(&mut self.call, call).await?;
        match reply {
            HostReply::Status(status) if status.is_error() => {
                let failure = self.call.last_failure.take();
                let message = failure.map_or_else(|| status.meaning().to_owned(), |failure| failure.message);
                Err(ErrorKind::HostCallFailed { call: name, status, message }.into())
            }
            reply => Ok(reply),
        }
    }

    /// The receipt and log of the event, now at its end.
    pub(crate) fn finish(self) -> (Receipt, Vec<LogLine>) {
        const UNLIMITED: Limits = crate::SkillLimits::UNLIMITED.engine;
        let ledger = self.call.ledger;
        let wall: Duration = self.started.elapsed();
        (Receipt { limits: UNLIMITED, ledger, fuel: 0, memory_bytes: 0, wall }, self.call.log)
    }
}

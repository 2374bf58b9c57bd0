//! The door: every call of every skill passes [`Host::call`].

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use cis_wasm_abi::{Keys, Level, Status, ceilings, key_entry_len, write_key_entry};
use url::Url;

use crate::durable::SharedStore;
use crate::place::Place;
use crate::unwired::{Limit, unwired};
use crate::{
    Access, AiBackend, AiReply, AiRequest, Answer, BackendError, BackendErrorKind, Changed, Charge, HostCall,
    HostError, HostReply, HttpBackend, HttpRequest, HttpResponse, ImmediateMemory, Journal, JournalEntry, JournalStore,
    Ledger, MemoryBackend, MemoryChange, Resource, Secrets, SkillScope,
};

/// A host: the backends that skills reach. Cheap to clone; clones are the same host.
#[derive(Clone, Default)]
pub struct Host {
    inner: Arc<Backends>,
}

#[derive(Default)]
struct Backends {
    memory: Option<Box<dyn MemoryBackend>>,
    events: Option<SharedStore>,
    ai: Option<Box<dyn AiBackend>>,
    http: Option<Box<dyn HttpBackend>>,
    secrets: Arc<Secrets>,
}

/// Puts a [`Host`] together. A backend that is not given answers [`Status::NotConfigured`].
#[derive(Default)]
pub struct HostBuilder {
    backends: Backends,
}

impl HostBuilder {
    /// Where skills keep their memory.
    #[must_use]
    pub fn memory(mut self, backend: impl MemoryBackend) -> Self {
        self.backends.memory = Some(Box::new(backend));
        self
    }

    /// Where skills keep their memory, and the host its durable events: one store for both, so that what an event did to
    /// memory and that it did so are written in one step. It takes the place of a [`memory`](Self::memory).
    #[must_use]
    pub fn durable(mut self, store: Arc<dyn JournalStore>) -> Self {
        self.backends.events = Some(store);
        self
    }

    /// The AI that skills ask.
    #[must_use]
    pub fn ai(mut self, backend: impl AiBackend) -> Self {
        self.backends.ai = Some(Box::new(backend));
        self
    }

    /// How skills reach the network.
    #[must_use]
    pub fn http(mut self, backend: impl HttpBackend) -> Self {
        self.backends.http = Some(Box::new(backend));
        self
    }

    /// The secrets that go with HTTP requests.
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.backends.secrets = Arc::new(secrets);
        self
    }

    /// The host.
    pub fn build(mut self) -> Host {
        if let Some(store) = &self.backends.events {
            self.backends.memory = Some(Box::new(store.clone()));
        }
        Host { inner: Arc::new(self.backends) }
    }
}

/// One line of a skill's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How important it is.
    pub level: Level,
    /// The text.
    pub message: String,
}

/// A host call that did not do what was asked, as the operator sees it. The guest saw the status only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailure {
    /// The import.
    pub call: &'static str,
    /// What the guest was answered.
    pub status: Status,
    /// What happened. Holds no secret.
    pub message: String,
}

/// What belongs to one event: its budget, its journal, and what it left behind.
#[derive(Clone, Debug)]
pub struct CallContext {
    scope: Arc<SkillScope>,
    /// What the event may use and has used.
    pub ledger: Ledger,
    /// Whether calls are recorded or answered from a recording.
    pub journal: Journal,
    /// The lines the skill logged, in order. Bounded by the log budget.
    pub log: Vec<LogLine>,
    /// The text the skill set with `host_set_error`, if it did.
    pub error_text: Option<String>,
    /// The last host call that answered with an error.
    pub last_failure: Option<CallFailure>,
}

impl CallContext {
    /// The context of a new event.
    pub fn new(scope: Arc<SkillScope>) -> Self {
        CallContext {
            ledger: Ledger::new(scope.budget),
            scope,
            journal: Journal::OFF,
            log: Vec::new(),
            error_text: None,
            last_failure: None,
        }
    }

    /// The context of another event of the same skill.
    #[must_use]
    pub fn another(&self) -> Self {
        CallContext {
            scope: self.scope.clone(),
            ledger: Ledger::new(self.scope.budget),
            journal: Journal::OFF,
            log: Vec::new(),
            error_text: None,
            last_failure: None,
        }
    }

    /// Makes it that of another event of the same skill. Unlike a new one's, the scope is not counted anew, for which
    /// threads would wait for each other.
    pub fn renew(&mut self) {
        self.ledger = Ledger::new(self.scope.budget);
        self.journal = Journal::OFF;
        self.log = Vec::new();
        self.error_text = None;
        self.last_failure = None;
    }

    /// The skill.
    pub fn scope(&self) -> &SkillScope {
        &self.scope
    }

    /// The skill, and the event's ledger to be changed.
    #[inline]
    pub(crate) fn scope_and_ledger(&mut self) -> (&SkillScope, &mut Ledger) {
        (&self.scope, &mut self.ledger)
    }

    /// The guest is answered.
    #[inline]
    pub(crate) fn replied(&mut self, call: &'static str, reply: HostReply) -> Result<HostReply, HostError> {
        self.ledger.take(call, Resource::BytesOut, reply.bytes())?;
        Ok(reply)
    }

    /// What an answer, live or kept, means for the event.
    pub(crate) fn end(&mut self, call: &'static str, answer: Answer) -> Result<HostReply, HostError> {
        match answer {
            Answer::Replied(reply) => self.replied(call, reply),
            Answer::Refused { status, message } => {
                self.last_failure = Some(CallFailure { call, status, message });
                Ok(HostReply::Status(status))
            }
            Answer::Exhausted { resource, wanted } => Err(self.ledger.exhausted(call, resource, wanted)),
            Answer::Unanswered => Err(HostError::NotJournalled { index: self.journal.answered(), call }),
        }
    }
}

/// A call that was answered with an error status: what the operator learns beside it.
pub(crate) struct Refusal {
    status: Status,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Refusal { status, message: message.into() }
    }
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        Refusal::new(error.kind().status(), error.message())
    }
}

/// How a call ends: with a reply, with an error for the guest, or with the event.
pub(crate) enum Ended {
    Refused(Refusal),
    Fatal(HostError),
}

impl From<HostError> for Ended {
    fn from(error: HostError) -> Self {
        Ended::Fatal(error)
    }
}

impl<E: Into<Refusal>> From<E> for Ended {
    fn from(refusal: E) -> Self {
        Ended::Refused(refusal.into())
    }
}

pub(crate) type Answered = Result<HostReply, Ended>;

/// A live call. However it ends, the event's journal learns of it.
struct Asked<'c> {
    context: &'c mut CallContext,
    call: HostCall,
    /// What its kind had taken before.
    before: Charge,
    kept: bool,
}

impl<'c> Asked<'c> {
    fn new(context: &'c mut CallContext, call: HostCall) -> Self {
        let before = Charge::total(&call, &context.ledger);
        Asked { context, call, before, kept: false }
    }

    /// Keeps the call with its answer. The first time counts.
    fn keep(&mut self, answer: impl FnOnce() -> Answer) {
        if std::mem::replace(&mut self.kept, true) || self.context.journal.is_off() {
            return;
        }
        let charge = Charge::total(&self.call, &self.context.ledger).since(self.before);
        // The call has no further use here, and its arguments may be long.
        let call = std::mem::replace(&mut self.call, HostCall::SetError { message: String::new() });
        self.context.journal.keep(JournalEntry { call, answer: answer(), charge });
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.keep(|| Answer::Unanswered);
    }
}

impl Host {
    /// Starts putting a host together.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// The secrets that go with HTTP requests.
    pub fn secrets(&self) -> &Secrets {
        &self.inner.secrets
    }

    /// Where durable events are kept, if that was given.
    pub fn events(&self) -> Option<&Arc<dyn JournalStore>> {
        self.inner.events.as_ref()
    }

    /// Whether a call may have to wait for a backend.
    pub fn may_wait(&self, call: &HostCall) -> bool {
        match call {
            HostCall::ConfigGet { .. } | HostCall::Log { .. } | HostCall::SetError { .. } => false,
            HostCall::AiChat { .. } | HostCall::HttpPost { .. } => true,
            HostCall::MemoryDelete { .. }
            | HostCall::MemoryGet { .. }
            | HostCall::MemoryList { .. }
            | HostCall::MemorySet { .. } => self.immediate_memory().is_none(),
        }
    }

    /// Memory, if it never waits. A store of events takes its place, and does.
    #[inline]
    pub(crate) fn immediate_memory(&self) -> Option<&dyn ImmediateMemory> {
        if self.inner.events.is_some() { None } else { self.inner.memory.as_ref()?.immediate() }
    }

    /// Answers one call of a skill.
    ///
    /// Failures that the guest may handle are statuses in the reply, and stand in
    /// [`CallContext::last_failure`] for the operator.
    ///
    /// Dropping the future gives the call up. Nothing of it can be taken back then: a backend may or may not have done
    /// the work. A journal that grows keeps it as [`Answer::Unanswered`].
    ///
    /// # Errors
    ///
    /// Those that end the event: see [`HostError`].
    pub async fn call(&self, context: &mut CallContext, call: HostCall) -> Result<HostReply, HostError> {
        let name = call.name();
        // Before the journal is asked, so that a run that is answered from it exhausts these two where the first run did.
        context.ledger.take(name, Resource::HostCalls, 1)?;
        context.ledger.take(name, Resource::BytesIn, call.bytes())?;
        if let Some(kept) = context.journal.answer(&call, &self.inner.secrets) {
            let (answer, charge) = kept?;
            return self.answer_again(context, &call, answer, charge);
        }
        let mut asked = Asked::new(context, call);
        let answer = match self.answer(asked.context, &asked.call).await {
            Ok(reply) => Answer::Replied(reply),
            Err(ended) => self.ended(asked.context, name, ended)?,
        };
        let asks = matches!(asked.call, HostCall::AiChat { .. } | HostCall::HttpPost { .. });
        asked.keep(|| answer.clone());
        if asks {
            // Before the guest sees it, so that it is never asked for again.
            self.store(asked.context, name).await?;
        }
        asked.context.end(name, answer)
    }

    /// The answer of a call that ended without a reply; an error when the event ends with it.
    #[cold]
    pub(crate) fn ended(&self, context: &CallContext, call: &'static str, ended: Ended) -> Result<Answer, HostError> {
        match ended {
            Ended::Refused(Refusal { status, message }) => {
                let message = self.inner.secrets.scrub(&message).into_owned();
                tracing::debug!(target: "cis_skill", skill = %context.scope.name, call, status = status.name(), "{message}");
                Ok(Answer::Refused { status, message })
            }
            Ended::Fatal(HostError::BudgetExhausted { resource, wanted, .. }) => {
                Ok(Answer::Exhausted { resource, wanted })
            }
            Ended::Fatal(error) => Err(error),
        }
    }

    /// Has a durable event's store keep what it does not have of its journal.
    async fn store(&self, context: &mut CallContext, call: &'static str) -> Result<(), HostError> {
        let Some((event, piece)) = context.journal.unstored() else { return Ok(()) };
        guarded(event.store().append(piece)).await.map_err(|error| self.not_stored(call, &error))?;
        context.journal.stored(false);
        Ok(())
    }

    /// To be called before anything is asked of the outside: what the question depends on must not be another after a
    /// crash.
    async fn before_asking(&self, context: &mut CallContext, call: &'static str) -> Result<(), HostError> {
        if context.journal.is_determined() { Ok(()) } else { self.store(context, call).await }
    }

    fn not_stored(&self, call: &'static str, error: &BackendError) -> HostError {
        HostError::NotStored { call, why: self.inner.secrets.scrub(error.message()).into_owned() }
    }

    /// Changes memory: for a durable event in one step with the journal's entry of the call.
    async fn change(
        &self,
        context: &mut CallContext,
        call: &HostCall,
        change: MemoryChange,
        charge: Charge,
    ) -> Result<bool, Ended> {
        let Some((event, piece)) = context.journal.unstored() else {
            let memory = self.memory()?;
            return Ok(match change {
                MemoryChange::Delete { namespace, key } => guarded(memory.delete(&namespace, &key)).await?,
                MemoryChange::Set { namespace, key, value, quota } => {
                    guarded(memory.set(&namespace, &key, value, quota)).await?;
                    true
                }
            });
        };
        let (name, call, secrets) = (call.name(), call.clone(), self.inner.secrets.clone());
        let deletes = matches!(change, MemoryChange::Delete { .. });
        // The same answer as the one that the event's own journal gets.
        let entry = move |changed: &Changed| {
            let answer = match changed {
                Ok(false) if deletes => Answer::Replied(HostReply::Status(Status::NotFound)),
                Ok(_) => Answer::Replied(HostReply::OK),
                Err(error) => {
                    let message = secrets.scrub(error.message()).into_owned();
                    Answer::Refused { status: error.kind().status(), message }
                }
            };
            JournalEntry { call, answer, charge }
        };
        let changed = guarded(event.store().change(piece, change, Box::new(entry))).await;
        let changed = changed.map_err(|error| self.not_stored(name, &error))?;
        context.journal.stored(true);
        Ok(changed?)
    }

    /// Does what a call with a kept answer did to its event, all but asking a backend.
    fn answer_again(
        &self,
        context: &mut CallContext,
        call: &HostCall,
        answer: Answer,
        charge: Charge,
    ) -> Result<HostReply, HostError> {
        charge.to(&mut context.ledger, call);
        if answer == Answer::Replied(HostReply::OK) {
            match call {
                HostCall::Log { level, message } => context.log.push(self.log_line(*level, message)),
                HostCall::SetError { message } => context.error_text = Some(self.error_text(message)),
                _ => {}
            }
        }
        context.end(call.name(), answer)
    }

    /// Does to an event what the calls did that its journal has and its run has not come to again, and does not come to any
    /// more: they were made, and belong to what it used. Calls that were refused for their arguments are not among them.
    pub fn catch_up(&self, context: &mut CallContext) {
        while let Some(entry) = context.journal.entries().get(context.journal.answered()) {
            let call = entry.call.clone();
            let taken = context.ledger.take(call.name(), Resource::HostCalls, 1);
            if taken.and_then(|()| context.ledger.take(call.name(), Resource::BytesIn, call.bytes())).is_err() {
                return;
            }
            let Some(Ok((answer, charge))) = context.journal.answer(&call, &self.inner.secrets) else { return };
            if self.answer_again(context, &call, answer, charge).is_err() {
                return;
            }
        }
    }

    /// Answers a call whose arguments are of no use, so that it counts as any other.
    ///
    /// # Errors
    ///
    /// When the event has no host calls left.
    pub fn refuse(
        &self,
        context: &mut CallContext,
        call: &'static str,
        status: Status,
        message: String,
    ) -> Result<HostReply, HostError> {
        context.ledger.take(call, Resource::HostCalls, 1)?;
        context.journal.refused(call, status, &message);
        context.last_failure = Some(CallFailure { call, status, message });
        Ok(HostReply::Status(status))
    }

    async fn answer(&self, context: &mut CallContext, call: &HostCall) -> Answered {
        match call {
            HostCall::AiChat { prompt } => self.ai_chat(context, prompt).await,
            HostCall::ConfigGet { key } => config_get(context, key),
            HostCall::HttpPost { url, body } => self.http_post(context, url, body).await,
            HostCall::Log { level, message } => self.log(context, *level, message),
            HostCall::MemoryDelete { key } => self.memory_delete(context, call, key).await,
            HostCall::MemoryGet { key } => self.memory_get(context, key).await,
            HostCall::MemoryList { prefix } => self.memory_list(context, prefix).await,
            HostCall::MemorySet { key, value } => self.memory_set(context, call, key, value).await,
            HostCall::SetError { message } => self.set_error(context, message),
        }
    }

    async fn memory_get(&self, context: &mut CallContext, key: &str) -> Answered {
        let place = Place::of_key(&context.scope, key, Access::Read)?;
        let value = guarded(self.memory()?.get(&place.namespace, place.key)).await?;
        Ok(match value {
            None => HostReply::OK,
            Some(value) => HostReply::Bytes(within(value, ceilings::VALUE, "the value")?),
        })
    }

    async fn memory_set(&self, context: &mut CallContext, call: &HostCall, key: &str, value: &Bytes) -> Answered {
        let (place, bytes) = place_to_set(&context.scope, &mut context.ledger, key, value)?;
        let (namespace, key, quota) = (place.namespace.into_owned(), place.key.to_owned(), context.scope.quota);
        let change = MemoryChange::Set { namespace, key, value: value.clone(), quota };
        self.change(context, call, change, Charge { count: 1, amount: bytes }).await?;
        Ok(HostReply::OK)
    }

    async fn memory_delete(&self, context: &mut CallContext, call: &HostCall, key: &str) -> Answered {
        let place = place_to_delete(&context.scope, &mut context.ledger, key)?;
        let change = MemoryChange::Delete { namespace: place.namespace.into_owned(), key: place.key.to_owned() };
        let deleted = self.change(context, call, change, Charge { count: 1, amount: 0 }).await?;
        Ok(HostReply::Status(if deleted { Status::Ok } else { Status::NotFound }))
    }

    async fn memory_list(&self, context: &mut CallContext, prefix: &str) -> Answered {
        let place = Place::of_prefix(&context.scope, prefix)?;
        let most_keys = if unwired(Limit::CallCeilings) { usize::MAX } else { ceilings::KEY_LIST };
        let keys = guarded(self.memory()?.list(&place.namespace, place.key, most_keys)).await?;
        // A shared key is listed the way it is asked for.
        let keys: Vec<String> = keys.into_iter().map(|key| place.written(key)).collect();
        let mut list = vec![0; keys.iter().map(|key| key_entry_len(key)).sum()];
        let mut end = 0;
        for key in &keys {
            end += write_key_entry(key, &mut list[end..]).expect("the list was made as long as its entries");
        }
        debug_assert_eq!(Keys::new(&list).count(), keys.len());
        Ok(HostReply::Bytes(within(list.into(), ceilings::KEY_LIST, "the key list")?))
    }

    async fn ai_chat(&self, context: &mut CallContext, prompt: &str) -> Answered {
        const CALL: &str = "host_ai_chat";
        if !context.scope.grants.ai && !unwired(Limit::Grants) {
            return Err(Refusal::new(Status::Denied, "the manifest does not grant `permissions.ai`").into());
        }
        let prompt = within(prompt, ceilings::PROMPT, "the prompt")?;
        let Some(ai) = self.inner.ai.as_deref() else {
            return Err(Refusal::new(Status::NotConfigured, "the host has no AI backend").into());
        };
        context.ledger.take(CALL, Resource::AiCalls, 1)?;
        // The prompt's tokens are known only afterwards. Four bytes a token is the usual estimate; one token more leaves
        // at least one for the reply.
        let prompt_tokens = prompt.len() as u64 / 4 + 1;
        context.ledger.take(CALL, Resource::AiTokens, prompt_tokens + 1)?;
        let left = context.ledger.left(Resource::AiTokens);
        context.ledger.take(CALL, Resource::AiTokens, left)?;
        let taken = prompt_tokens + 1 + left;
        let max_reply_tokens = u32::try_from(left + 1).unwrap_or(u32::MAX);
        self.before_asking(context, CALL).await?;
        let idempotency_key = context.journal.idempotency_key();
        let request = AiRequest { prompt: prompt.to_owned(), max_reply_tokens, idempotency_key };
        let reply: Result<AiReply, _> = guarded(ai.chat(request)).await;
        let real = match &reply {
            Ok(reply) => reply.prompt_tokens.saturating_add(reply.reply_tokens),
            // Nobody knows what a failed call cost: the prompt was probably read.
            Err(_) => prompt_tokens,
        };
        context.ledger.settle(Resource::AiTokens, taken, real);
        Ok(HostReply::Bytes(within(Bytes::from(reply?.text), ceilings::REPLY, "the AI's reply")?))
    }

    async fn http_post(&self, context: &mut CallContext, url: &str, body: &Bytes) -> Answered {
        const CALL: &str = "host_http_post";
        if url.len() > ceilings::URL {
            return Err(
                Refusal::new(Status::TooLarge, format!("the URL is longer than {} bytes", ceilings::URL)).into()
            );
        }
        let body = within(body, ceilings::HTTP_BODY, "the request body")?.clone();
        let url =
            Url::parse(url).map_err(|error| Refusal::new(Status::InvalidArgument, format!("the URL: {error}")))?;
        if !context.scope.grants.http.permits(&url) && !unwired(Limit::Grants) {
            let host = url.host_str().unwrap_or("no host");
            let why = format!("the manifest's `permissions.http.allow` does not match {}://{host}", url.scheme());
            return Err(Refusal::new(Status::Denied, why).into());
        }
        let Some(http) = self.inner.http.as_deref() else {
            return Err(Refusal::new(Status::NotConfigured, "the host has no HTTP backend").into());
        };
        context.ledger.take(CALL, Resource::HttpRequests, 1)?;
        context.ledger.take(CALL, Resource::HttpBytes, body.len() as u64)?;
        let max_requests = 1 + context.ledger.left(Resource::HttpRequests);
        let left = context.ledger.left(Resource::HttpBytes);
        let max_response_bytes = ceilings::REPLY.min(usize::try_from(left).unwrap_or(usize::MAX));
        self.before_asking(context, CALL).await?;
        let request = HttpRequest {
            url,
            body,
            max_response_bytes,
            max_requests,
            idempotency_key: context.journal.idempotency_key(),
            grants: Arc::new(context.scope.grants.clone()),
            secrets: self.inner.secrets.clone(),
            spent: Arc::default(),
        };
        let spent = request.spent.clone();
        let response: Result<HttpResponse, _> = guarded(http.post(request)).await;
        // A call that failed has cost what it has cost: else a server could keep a skill busy for nothing.
        let (requests, bytes) = response.as_ref().map_or((1, 0), |response| (response.requests, response.body.len()));
        let requests = requests.max(spent.requests()).clamp(1, max_requests);
        let bytes = (bytes as u64).max(spent.response_bytes()).min(left);
        context.ledger.take(CALL, Resource::HttpRequests, requests - 1)?;
        context.ledger.take(CALL, Resource::HttpBytes, bytes)?;
        let response = response?;
        let body = within(response.body, max_response_bytes, "the response")?;
        if !(200..300).contains(&response.status) {
            let why = format!("the server answered HTTP status {}", response.status);
            return Err(Refusal::new(Status::UpstreamError, why).into());
        }
        // A server that echoes its request's headers would hand the guest its secrets.
        Ok(HostReply::Bytes(self.inner.secrets.scrub_bytes(body)))
    }

    pub(crate) fn log(&self, context: &mut CallContext, level: Level, message: &str) -> Answered {
        let bytes = cut(message, ceilings::LOG_LINE).len() as u64;
        context.ledger.take("host_log", Resource::LogLines, 1)?;
        context.ledger.take("host_log", Resource::LogBytes, bytes)?;
        let line = self.log_line(level, message);
        let (skill, message) = (&context.scope.name, &line.message);
        match level {
            Level::Debug => tracing::debug!(target: "cis_skill", %skill, "{message}"),
            Level::Info => tracing::info!(target: "cis_skill", %skill, "{message}"),
            Level::Warn => tracing::warn!(target: "cis_skill", %skill, "{message}"),
            Level::Error => tracing::error!(target: "cis_skill", %skill, "{message}"),
        }
        context.log.push(line);
        Ok(HostReply::OK)
    }

    pub(crate) fn set_error(&self, context: &mut CallContext, message: &str) -> Answered {
        context.error_text = Some(self.error_text(message));
        Ok(HostReply::OK)
    }

    /// A line as it stands in the log.
    fn log_line(&self, level: Level, message: &str) -> LogLine {
        LogLine { level, message: self.inner.secrets.scrub(cut(message, ceilings::LOG_LINE)).into_owned() }
    }

    /// An error's text as the operator sees it.
    fn error_text(&self, message: &str) -> String {
        self.inner.secrets.scrub(cut(message, ceilings::ERROR_TEXT)).into_owned()
    }

    fn memory(&self) -> Result<&dyn MemoryBackend, Refusal> {
        let missing = || Refusal::new(Status::NotConfigured, "the host has no memory backend");
        self.inner.memory.as_deref().ok_or_else(missing)
    }
}

pub(crate) fn config_get(context: &CallContext, key: &str) -> Answered {
    Ok(match context.scope.config.get(key) {
        None => HostReply::OK,
        Some(value) => HostReply::Bytes(value.to_string().into()),
    })
}

/// Where a value is to be stored, and how many bytes that takes: taken from the ledger.
#[inline]
pub(crate) fn place_to_set<'a>(
    scope: &'a SkillScope,
    ledger: &mut Ledger,
    key: &'a str,
    value: &[u8],
) -> Result<(Place<'a>, u64), Ended> {
    const CALL: &str = "host_memory_set";
    let place = Place::of_key(scope, key, Access::ReadWrite)?;
    within(value, ceilings::VALUE, "the value")?;
    let bytes = (place.key.len() + value.len()) as u64;
    ledger.take(CALL, Resource::MemoryWrites, 1)?;
    ledger.take(CALL, Resource::MemoryWriteBytes, bytes)?;
    Ok((place, bytes))
}

/// Where a key is to be deleted: taken from the ledger.
#[inline]
pub(crate) fn place_to_delete<'a>(
    scope: &'a SkillScope,
    ledger: &mut Ledger,
    key: &'a str,
) -> Result<Place<'a>, Ended> {
    let place = Place::of_key(scope, key, Access::ReadWrite)?;
    ledger.take("host_memory_delete", Resource::MemoryWrites, 1)?;
    Ok(place)
}

/// Refuses what is longer than a ceiling.
#[inline]
pub(crate) fn within<T: AsRef<[u8]>>(value: T, ceiling: usize, what: &str) -> Result<T, Refusal> {
    let len = value.as_ref().len();
    if len > ceiling && !unwired(Limit::CallCeilings) {
        return Err(Refusal::new(Status::TooLarge, format!("{what} has {len} bytes, more than {ceiling}")));
    }
    Ok(value)
}

/// Cuts a text at a ceiling, at a character's edge.
fn cut(text: &str, ceiling: usize) -> &str {
    if unwired(Limit::CallCeilings) { text } else { &text[..text.floor_char_boundary(ceiling)] }
}

/// Runs a backend so that its panic is an error of the backend and not the end of a worker.
async fn guarded<T>(
    mut work: Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + '_>>,
) -> Result<T, BackendError> {
    if unwired(Limit::Panics) {
        return work.await;
    }
    std::future::poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(poll) => poll,
        Err(panic) => Poll::Ready(Err(backend_panicked(&*panic))),
    })
    .await
}

pub(crate) fn backend_panicked(panic: &(dyn Any + Send)) -> BackendError {
    BackendError::new(BackendErrorKind::Failed, format!("the backend panicked: {}", panic_text(panic)))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

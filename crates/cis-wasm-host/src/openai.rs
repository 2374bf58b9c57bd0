//! An OpenAI-compatible chat endpoint as AI backend.
//!
//! async-openai speaks the protocol. Below it stands a transport of ours, because an endpoint is trusted less than a
//! client library expects: a body is read only as far as a cap, retries are few and end with the deadline, a redirect is
//! not followed (it would take the prompt and the key elsewhere), and the key is taken out of everything that comes back
//! before anyone can log it.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_abi::ceilings;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, redirect};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower_service::Service;
use url::Url;

use crate::io_thread::IoThread;
use crate::{AiBackend, AiReply, AiRequest, BackendError, BackendErrorKind, SecretValue, Secrets, tls};

/// How often a request is sent again after the endpoint was busy, broken or not there.
const RETRIES: u32 = 2;
/// The wait before the first retry; each one after it waits twice as long.
const RETRY_WAIT: Duration = Duration::from_millis(250);
/// How much is read of an error's body, in bytes.
const ERROR_BODY: usize = 16 << 10;
/// How much is quoted of it, in bytes.
const ERROR_QUOTE: usize = 400;

/// Where an [`OpenAi`] asks, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenAiConfig {
    /// What stands before `/chat/completions`: `https://api.openai.com/v1` for one.
    pub base_url: String,
    /// The key, sent as `Authorization: Bearer`. `None` sends no such header.
    pub api_key: Option<SecretValue>,
    /// The model's name.
    pub model: String,
    /// How long one answer may take, retries among it. 60 seconds where nobody said otherwise.
    pub timeout: Duration,
    /// The most tokens of one reply, where a skill's budget has more left: models refuse a limit above their own.
    /// 1,024 where nobody said otherwise.
    pub max_reply_tokens: u32,
    /// The name under which the endpoint takes that limit.
    pub reply_limit: ReplyLimit,
}

impl OpenAiConfig {
    /// An endpoint and a model, with no key.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        OpenAiConfig {
            base_url: base_url.into(),
            api_key: None,
            model: model.into(),
            timeout: Duration::from_secs(60),
            max_reply_tokens: 1024,
            reply_limit: ReplyLimit::default(),
        }
    }
}

/// The name of the limit on a reply's tokens in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyLimit {
    /// `max_completion_tokens`, which OpenAI's reasoning models want.
    MaxCompletionTokens,
    /// `max_tokens`, which nearly every endpoint knows.
    #[default]
    MaxTokens,
}

/// An [`AiBackend`] that asks an OpenAI-compatible chat endpoint.
///
/// An endpoint that does not say how many tokens it took is charged by estimate: one token for every four bytes of
/// prompt and reply, and one more for each.
///
/// It works from any executor, and from none: it does its work on a thread of its own, which starts with the first
/// request and ends when the backend is dropped. It reads no environment variables and uses no proxy.
///
/// ```
/// use cis_wasm_host::{Host, OpenAi, OpenAiConfig};
///
/// let ai = OpenAi::new(OpenAiConfig::new("http://127.0.0.1:8080/v1", "smollm2"))?;
/// let host = Host::builder().ai(ai).build();
/// # Ok::<(), cis_wasm_host::BackendError>(())
/// ```
pub struct OpenAi {
    thread: IoThread,
    client: Arc<Client<Endpoint>>,
    config: OpenAiConfig,
}

impl OpenAi {
    /// A backend for this endpoint. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`BackendErrorKind::InvalidRequest`] when the base URL is not one of a chat endpoint, and
    /// [`BackendErrorKind::Failed`] when TLS cannot be set up.
    pub fn new(config: OpenAiConfig) -> Result<Self, BackendError> {
        let base = base(&config.base_url).map_err(|why| {
            let why = format!("the AI's base URL: {why}; write `https://host/v1` or `http://host:port/v1`");
            fail(BackendErrorKind::InvalidRequest, why)
        })?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(&[])?)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .map_err(|error| BackendError::failed("cannot set up the AI's HTTP client", &error))?;
        let mut secrets = Secrets::new();
        let mut authorization = None;
        if let Some(key) = &config.api_key {
            secrets.insert("api_key", key.expose()).expect("a secret's value was checked when it was made");
            let header = key.prefixed("Bearer ");
            let mut header = HeaderValue::from_str(header.expose()).expect("a secret's value is printable ASCII");
            header.set_sensitive(true);
            authorization = Some(header);
        }
        let endpoint = Endpoint { base, authorization, no_key: SecretString::default() };
        let transport = Transport { http: http.clone(), secrets: Arc::new(secrets), timeout: config.timeout };
        let client = Arc::new(Client::build(http, endpoint).with_http_service(transport));
        Ok(OpenAi { thread: IoThread::new("cis-ai"), client, config })
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi").field("config", &self.config).finish_non_exhaustive()
    }
}

#[async_trait]
impl AiBackend for OpenAi {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        let limit = match self.config.reply_limit {
            ReplyLimit::MaxCompletionTokens => "max_completion_tokens",
            ReplyLimit::MaxTokens => "max_tokens",
        };
        let body = json!({
            "model": self.config.model,
            "messages": [{ "role": "user", "content": request.prompt }],
            "stream": false,
            limit: request.max_reply_tokens.min(self.config.max_reply_tokens),
        });
        let (client, timeout) = (self.client.clone(), self.config.timeout);
        let answer = self.thread.run(async move {
            let chat = client.chat();
            // The reply is read loosely: endpoints differ in everything but the text and the usage.
            let asking = chat.create_byot::<Value, Value>(body);
            match tokio::time::timeout(timeout, asking).await {
                Ok(answer) => answer.map_err(unwrap),
                Err(_) => Err(fail(BackendErrorKind::TimedOut, format!("the AI has not answered within {timeout:?}"))),
            }
        });
        reply(answer.await?, request.prompt.len())
    }
}

/// A base URL as async-openai wants it: paths are put behind it as they are.
fn base(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the scheme is neither http nor https".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user name or password; use the API key".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a query or a fragment".into());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The parts of a reply that are used.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

fn reply(answer: Value, prompt_bytes: usize) -> Result<AiReply, BackendError> {
    let failed = |why: String| fail(BackendErrorKind::Failed, format!("the AI's answer: {why}"));
    let completion: Completion =
        serde_json::from_value(answer).map_err(|error| failed(format!("is not a chat completion: {error}")))?;
    let choice = completion.choices.into_iter().next().ok_or_else(|| failed("has no choices".into()))?;
    let Some(text) = choice.message.content else {
        let why = match (choice.message.refusal, choice.finish_reason) {
            (Some(refusal), _) => format!("is a refusal: {}", quote(&refusal)),
            (None, Some(reason)) => format!("has no text; it ended with `{}`", quote(&reason)),
            (None, None) => "has no text".into(),
        };
        return Err(fail(BackendErrorKind::Upstream, format!("the AI's answer {why}")));
    };
    let (prompt, completion) =
        completion.usage.map_or((None, None), |usage| (usage.prompt_tokens, usage.completion_tokens));
    let estimate = |bytes: usize| bytes as u64 / 4 + 1;
    Ok(AiReply {
        prompt_tokens: prompt.unwrap_or_else(|| estimate(prompt_bytes)),
        reply_tokens: completion.unwrap_or_else(|| estimate(text.len())),
        text,
    })
}

/// Who is asked, in async-openai's terms.
struct Endpoint {
    base: String,
    authorization: Option<HeaderValue>,
    /// async-openai wants to be able to ask for a key; only the header is used.
    no_key: SecretString,
}

impl Config for Endpoint {
    fn headers(&self) -> HeaderMap {
        self.authorization.iter().map(|value| (AUTHORIZATION, value.clone())).collect()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base
    }

    fn api_key(&self) -> &SecretString {
        &self.no_key
    }
}

/// Sends async-openai's requests. See the module for what it adds.
#[derive(Clone)]
struct Transport {
    http: reqwest::Client,
    secrets: Arc<Secrets>,
    timeout: Duration,
}

impl Service<HttpRequestFactory> for Transport {
    type Response = Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move {
            transport.send(&request).await.map_err(|error| OpenAIError::Boxed(Box::new(transport.scrubbed(error))))
        })
    }
}

/// What came of one attempt that failed.
struct Attempt {
    error: BackendError,
    /// Whether another attempt may help, and the wait that the endpoint asked for.
    again: Option<Option<Duration>>,
}

impl From<BackendError> for Attempt {
    fn from(error: BackendError) -> Self {
        Attempt { error, again: None }
    }
}

impl Transport {
    async fn send(&self, request: &HttpRequestFactory) -> Result<Response, BackendError> {
        let deadline = Instant::now() + self.timeout;
        let mut wait = RETRY_WAIT;
        let mut retries = 0;
        loop {
            let Attempt { error, again } = match self.attempt(request).await {
                Ok(response) => return Ok(response),
                Err(attempt) => attempt,
            };
            // An endpoint that wants more patience than is left gets none: its own error says more than a timeout.
            let resume = again.map(|asked| Instant::now() + asked.unwrap_or(wait));
            match resume {
                Some(resume) if retries < RETRIES && resume < deadline => tokio::time::sleep_until(resume).await,
                _ => return Err(error),
            }
            retries += 1;
            wait *= 2;
        }
    }

    async fn attempt(&self, request: &HttpRequestFactory) -> Result<Response, Attempt> {
        let request = request.build().await.map_err(unwrap)?;
        let response = self.http.execute(request).await.map_err(|error| {
            let again = error.is_connect().then_some(None);
            Attempt { error: failed("cannot reach the AI", error), again }
        })?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let response: http::Response<reqwest::Body> = response.into();
        let (head, body) = response.into_parts();
        let (body, whole) = read(http::Response::new(body).into(), ceilings::REPLY).await?;
        if !whole {
            let why = format!("the AI's answer has more than {} bytes", ceilings::REPLY);
            return Err(fail(BackendErrorKind::TooLarge, why).into());
        }
        let body = self.secrets.scrub_bytes(body);
        // async-openai would write what it cannot parse into the log, all of it.
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(&body) {
            return Err(fail(BackendErrorKind::Failed, format!("the AI's answer is not JSON: {error}")).into());
        }
        Ok(http::Response::from_parts(head, body).into())
    }

    fn scrubbed(&self, error: BackendError) -> BackendError {
        fail(error.kind(), self.secrets.scrub(error.message()))
    }
}

/// The error of a status that is not 2xx.
async fn refused(response: Response) -> Attempt {
    let status = response.status();
    let patience = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let again = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    let text = match read(response, ERROR_BODY).await {
        Ok((body, _)) => error_text(&body),
        Err(_) => String::new(),
    };
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; check the API key",
        StatusCode::NOT_FOUND => "; check the base URL and the model",
        _ if status.is_redirection() => "; redirects are not followed, set the base URL to the target",
        _ => "",
    };
    let colon = if text.is_empty() { "" } else { ": " };
    let message = format!("the AI answered HTTP status {}{colon}{text}{hint}", status.as_u16());
    Attempt {
        error: fail(BackendErrorKind::Upstream, message),
        again: again.then_some(patience.map(Duration::from_secs)),
    }
}

/// What an error's body says: the message of OpenAI's form, or its beginning.
fn error_text(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| {
        let error = json.get("error")?;
        error.get("message").unwrap_or(error).as_str()
    });
    quote(message.unwrap_or(&String::from_utf8_lossy(body)))
}

/// The beginning of a foreign text, on one line.
fn quote(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(ERROR_QUOTE)];
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads a body as far as a cap, and says whether that was all of it.
async fn read(mut response: Response, cap: usize) -> Result<(Bytes, bool), BackendError> {
    let mut body = Vec::new();
    let lost = |error| failed("the AI's answer broke off", error);
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        let room = cap - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok((body.into(), false));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body.into(), true))
}

/// Takes our own error out of async-openai's.
fn unwrap(error: OpenAIError) -> BackendError {
    match error {
        OpenAIError::Boxed(ours) => match ours.downcast::<BackendError>() {
            Ok(ours) => *ours,
            Err(other) => fail(BackendErrorKind::Failed, format!("the AI's client: {other}")),
        },
        other => BackendError::failed("the AI's client", &other),
    }
}

fn failed(what: &str, error: reqwest::Error) -> BackendError {
    let error: &(dyn Error + 'static) = &error.without_url();
    BackendError::failed(what, error)
}

fn fail(kind: BackendErrorKind, message: impl Into<String>) -> BackendError {
    BackendError::new(kind, message)
}

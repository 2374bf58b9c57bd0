//! An OpenAI-compatible chat endpoint as AI backend.
//!
//! async-openai speaks the protocol. Below it stands a [`transport`] of ours, because an endpoint is trusted less than a
//! client library expects.

mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::traits::RequestOptionsBuilder;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use self::transport::{Endpoint, Transport, unwrap};
use crate::io_thread::IoThread;
use crate::{AiBackend, AiReply, AiRequest, BackendError, BackendErrorKind, SecretValue};

/// How much is quoted of a foreign text, in bytes.
const QUOTE: usize = 400;

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
/// request and ends when the backend is dropped. It takes no setting and no proxy from the environment.
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
        let endpoint = Endpoint::new(base, config.api_key.as_ref());
        let transport = Transport::new(config.api_key.as_ref(), config.timeout)?;
        let client = Arc::new(Client::build(transport.http(), endpoint).with_http_service(transport));
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
        let (client, timeout, prompt_bytes) = (self.client.clone(), self.config.timeout, request.prompt.len());
        let answer = self.thread.run(async move {
            let chat = match request.idempotency_key {
                None => client.chat(),
                Some(key) => client.chat().header("idempotency-key", key).map_err(unwrap)?,
            };
            // The reply is read loosely: endpoints differ in everything but the text and the usage.
            let asking = chat.create_byot::<Value, Value>(body);
            match tokio::time::timeout(timeout, asking).await {
                Ok(answer) => answer.map_err(unwrap),
                Err(_) => Err(fail(BackendErrorKind::TimedOut, format!("the AI has not answered within {timeout:?}"))),
            }
        });
        reply(answer.await?, prompt_bytes)
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

/// The beginning of a foreign text, on one line.
fn quote(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(QUOTE)];
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn fail(kind: BackendErrorKind, message: impl Into<String>) -> BackendError {
    BackendError::new(kind, message)
}

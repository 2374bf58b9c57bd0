//! The AI a skill can ask.

use std::sync::Arc;

use async_trait::async_trait;

use crate::BackendError;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AiRequest {
    /// The prompt, UTF-8, at most [`cis_wasm_abi::ceilings::PROMPT`] bytes.
    pub prompt: String,
    /// The most tokens the reply may take: what is left of the event's budget.
    pub max_reply_tokens: u32,
    /// For a durable event: a text that is this question's alone, and the same when it is asked again because the process
    /// ended before the answer was kept. Printable ASCII.
    pub idempotency_key: Option<String>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AiReply {
    /// The text. Above [`cis_wasm_abi::ceilings::REPLY`] bytes the host refuses it.
    pub text: String,
    /// Tokens of the prompt, as the AI counted them.
    pub prompt_tokens: u64,
    /// Tokens of the reply, as the AI counted them.
    pub reply_tokens: u64,
}

/// Answers prompts.
///
/// A call must not block its thread: a poll is not interrupted, and holds the worker it runs on.
#[async_trait]
pub trait AiBackend: Send + Sync + 'static {
    /// Answers one prompt.
    ///
    /// # Errors
    ///
    /// Says what went wrong and whether it was the network, the endpoint or time.
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError>;
}

#[async_trait]
impl<B: AiBackend + ?Sized> AiBackend for Arc<B> {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        (**self).chat(request).await
    }
}

#[async_trait]
impl<B: AiBackend + ?Sized> AiBackend for Box<B> {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        (**self).chat(request).await
    }
}

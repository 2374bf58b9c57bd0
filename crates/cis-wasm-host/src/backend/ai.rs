//! The AI a skill can ask.

use async_trait::async_trait;

use crate::BackendError;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AiRequest {
    /// The prompt, UTF-8, at most [`cis_wasm_abi::ceilings::PROMPT`] bytes.
    pub prompt: String,
    /// The most tokens the reply may take: what is left of the event's budget.
    pub max_reply_tokens: u32,
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
#[async_trait]
pub trait AiBackend: Send + Sync + 'static {
    /// Answers one prompt.
    ///
    /// # Errors
    ///
    /// Says what went wrong and whether it was the network, the endpoint or time.
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError>;
}

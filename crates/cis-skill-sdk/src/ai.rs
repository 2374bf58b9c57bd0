//! The AI a skill can ask.

use alloc_crate::string::String;

use crate::{Call, Error, Status, door};

/// The host's AI, for a skill whose manifest says `permissions.ai = true`.
pub struct Ai;

impl Ai {
    /// Asks the AI and waits for its reply. At most [`ceilings::PROMPT`](crate::ceilings::PROMPT) bytes of prompt.
    ///
    /// # Errors
    ///
    /// [`Status::Denied`] without the grant, [`Status::NotConfigured`] when the host has no AI, [`Status::TooLarge`] for
    /// a prompt or a reply above the ceiling, and [`Status::UpstreamError`], [`Status::BackendFailed`] or
    /// [`Status::TimedOut`] when the AI does not answer.
    pub fn chat(prompt: &str) -> Result<String, Error> {
        let reply = door::ai_chat(prompt)?;
        String::from_utf8(reply).map_err(|_| Error::Host { call: Call::AiChat, code: Status::NotUtf8.code() })
    }
}

//! Why an event failed.

use alloc_crate::borrow::Cow;
use core::fmt;

use cis_wasm_abi::Status;

use crate::Call;

/// Why a host call, or an event, failed.
///
/// In a handler `?` hands it on: the event then fails with [`Error::code`], and the host learns its text.
///
/// ```
/// use cis_skill_sdk::{Call, Error, Status};
///
/// let denied = Error::Host { call: Call::AiChat, code: Status::Denied.code() };
/// assert_eq!(denied.status(), Some(Status::Denied));
/// assert_eq!(denied.to_string(), "host_ai_chat: the skill was not granted this");
///
/// let missing = Error::invalid("`text` is empty");
/// assert_eq!(missing.code(), Status::InvalidArgument.code());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The host answered a call with an error.
    Host {
        /// The call.
        call: Call,
        /// The status, negative. A number, because a newer host may know more of them than this crate.
        code: i32,
    },
    /// The skill itself says that it cannot go on.
    Skill {
        /// The status that the event ends with: one of [`Status`], or the skill's own from [`Error::FAILED`] down.
        code: i32,
        /// What was wrong and what to do, for whoever sent the event.
        text: Cow<'static, str>,
    },
}

impl Error {
    /// The status of [`Error::failed`], and the highest number a skill should use for a status of its own. The numbers
    /// above it are the contract's, now or later.
    pub const FAILED: i32 = -100;

    /// The event is at fault: its type is unknown, its data are malformed, it names something that is not there.
    pub fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Error::Skill { code: Status::InvalidArgument.code(), text: text.into() }
    }

    /// The skill is at fault, or what it found stored.
    pub fn failed(text: impl Into<Cow<'static, str>>) -> Self {
        Error::Skill { code: Error::FAILED, text: text.into() }
    }

    /// The number that the event ends with. Always negative: a handler that fails cannot look as if it had not.
    pub const fn code(&self) -> i32 {
        match self {
            Error::Host { code, .. } | Error::Skill { code, .. } if *code < 0 => *code,
            _ => Error::FAILED,
        }
    }

    /// The status of [`Error::code`], or `None` when it is the skill's own or this crate does not know it.
    pub const fn status(&self) -> Option<Status> {
        Status::from_code(self.code())
    }

    /// What happened, in one line, in pieces: putting them together takes no formatting, which the smallest skill does
    /// not carry.
    pub(crate) fn pieces(&self) -> [&str; 3] {
        match self {
            Error::Host { call, .. } => [call.name(), ": ", self.meaning()],
            Error::Skill { text, .. } => [text, "", ""],
        }
    }

    fn meaning(&self) -> &'static str {
        let index = self.code().unsigned_abs() as usize;
        MEANINGS.get(index).copied().unwrap_or("the host answered with an error that this SDK does not know")
    }
}

/// What the negative statuses mean, by their numbers without the sign. A table, which is smaller than a `match` of texts.
const MEANINGS: [&str; Status::ALL.len() - 1] = {
    let mut meanings = [""; Status::ALL.len() - 1];
    let mut next = 0;
    while next < Status::ALL.len() {
        let status = Status::ALL[next];
        if status.is_error() {
            meanings[status.code().unsigned_abs() as usize] = status.meaning();
        }
        next += 1;
    }
    meanings
};

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces().into_iter().try_for_each(|piece| f.write_str(piece))
    }
}

impl core::error::Error for Error {}

//! The two typed values that pass the door.

use bytes::Bytes;
use cis_wasm_abi::{Level, Status};

/// What a skill asks of its host. Owned: nothing in it points into guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostCall {
    /// `host_ai_chat`
    AiChat {
        /// What to ask.
        prompt: String,
    },
    /// `host_config_get`
    ConfigGet {
        /// The name of the setting.
        key: String,
    },
    /// `host_http_post`
    HttpPost {
        /// Where to, as the skill wrote it.
        url: String,
        /// The request body.
        body: Bytes,
    },
    /// `host_log`
    Log {
        /// How important it is.
        level: Level,
        /// One line.
        message: String,
    },
    /// `host_memory_delete`
    MemoryDelete {
        /// The key, in the skill's own namespace unless it begins with `@`.
        key: String,
    },
    /// `host_memory_get`
    MemoryGet {
        /// As in [`HostCall::MemoryDelete`].
        key: String,
    },
    /// `host_memory_list`
    MemoryList {
        /// What the keys begin with; `@name/` lists a shared namespace.
        prefix: String,
    },
    /// `host_memory_set`
    MemorySet {
        /// As in [`HostCall::MemoryDelete`].
        key: String,
        /// The value.
        value: Bytes,
    },
    /// `host_set_error`
    SetError {
        /// The text.
        message: String,
    },
}

impl HostCall {
    /// The name of the import that makes this call.
    pub fn name(&self) -> &'static str {
        match self {
            HostCall::AiChat { .. } => "host_ai_chat",
            HostCall::ConfigGet { .. } => "host_config_get",
            HostCall::HttpPost { .. } => "host_http_post",
            HostCall::Log { .. } => "host_log",
            HostCall::MemoryDelete { .. } => "host_memory_delete",
            HostCall::MemoryGet { .. } => "host_memory_get",
            HostCall::MemoryList { .. } => "host_memory_list",
            HostCall::MemorySet { .. } => "host_memory_set",
            HostCall::SetError { .. } => "host_set_error",
        }
    }

    /// The arguments with their names, in the order of the import's parameters. A log line's level is not among them.
    pub fn arguments(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let (first, second): ((_, &[u8]), Option<(_, &[u8])>) = match self {
            HostCall::AiChat { prompt } => (("prompt", prompt.as_bytes()), None),
            HostCall::ConfigGet { key } | HostCall::MemoryDelete { key } | HostCall::MemoryGet { key } => {
                (("key", key.as_bytes()), None)
            }
            HostCall::HttpPost { url, body } => (("url", url.as_bytes()), Some(("body", body))),
            HostCall::Log { message, .. } | HostCall::SetError { message } => (("message", message.as_bytes()), None),
            HostCall::MemoryList { prefix } => (("prefix", prefix.as_bytes()), None),
            HostCall::MemorySet { key, value } => (("key", key.as_bytes()), Some(("value", value))),
        };
        std::iter::once(first).chain(second)
    }

    /// How many bytes the call carried out of the guest.
    pub fn bytes(&self) -> u64 {
        self.arguments().map(|(_, bytes)| bytes.len() as u64).sum()
    }
}

/// A [`HostCall`] that need not wait for anybody outside, with its arguments where they lie: for [`Host::call_now`].
///
/// [`Host::call_now`]: crate::Host::call_now
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum QuickCall<'a> {
    /// `host_config_get`
    ConfigGet {
        /// The name of the setting.
        key: &'a str,
    },
    /// `host_log`
    Log {
        /// How important it is.
        level: Level,
        /// One line.
        message: &'a str,
    },
    /// `host_memory_delete`
    MemoryDelete {
        /// As in [`HostCall::MemoryDelete`].
        key: &'a str,
    },
    /// `host_memory_get`
    MemoryGet {
        /// As in [`HostCall::MemoryDelete`].
        key: &'a str,
    },
    /// `host_memory_set`
    MemorySet {
        /// As in [`HostCall::MemoryDelete`].
        key: &'a str,
        /// The value.
        value: &'a [u8],
    },
    /// `host_set_error`
    SetError {
        /// The text.
        message: &'a str,
    },
}

impl QuickCall<'_> {
    /// The name of the import that makes this call.
    #[inline]
    pub const fn name(&self) -> &'static str {
        match self {
            QuickCall::ConfigGet { .. } => "host_config_get",
            QuickCall::Log { .. } => "host_log",
            QuickCall::MemoryDelete { .. } => "host_memory_delete",
            QuickCall::MemoryGet { .. } => "host_memory_get",
            QuickCall::MemorySet { .. } => "host_memory_set",
            QuickCall::SetError { .. } => "host_set_error",
        }
    }

    /// How many bytes the call carried out of the guest.
    #[inline]
    pub const fn bytes(&self) -> u64 {
        let len = match self {
            QuickCall::ConfigGet { key } | QuickCall::MemoryDelete { key } | QuickCall::MemoryGet { key } => key.len(),
            QuickCall::Log { message, .. } | QuickCall::SetError { message } => message.len(),
            QuickCall::MemorySet { key, value } => key.len() + value.len(),
        };
        len as u64
    }

    /// Whether it is a call to memory.
    #[inline]
    pub(crate) const fn is_memory(&self) -> bool {
        matches!(self, QuickCall::MemoryDelete { .. } | QuickCall::MemoryGet { .. } | QuickCall::MemorySet { .. })
    }
}

impl From<&QuickCall<'_>> for HostCall {
    fn from(call: &QuickCall<'_>) -> Self {
        match *call {
            QuickCall::ConfigGet { key } => HostCall::ConfigGet { key: key.to_owned() },
            QuickCall::Log { level, message } => HostCall::Log { level, message: message.to_owned() },
            QuickCall::MemoryDelete { key } => HostCall::MemoryDelete { key: key.to_owned() },
            QuickCall::MemoryGet { key } => HostCall::MemoryGet { key: key.to_owned() },
            QuickCall::MemorySet { key, value } => {
                HostCall::MemorySet { key: key.to_owned(), value: Bytes::copy_from_slice(value) }
            }
            QuickCall::SetError { message } => HostCall::SetError { message: message.to_owned() },
        }
    }
}

/// What the host answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostReply {
    /// Bytes for the guest.
    Bytes(Bytes),
    /// No bytes: done, nothing there, or an error the guest may handle.
    Status(Status),
}

impl HostReply {
    /// Done.
    pub const OK: HostReply = HostReply::Status(Status::Ok);

    /// How many bytes the reply carries into the guest.
    pub fn bytes(&self) -> u64 {
        match self {
            HostReply::Bytes(bytes) => bytes.len() as u64,
            HostReply::Status(_) => 0,
        }
    }
}

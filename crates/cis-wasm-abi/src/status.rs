//! Status codes: one shared set, each with one meaning in every function.

/// What a host function answers when it has no bytes to give.
///
/// Zero and above is not an error; every error is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Status {
    /// 0: done; in a packed result, nothing there.
    Ok = 0,
    /// 1: `host_memory_delete` found no such key.
    NotFound = 1,
    /// -1: an argument has the wrong form (an empty key, a URL that does not parse).
    InvalidArgument = -1,
    /// -2: an argument that must be UTF-8 is not.
    NotUtf8 = -2,
    /// -3: the skill was not granted this.
    Denied = -3,
    /// -4: the host has no backend for this call.
    NotConfigured = -4,
    /// -5: an argument or a reply is larger than a single call may carry.
    TooLarge = -5,
    /// -6: the skill's stored keys or bytes are at their quota.
    QuotaExceeded = -6,
    /// -7: the backend did not answer in its time.
    TimedOut = -7,
    /// -8: the backend failed.
    BackendFailed = -8,
    /// -9: the other side was reached and answered with an error (an HTTP status that is not 2xx).
    UpstreamError = -9,
}

impl Status {
    /// All statuses, in the order of the ABI document.
    pub const ALL: [Status; 11] = [
        Status::Ok,
        Status::NotFound,
        Status::InvalidArgument,
        Status::NotUtf8,
        Status::Denied,
        Status::NotConfigured,
        Status::TooLarge,
        Status::QuotaExceeded,
        Status::TimedOut,
        Status::BackendFailed,
        Status::UpstreamError,
    ];

    /// The number that crosses the boundary.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The status of a number, or `None` for a number that is not in the set.
    pub const fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            0 => Status::Ok,
            1 => Status::NotFound,
            -1 => Status::InvalidArgument,
            -2 => Status::NotUtf8,
            -3 => Status::Denied,
            -4 => Status::NotConfigured,
            -5 => Status::TooLarge,
            -6 => Status::QuotaExceeded,
            -7 => Status::TimedOut,
            -8 => Status::BackendFailed,
            -9 => Status::UpstreamError,
            _ => return None,
        })
    }

    /// Whether this is one of the errors.
    pub const fn is_error(self) -> bool {
        self.code() < 0
    }

    /// The status's name, in snake case, as it stands in the C header (there in upper case behind `CIS_`).
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::NotFound => "not_found",
            Status::InvalidArgument => "invalid_argument",
            Status::NotUtf8 => "not_utf8",
            Status::Denied => "denied",
            Status::NotConfigured => "not_configured",
            Status::TooLarge => "too_large",
            Status::QuotaExceeded => "quota_exceeded",
            Status::TimedOut => "timed_out",
            Status::BackendFailed => "backend_failed",
            Status::UpstreamError => "upstream_error",
        }
    }

    /// One line that says what happened, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Status::Ok => "done; in a packed result: nothing there",
            Status::NotFound => "there is no such key",
            Status::InvalidArgument => "an argument has the wrong form",
            Status::NotUtf8 => "an argument that must be UTF-8 is not",
            Status::Denied => "the skill was not granted this",
            Status::NotConfigured => "the host has no backend for this call",
            Status::TooLarge => "an argument or a reply is larger than a single call may carry",
            Status::QuotaExceeded => "the skill's stored keys or bytes are at their quota",
            Status::TimedOut => "the backend did not answer in its time",
            Status::BackendFailed => "the backend failed",
            Status::UpstreamError => "the other side was reached and answered with an error",
        }
    }
}

//! How a backend says what went wrong.

use std::fmt;

use cis_wasm_abi::Status;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// The operator's policy forbids it (an egress rule, for one).
    Denied,
    /// The backend, or what stands behind it, failed.
    Failed,
    /// The request has a form that the backend cannot serve.
    InvalidRequest,
    /// The namespace is at its quota.
    QuotaExceeded,
    /// There was no answer in time.
    TimedOut,
    /// The reply is larger than allowed.
    TooLarge,
    /// The other side was reached and answered with an error.
    Upstream,
}

impl BackendErrorKind {
    /// The status the guest gets.
    pub const fn status(self) -> Status {
        match self {
            BackendErrorKind::Denied => Status::Denied,
            BackendErrorKind::Failed => Status::BackendFailed,
            BackendErrorKind::InvalidRequest => Status::InvalidArgument,
            BackendErrorKind::QuotaExceeded => Status::QuotaExceeded,
            BackendErrorKind::TimedOut => Status::TimedOut,
            BackendErrorKind::TooLarge => Status::TooLarge,
            BackendErrorKind::Upstream => Status::UpstreamError,
        }
    }
}

/// A backend's error. The text is for the operator: the guest gets the status only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendError {
    kind: BackendErrorKind,
    message: String,
}

impl BackendError {
    /// An error of this kind. `message` says what was tried and what came of it; it must hold no secret.
    pub fn new(kind: BackendErrorKind, message: impl Into<String>) -> Self {
        BackendError { kind, message: message.into() }
    }

    /// An error of the kind [`BackendErrorKind::Failed`], with the texts of all causes.
    pub fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut message = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        BackendError::new(BackendErrorKind::Failed, message)
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> BackendErrorKind {
        self.kind
    }

    /// What was tried and what came of it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BackendError {}

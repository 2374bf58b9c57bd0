//! How a command fails.

use std::fmt::Display;
use std::path::Path;

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A program that was handed over to ended with this code, and has said why itself. Where a process can become
    /// another one, it does, and this is never made.
    #[cfg_attr(unix, expect(dead_code, reason = "made where there is no `exec`"))]
    Ended(u8),
    /// What was wrong, and what to do.
    Said(String),
}

impl Failure {
    pub(crate) fn said(message: impl Into<String>) -> Self {
        Failure::Said(message.into())
    }

    /// A file or folder that could not be worked with.
    pub(crate) fn at(path: &Path, problem: impl Display) -> Self {
        Failure::Said(format!("{}: {problem}", path.display()))
    }

    /// The text for people.
    pub(crate) fn message(&self) -> String {
        match self {
            Failure::Ended(code) => format!("ended with exit code {code}"),
            Failure::Said(message) => message.clone(),
        }
    }
}

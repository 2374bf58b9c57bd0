//! Why a text is not a manifest.

use std::fmt;

/// What is wrong with a `skill.toml`, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    line: Option<usize>,
    message: String,
}

impl ManifestError {
    pub(super) fn new(line: Option<usize>, message: impl Into<String>) -> Self {
        ManifestError { line, message: message.into() }
    }

    /// The line, from 1; `None` when it is about the text as a whole.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// What is wrong and what is allowed instead.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("skill.toml")?;
        if let Some(line) = self.line {
            write!(f, " line {line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ManifestError {}

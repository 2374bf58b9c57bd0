//! What came of looking for a module's artifact.

use std::fmt;

/// What the artifact cache did for a module when it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheOutcome {
    /// The runtime has no cache: the module was compiled.
    Off,
    /// The module's artifact was there, authentic, and is what runs.
    Hit,
    /// There was none: the module was compiled.
    Miss {
        /// Whether the artifact was then stored.
        stored: bool,
    },
    /// There was something that is not to be trusted or cannot be used: the module was compiled.
    Rejected {
        /// What was wrong with it.
        why: Rejection,
        /// Whether a new artifact was then stored in its place.
        stored: bool,
    },
}

impl CacheOutcome {
    /// The name in lower case: `off`, `hit`, `miss` or `rejected`.
    pub const fn name(&self) -> &'static str {
        match self {
            CacheOutcome::Off => "off",
            CacheOutcome::Hit => "hit",
            CacheOutcome::Miss { .. } => "miss",
            CacheOutcome::Rejected { .. } => "rejected",
        }
    }
}

impl fmt::Display for CacheOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CacheOutcome::Rejected { why, .. } => write!(f, "{}: {why}", self.name()),
            _ => f.write_str(self.name()),
        }
    }
}

/// Why a file in the cache was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The engine did not take it, although it is authentic.
    Refused {
        /// What the engine said.
        message: String,
    },
    /// It is of another module, compiler, processor or build.
    Foreign,
    /// It was changed, or made with another key.
    NotAuthentic,
    /// It is a link, a folder or something else that is not a file.
    NotAFile,
    /// It belongs to another user, or others may write it.
    NotPrivate {
        /// What is wrong with its owner or mode.
        what: String,
    },
    /// It does not begin as an artifact of this version does.
    UnknownFormat,
    /// It could not be read.
    Unreadable {
        /// What the system said.
        message: String,
    },
    /// It is shorter or longer than its header says.
    WrongLength,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::Refused { message } => write!(f, "the engine does not take it: {message}"),
            Rejection::Foreign => f.write_str("it is of another module, compiler, processor or build"),
            Rejection::NotAuthentic => f.write_str("it was changed, or made with another key"),
            Rejection::NotAFile => f.write_str("it is not a file"),
            Rejection::NotPrivate { what } => f.write_str(what),
            Rejection::UnknownFormat => f.write_str("it does not begin as an artifact does"),
            Rejection::Unreadable { message } => write!(f, "it cannot be read: {message}"),
            Rejection::WrongLength => f.write_str("it is shorter or longer than its header says"),
        }
    }
}

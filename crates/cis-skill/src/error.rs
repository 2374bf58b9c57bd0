//! The one error of this crate.

use std::fmt;

use cis_wasm_abi::Status;
use cis_wasm_host::{Fault, HostError, LogLine, SkillName, SkillNameError};
use cis_wasm_runtime::Receipt;

use crate::manager::{SkillHealth, SkillState, Transition};
use crate::manifest::{ConfigError, ManifestError};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done. One word wide; what it is stands in [`Error::kind`].
///
/// The error of an event carries the event's receipt and log.
///
/// ```
/// use cis_skill::{Error, Fault};
///
/// let error = Error::skill("the list is empty");
/// assert_eq!((error.code(), error.fault()), ("skill_failed", Fault::Guest));
/// assert_eq!(error.to_string(), "the skill answered with an error: the list is empty");
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    receipt: Option<Receipt>,
    log: Vec<LogLine>,
    /// What there is to say beside its kind.
    note: Option<Box<str>>,
}

/// What went wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The skill is failed: too many of its events failed in a row, and it is not yet, or just being, tried again.
    BackingOff {
        /// The skill.
        skill: SkillName,
        /// What it failed of, and when it is tried again.
        health: SkillHealth,
    },
    /// A setting that was given does not fit the skill's manifest, or one is missing.
    BadConfig {
        /// Which, and what it should be.
        message: String,
    },
    /// An event's data is not the JSON that was asked for, or a value cannot be written as JSON.
    BadEventJson {
        /// What the parser said.
        message: String,
    },
    /// The manifest is not valid.
    BadManifest {
        /// What is wrong with it.
        error: ManifestError,
        /// Whether it came with the module, and not from the integrator.
        embedded: bool,
    },
    /// The name is no skill's name.
    BadName(SkillNameError),
    /// A recording cannot be read or written, or a replay of it makes no sense.
    BadRecording {
        /// What is wrong.
        message: String,
    },
    /// A response is not what was asked for: not UTF-8, or not that JSON.
    BadResponse {
        /// What the parser said.
        message: String,
    },
    /// An event that carries a recorder cannot be recorded. It ran all the same.
    CannotRecord {
        /// Why not.
        why: String,
    },
    /// A queued event was given back because its skill left the pause without serving it.
    EventWithdrawn {
        /// The skill.
        skill: SkillName,
        /// What it became.
        state: SkillState,
    },
    /// A host call of a native skill was answered with an error.
    HostCallFailed {
        /// The import it is the same as.
        call: &'static str,
        /// The answer.
        status: Status,
        /// What happened. Holds no secret.
        message: String,
    },
    /// The skill's state does not allow this.
    IllegalTransition {
        /// The skill.
        skill: SkillName,
        /// What was asked for.
        transition: Transition,
        /// The state the skill is in.
        from: SkillState,
    },
    /// A builder lacks something it cannot do without.
    Incomplete {
        /// What is missing.
        what: &'static str,
    },
    /// Something that cannot be: please report it.
    Internal {
        /// What was found.
        message: String,
    },
    /// The skill is not the one that was expected.
    ManifestMismatch {
        /// What differs.
        message: String,
    },
    /// The name is another skill's.
    NameTaken {
        /// The name.
        skill: SkillName,
    },
    /// The skill takes no events in this state.
    NotActive {
        /// The skill.
        skill: SkillName,
        /// The state it is in.
        state: SkillState,
    },
    /// An event of this skill, or in this host, cannot be durable. It was not accepted.
    NotDurable {
        /// Why not, and what would help.
        why: &'static str,
    },
    /// The store of durable events could not be read or written. An event that it was to accept did not run; one that it
    /// has is unfinished.
    NotKept {
        /// What the store said.
        why: String,
    },
    /// Only a skill that was loaded from wasm can be reloaded.
    NotWasm {
        /// The skill.
        skill: SkillName,
    },
    /// The skill is paused and its queue is full.
    QueueFull {
        /// The skill.
        skill: SkillName,
        /// How many events it holds.
        bound: usize,
    },
    /// A durable event was not resumed once more: each time before, the process ended while it was at it.
    ResumedTooOften {
        /// How often it was resumed.
        times: u32,
    },
    /// Loading or running the module failed.
    Runtime(cis_wasm_runtime::Error),
    /// The manager was shut down.
    ShutDown,
    /// A native skill answered with an error.
    SkillFailed {
        /// What it said.
        message: String,
    },
    /// A native skill panicked.
    SkillPanicked {
        /// The panic's message.
        message: String,
    },
    /// No skill has this name.
    UnknownSkill {
        /// The name that was asked for.
        name: String,
        /// A name like it that there is.
        nearest: Option<SkillName>,
    },
}

impl Error {
    /// The error of a native skill: what it has to say about an event that it could not handle.
    pub fn skill(message: impl Into<String>) -> Self {
        ErrorKind::SkillFailed { message: message.into() }.into()
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.inner.kind
    }

    /// What the event was allowed and what it used. `None` when no event ran.
    pub fn receipt(&self) -> Option<&Receipt> {
        self.inner.receipt.as_ref()
    }

    /// What the skill logged during the event, or while it was loaded.
    pub fn log(&self) -> &[LogLine] {
        &self.inner.log
    }

    /// A stable name for the kind of error, in snake case: for logs, metrics and scripts.
    pub fn code(&self) -> &'static str {
        match self.kind() {
            ErrorKind::BackingOff { .. } => "skill_failed_state",
            ErrorKind::BadConfig { .. } => "bad_config",
            ErrorKind::BadEventJson { .. } => "bad_event_json",
            ErrorKind::BadManifest { .. } => "bad_manifest",
            ErrorKind::BadName(_) => "bad_name",
            ErrorKind::BadRecording { .. } => "bad_recording",
            ErrorKind::BadResponse { .. } => "bad_response",
            ErrorKind::CannotRecord { .. } => "cannot_record",
            ErrorKind::EventWithdrawn { .. } => "event_withdrawn",
            ErrorKind::HostCallFailed { status, .. } => status.name(),
            ErrorKind::IllegalTransition { .. } => "illegal_transition",
            ErrorKind::Incomplete { .. } => "incomplete",
            ErrorKind::Internal { .. } => "internal",
            ErrorKind::ManifestMismatch { .. } => "manifest_mismatch",
            ErrorKind::NameTaken { .. } => "name_taken",
            ErrorKind::NotActive { .. } => "not_active",
            ErrorKind::NotDurable { .. } => "not_durable",
            ErrorKind::NotKept { .. } => "not_kept",
            ErrorKind::NotWasm { .. } => "not_wasm",
            ErrorKind::QueueFull { .. } => "queue_full",
            ErrorKind::ResumedTooOften { .. } => "resumed_too_often",
            ErrorKind::Runtime(error) => error.code(),
            ErrorKind::ShutDown => "shut_down",
            ErrorKind::SkillFailed { .. } => "skill_failed",
            ErrorKind::SkillPanicked { .. } => "skill_panicked",
            ErrorKind::UnknownSkill { .. } => "unknown_skill",
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.kind() {
            ErrorKind::BackingOff { .. }
            | ErrorKind::BadManifest { embedded: true, .. }
            | ErrorKind::BadResponse { .. }
            | ErrorKind::SkillFailed { .. }
            | ErrorKind::SkillPanicked { .. } => Fault::Guest,
            ErrorKind::HostCallFailed { status, .. } => match status {
                Status::TimedOut | Status::BackendFailed | Status::UpstreamError => Fault::Backend,
                Status::NotConfigured => Fault::Caller,
                _ => Fault::Guest,
            },
            ErrorKind::NotKept { .. } | ErrorKind::ResumedTooOften { .. } => Fault::Backend,
            ErrorKind::Internal { .. } => Fault::Bug,
            ErrorKind::Runtime(error) => error.fault(),
            ErrorKind::BadConfig { .. }
            | ErrorKind::BadEventJson { .. }
            | ErrorKind::BadManifest { embedded: false, .. }
            | ErrorKind::BadName(_)
            | ErrorKind::BadRecording { .. }
            | ErrorKind::CannotRecord { .. }
            | ErrorKind::EventWithdrawn { .. }
            | ErrorKind::IllegalTransition { .. }
            | ErrorKind::Incomplete { .. }
            | ErrorKind::ManifestMismatch { .. }
            | ErrorKind::NameTaken { .. }
            | ErrorKind::NotActive { .. }
            | ErrorKind::NotDurable { .. }
            | ErrorKind::NotWasm { .. }
            | ErrorKind::QueueFull { .. }
            | ErrorKind::ShutDown
            | ErrorKind::UnknownSkill { .. } => Fault::Caller,
        }
    }

    /// Adds to what the error says.
    pub(crate) fn with_note(mut self, note: impl Into<Box<str>>) -> Self {
        self.inner.note = Some(note.into());
        self
    }

    /// Gives the error the receipt and log of its event, unless it has them.
    pub(crate) fn with_event(mut self, receipt: Receipt, log: Vec<LogLine>) -> Self {
        if self.inner.receipt.is_none() {
            self.inner.receipt = Some(receipt);
            self.inner.log = log;
        }
        self
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error { inner: Box::new(Inner { kind, receipt: None, log: Vec::new(), note: None }) }
    }
}

impl From<cis_wasm_runtime::Error> for Error {
    fn from(error: cis_wasm_runtime::Error) -> Self {
        let log = error.log().to_vec();
        Error { inner: Box::new(Inner { kind: ErrorKind::Runtime(error), receipt: None, log, note: None }) }
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        cis_wasm_runtime::Error::from(error).into()
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        ErrorKind::BadConfig { message: error.to_string() }.into()
    }
}

impl From<SkillNameError> for Error {
    fn from(error: SkillNameError) -> Self {
        ErrorKind::BadName(error).into()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)?;
        self.inner.note.as_ref().map_or(Ok(()), |note| write!(f, " ({note})"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind() {
            ErrorKind::BadManifest { error, .. } => Some(error),
            ErrorKind::BadName(error) => Some(error),
            ErrorKind::Runtime(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::BackingOff { skill, health } => {
                let SkillHealth { failures_in_a_row, last_failure, back_off, trying } = health;
                let last = last_failure.unwrap_or("no error");
                write!(f, "`{skill}` is failed: {failures_in_a_row} events in a row, the last one with {last}; ")?;
                match back_off {
                    Some(left) if !trying => write!(f, "try again in {left:.1?}, or activate or reload it"),
                    _ => f.write_str("an event is trying it; try again when that has ended"),
                }
            }
            ErrorKind::BadConfig { message } | ErrorKind::ManifestMismatch { message } => f.write_str(message),
            ErrorKind::BadEventJson { message } => write!(f, "the event's data as JSON: {message}"),
            ErrorKind::BadManifest { error, embedded: true } => write!(f, "the manifest in the module: {error}"),
            ErrorKind::BadManifest { error, embedded: false } => error.fmt(f),
            ErrorKind::BadName(error) => error.fmt(f),
            ErrorKind::BadRecording { message } => f.write_str(message),
            ErrorKind::BadResponse { message } => write!(f, "the skill's response: {message}"),
            ErrorKind::CannotRecord { why } => write!(f, "the event was not recorded: {why}"),
            ErrorKind::EventWithdrawn { skill, state } => {
                write!(f, "`{skill}` became {state} while the event waited for it to be resumed; send it again")
            }
            ErrorKind::HostCallFailed { call, status, message } => {
                write!(f, "{call} failed, {}: {message}", status.name())
            }
            ErrorKind::IllegalTransition { skill, transition, from } => {
                write!(f, "`{skill}` is {from} and cannot become {} by `{transition}`, ", transition.goal(*from))?;
                write!(f, "which takes a skill that is {}", transition.origins())
            }
            ErrorKind::Incomplete { what } => write!(f, "{what}"),
            ErrorKind::Internal { message } => write!(f, "this is a bug of cis-skill, please report it: {message}"),
            ErrorKind::NameTaken { skill } => {
                write!(f, "there is a skill `{skill}` already; unload or reload it, or choose another name")
            }
            ErrorKind::NotActive { skill, state } => {
                write!(f, "`{skill}` is {state} and takes no events")?;
                f.write_str(if *state == SkillState::Inactive { "; activate it first" } else { "" })
            }
            ErrorKind::NotDurable { why } => write!(f, "the event cannot be durable: {why}"),
            ErrorKind::NotKept { why } => write!(f, "the store of durable events: {why}"),
            ErrorKind::NotWasm { skill } => {
                write!(f, "`{skill}` is a native skill; unload it and register its new version instead")
            }
            ErrorKind::QueueFull { skill, bound } => {
                write!(f, "`{skill}` is paused and its queue of {bound} events is full; resume it, or send again later")
            }
            ErrorKind::ResumedTooOften { times } => {
                write!(
                    f,
                    "the event was resumed {times} times, and each time the process ended while it was at it, and it had "
                )?;
                f.write_str(
                    "come no further; look for a backend that takes the process down, then `retry` or `discard` it",
                )
            }
            ErrorKind::Runtime(error) => error.fmt(f),
            ErrorKind::ShutDown => f.write_str("the skill manager was shut down"),
            ErrorKind::SkillFailed { message } => write!(f, "the skill answered with an error: {message}"),
            ErrorKind::SkillPanicked { message } => write!(f, "the native skill panicked: {message}"),
            ErrorKind::UnknownSkill { name, nearest } => {
                write!(f, "there is no skill `{}`", crate::suggest::quoted(name))?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
                    None => Ok(()),
                }
            }
        }
    }
}

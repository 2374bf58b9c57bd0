//! Errors of loading and running skills.

use std::fmt;

use cis_wasm_host::{CallFailure, Fault, HostError, LogLine, Resource};

use crate::compiler::Compiler;
use crate::trap::{Frame, TrapKind};

/// An error of this crate. One word wide; what it is stands in [`Error::kind`].
#[derive(Clone)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    log: Vec<LogLine>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The guest's allocator answered with something that is not free memory.
    BadAllocation {
        /// What it did.
        what: String,
    },
    /// The folder for artifacts cannot be used.
    BadCache {
        /// Which.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// An export has a type that the contract does not know.
    BadExport {
        /// Its name.
        name: String,
        /// Its type, and the type it should have.
        what: String,
    },
    /// An import from the host has a type that the contract does not know.
    BadImport {
        /// Its name.
        name: String,
        /// Its type, and the type it should have.
        what: String,
    },
    /// The guest named a region that is not in its memory.
    BadPointer {
        /// Which argument of which function.
        what: String,
        /// The pointer.
        ptr: u32,
        /// The length in bytes.
        len: u32,
        /// The size of memory in bytes.
        memory: u64,
    },
    /// The event ended because nobody waits for it any more.
    Cancelled,
    /// The compiler did not accept a module that passed all checks.
    CompileFailed {
        /// What it said.
        message: String,
    },
    /// The event took longer than its deadline.
    DeadlineExceeded {
        /// The deadline in milliseconds.
        limit_ms: u64,
        /// What the guest was doing.
        during: &'static str,
    },
    /// The event's type or data is larger than the contract allows.
    EventTooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        len: usize,
        /// The most it may have.
        ceiling: usize,
    },
    /// A host call ended the event.
    Host(HostError),
    /// `skill_init` refused to start.
    InitFailed {
        /// What it returned.
        status: i32,
        /// The text it set, if any.
        text: Option<String>,
        /// The last host call that failed, if the guest's status is that failure's.
        cause: Option<CallFailure>,
    },
    /// Something that cannot be: please report it.
    Internal {
        /// What was found.
        message: String,
    },
    /// The bytes are not a WebAssembly module that this runtime accepts.
    InvalidModule {
        /// What is wrong, and where.
        message: String,
    },
    /// The module exceeds a ceiling that is checked before it is compiled.
    ModuleTooLarge {
        /// What there is too much of.
        what: String,
        /// How much the module has.
        has: u64,
        /// The most it may have.
        ceiling: u64,
    },
    /// The module does not export something that is required.
    MissingExport {
        /// Its name.
        name: &'static str,
    },
    /// The event was sent within as many others as may run within each other: see [`MAX_NESTING`](crate::MAX_NESTING).
    NestedTooDeep {
        /// How many those are.
        most: u8,
    },
    /// The event used up its fuel.
    OutOfFuel {
        /// How much it had.
        limit: u64,
    },
    /// The module needs, or the host had to add, more memory than the limit.
    OutOfMemory {
        /// How much was wanted, in bytes.
        wanted: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The response is larger than the contract allows.
    ResponseTooLarge {
        /// Its size in bytes.
        len: u64,
        /// The most it may have.
        ceiling: usize,
    },
    /// The runtime is shutting down.
    RuntimeClosed,
    /// The skill answered the event with an error.
    SkillFailed {
        /// What it returned.
        status: i32,
        /// The text it set, if any.
        text: Option<String>,
        /// The last host call that failed, if the guest's status is that failure's.
        cause: Option<CallFailure>,
    },
    /// The tables that the module declares are larger than the limit.
    TableTooLarge {
        /// Elements declared.
        wanted: u64,
        /// The limit.
        limit: u32,
    },
    /// The guest did something that WebAssembly does not let it do.
    Trapped {
        /// What it did.
        trap: TrapKind,
        /// Where, innermost first.
        frames: Vec<Frame>,
        /// The text it set before, a panic's message for one.
        text: Option<String>,
    },
    /// The module imports something the host does not have.
    UnknownImport {
        /// `module.name`
        name: String,
    },
    /// The module uses something of WebAssembly that the runtime's compiler does not compile, while another does.
    UnsupportedFeature {
        /// What it uses, and how it is switched off where the module is built.
        feature: &'static str,
        /// The compiler.
        compiler: Compiler,
    },
    /// A backend blocked its thread in [`run`](crate::WasmInstance::run) for an event of a kept skill, within an event that has the
    /// skill's one instance or waits for who has it. One that blocks on the future of such an event is not recognised.
    WaitsForItself,
    /// The module was built for a newer contract.
    UnsupportedAbi {
        /// The version it speaks.
        guest: i32,
        /// The newest version the host speaks.
        host: i32,
    },
}

impl Error {
    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.inner.kind
    }

    /// What the skill logged while it was loaded, before that failed. What it logs during an event stands in the event's
    /// [`Outcome`](crate::Outcome).
    pub fn log(&self) -> &[LogLine] {
        &self.inner.log
    }

    /// The same error, of a skill that logged this while it was loaded.
    pub(crate) fn with_log(mut self, log: Vec<LogLine>) -> Self {
        self.inner.log = log;
        self
    }

    /// A stable name for the kind of error, in snake case: for logs, metrics and scripts.
    pub fn code(&self) -> &'static str {
        match self.kind() {
            ErrorKind::BadAllocation { .. } => "bad_allocation",
            ErrorKind::BadCache { .. } => "bad_cache",
            ErrorKind::BadExport { .. } => "bad_export",
            ErrorKind::BadImport { .. } => "bad_import",
            ErrorKind::BadPointer { .. } => "bad_pointer",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::CompileFailed { .. } => "compile_failed",
            ErrorKind::DeadlineExceeded { .. } => "deadline_exceeded",
            ErrorKind::EventTooLarge { .. } => "event_too_large",
            ErrorKind::Host(HostError::BudgetExhausted { resource, .. }) => out_of(*resource),
            ErrorKind::Host(HostError::Diverged { .. }) => "diverged",
            ErrorKind::Host(HostError::NotJournalled { .. }) => "not_journalled",
            ErrorKind::Host(HostError::NotStored { .. }) => "not_stored",
            ErrorKind::InitFailed { cause: Some(failure), .. }
            | ErrorKind::SkillFailed { cause: Some(failure), .. } => failure.status.name(),
            ErrorKind::InitFailed { .. } => "init_failed",
            ErrorKind::Host(_) | ErrorKind::Internal { .. } => "internal",
            ErrorKind::InvalidModule { .. } => "invalid_module",
            ErrorKind::MissingExport { .. } => "missing_export",
            ErrorKind::ModuleTooLarge { .. } => "module_too_large",
            ErrorKind::NestedTooDeep { .. } => "nested_too_deep",
            ErrorKind::OutOfFuel { .. } => "out_of_fuel",
            ErrorKind::OutOfMemory { .. } => "out_of_memory",
            ErrorKind::ResponseTooLarge { .. } => "response_too_large",
            ErrorKind::RuntimeClosed => "runtime_closed",
            ErrorKind::SkillFailed { .. } => "skill_failed",
            ErrorKind::TableTooLarge { .. } => "table_too_large",
            ErrorKind::Trapped { trap, .. } => trap.code(),
            ErrorKind::UnknownImport { .. } => "unknown_import",
            ErrorKind::UnsupportedAbi { .. } => "unsupported_abi",
            ErrorKind::UnsupportedFeature { .. } => "unsupported_feature",
            ErrorKind::WaitsForItself => "waits_for_itself",
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        use cis_wasm_abi::Status;
        match self.kind() {
            ErrorKind::BadCache { .. }
            | ErrorKind::Cancelled
            | ErrorKind::EventTooLarge { .. }
            | ErrorKind::NestedTooDeep { .. }
            | ErrorKind::RuntimeClosed
            | ErrorKind::UnsupportedFeature { .. }
            | ErrorKind::WaitsForItself => Fault::Caller,
            ErrorKind::CompileFailed { .. } | ErrorKind::Internal { .. } => Fault::Bug,
            ErrorKind::DeadlineExceeded { during, .. } if *during != GUEST_CODE => Fault::Backend,
            ErrorKind::Host(error) => error.fault(),
            ErrorKind::InitFailed { cause: Some(failure), .. }
            | ErrorKind::SkillFailed { cause: Some(failure), .. } => match failure.status {
                Status::TimedOut | Status::BackendFailed | Status::UpstreamError => Fault::Backend,
                Status::NotConfigured => Fault::Caller,
                _ => Fault::Guest,
            },
            _ => Fault::Guest,
        }
    }
}

/// What a guest does when it is in no host call.
pub(crate) const GUEST_CODE: &str = "guest code";

/// The code of a budget that ran out.
fn out_of(resource: Resource) -> &'static str {
    match resource {
        Resource::HostCalls => "out_of_host_calls",
        Resource::BytesIn => "out_of_bytes_in",
        Resource::BytesOut => "out_of_bytes_out",
        Resource::MemoryWrites => "out_of_memory_writes",
        Resource::MemoryWriteBytes => "out_of_memory_write_bytes",
        Resource::AiCalls => "out_of_ai_calls",
        Resource::AiTokens => "out_of_ai_tokens",
        Resource::HttpRequests => "out_of_http_requests",
        Resource::HttpBytes => "out_of_http_bytes",
        Resource::LogLines => "out_of_log_lines",
        Resource::LogBytes => "out_of_log_bytes",
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error { inner: Box::new(Inner { kind, log: Vec::new() }) }
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        ErrorKind::Host(error).into()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::BadAllocation { what } => write!(f, "the guest's allocator {what}"),
            ErrorKind::BadCache { path, what } => write!(f, "the artifact cache {path} is not used: {what}"),
            ErrorKind::BadExport { name, what } => write!(f, "the export `{name}` {what}"),
            ErrorKind::BadImport { name, what } => write!(f, "the import `{name}` {what}"),
            ErrorKind::BadPointer { what, ptr, len, memory } => {
                write!(f, "{what}: {len} bytes at {ptr:#x} do not lie within the guest's memory of {memory} bytes")
            }
            ErrorKind::Cancelled => f.write_str("the event was cancelled: whoever sent it stopped waiting"),
            ErrorKind::CompileFailed { message } => write!(f, "the module is valid but was not compiled: {message}"),
            ErrorKind::DeadlineExceeded { limit_ms, during } => {
                write!(f, "the event took longer than its deadline of {limit_ms} ms and was stopped in {during}")
            }
            ErrorKind::EventTooLarge { what, len, ceiling } => {
                write!(f, "the event's {what} has {len} bytes, more than {ceiling}")
            }
            ErrorKind::Host(error) => error.fmt(f),
            ErrorKind::InitFailed { status, text, cause } => {
                f.write_str("the skill did not start: ")?;
                describe_status(f, "skill_init", *status, text, cause)
            }
            ErrorKind::Internal { message } => write!(f, "this is a bug of the runtime, please report it: {message}"),
            ErrorKind::InvalidModule { message } => write!(f, "this is not a module that can be loaded: {message}"),
            ErrorKind::MissingExport { name } => {
                write!(f, "the module does not export `{name}`, which every skill must")
            }
            ErrorKind::ModuleTooLarge { what, has, ceiling } => {
                write!(f, "the module has {has} {what}, more than the {ceiling} that are accepted")
            }
            ErrorKind::NestedTooDeep { most } => {
                write!(
                    f,
                    "{most} events run within each other here, and no more may: a backend or a native skill sends events "
                )?;
                f.write_str(
                    "to skills that call it again; break the circle, or have it send them from a task of their own",
                )
            }
            ErrorKind::OutOfFuel { limit } => {
                write!(
                    f,
                    "the event used up its {limit} units of fuel; raise `limits.fuel`, or look for a loop without an end"
                )
            }
            ErrorKind::OutOfMemory { wanted, limit } => {
                write!(f, "{wanted} bytes of linear memory are needed, the limit is {limit}")
            }
            ErrorKind::ResponseTooLarge { len, ceiling } => {
                write!(f, "the skill's response has {len} bytes, more than {ceiling}")
            }
            ErrorKind::RuntimeClosed => f.write_str("the runtime is shutting down and takes no more events"),
            ErrorKind::SkillFailed { status, text, cause } => {
                f.write_str("the skill answered with an error: ")?;
                describe_status(f, "skill_on_event", *status, text, cause)
            }
            ErrorKind::TableTooLarge { wanted, limit } => {
                write!(f, "the module declares tables of {wanted} elements, the limit is {limit}")
            }
            ErrorKind::Trapped { trap, frames, text } => {
                write!(f, "the skill trapped: {}", trap.meaning())?;
                if let Some(text) = text {
                    write!(f, ": {text}")?;
                }
                for (index, frame) in frames.iter().enumerate() {
                    write!(f, "{}{frame}", if index == 0 { " (in " } else { " < " })?;
                }
                f.write_str(if frames.is_empty() { "" } else { ")" })
            }
            ErrorKind::UnknownImport { name } => {
                write!(
                    f,
                    "the module imports `{name}`, which the host does not have; skills import from `env` only: "
                )?;
                for (index, import) in cis_wasm_abi::IMPORTS.iter().enumerate() {
                    write!(f, "{}{}", if index == 0 { "" } else { ", " }, import.name)?;
                }
                Ok(())
            }
            ErrorKind::WaitsForItself => f.write_str(
                "a backend blocks its thread for this event of a kept skill, and the skill's one instance is in an event that \
                 waits for that backend: they would wait for each other without an end; load the skill fresh, break the \
                 circle, or have the backend send the event from a task of its own and not wait for it",
            ),
            ErrorKind::UnsupportedFeature { feature, compiler } => {
                let (not, instead) = (compiler.name(), Compiler::default().name());
                write!(
                    f,
                    "the module uses {feature}, which {not} does not compile; compile it with {instead}, or build it without"
                )
            }
            ErrorKind::UnsupportedAbi { guest, host } => {
                write!(f, "the skill speaks version {guest} of the contract, this host versions 1 to {host}")
            }
        }
    }
}

fn describe_status(
    f: &mut fmt::Formatter<'_>,
    function: &str,
    status: i32,
    text: &Option<String>,
    cause: &Option<CallFailure>,
) -> fmt::Result {
    match text {
        Some(text) => write!(f, "{text}")?,
        None => write!(f, "{function} returned {status}")?,
    }
    match cause {
        Some(cause) => write!(f, " ({} failed, {}: {})", cause.call, cause.status.name(), cause.message),
        None => Ok(()),
    }
}

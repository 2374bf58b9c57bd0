//! Errors that end the event. What the guest may handle is a [`Status`](cis_wasm_abi::Status) in the reply instead.

use crate::Resource;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A backend of the host, or what stands behind it: the disk, the network, the model.
    Backend,
    /// This project's own.
    Bug,
    /// Whoever called this library.
    Caller,
    /// The skill.
    Guest,
}

impl Fault {
    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Backend => "backend",
            Fault::Bug => "bug",
            Fault::Caller => "caller",
            Fault::Guest => "guest",
        }
    }
}

/// Why a host call ended the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The event has used up one of its budgets.
    #[error(
        "{call} would take {wanted} more {resource} where {left} of {limit} are left; raise `limits.{resource}` or do less",
        resource = resource.name()
    )]
    BudgetExhausted {
        /// The call that asked for more.
        call: &'static str,
        /// What ran out.
        resource: Resource,
        /// How much the event may use.
        limit: u64,
        /// How much was left.
        left: u64,
        /// How much the call would have taken.
        wanted: u64,
    },
    /// A run is not the one that its journal is of.
    #[error(
        "host call {index} is not the one in the journal: {difference}; the module, its event or what it may use is not \
         what was journalled"
    )]
    Diverged {
        /// The number of the call in the run, from 0.
        index: usize,
        /// The first difference. Holds no secret.
        difference: String,
    },
    /// A run that is answered from a journal alone made a call that the journal has no answer to.
    #[error("the journal has no answer to host call {index}, {call}")]
    NotJournalled {
        /// The number of the call in the run, from 0.
        index: usize,
        /// The import.
        call: &'static str,
    },
    /// The store of a durable event did not keep a call. Nothing that depends on it was done.
    #[error(
        "the event's store did not keep {call}: {why}; the event is unfinished, and can be resumed when the store works"
    )]
    NotStored {
        /// The import.
        call: &'static str,
        /// What the store said. Holds no secret.
        why: String,
    },
}

impl HostError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            HostError::BudgetExhausted { .. } => Fault::Guest,
            HostError::NotStored { .. } => Fault::Backend,
            HostError::Diverged { .. } | HostError::NotJournalled { .. } => Fault::Bug,
        }
    }
}

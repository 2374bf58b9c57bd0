//! A switch for tests: it takes one limit out of service, so that it can be seen that the limit's tests notice.
//!
//! A limit that was configured and never wired looks like one that holds. So every limit of this project asks
//! [`unwired`] at the place where it bites, and the hostile suite (`tests/hostile`) unwires one after the other and wants
//! to see its cases fail.
//!
//! Invariant: without the feature `unwire`, and in every build without debug assertions, [`unwired`] is a constant
//! `false`: there is nothing to switch, and the compiler removes the question.

use crate::Resource;

/// A limit that can be taken out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// What the guest's allocator answers is checked.
    Allocator,
    /// A budget of an event.
    Budget(Resource),
    /// Bulk operations pay for their length.
    Bulk,
    /// What one call may carry, either way.
    CallCeilings,
    /// The static ceilings on a module.
    Ceilings,
    /// The clock is looked at in guest code and at every host call.
    Deadline,
    /// The addresses that HTTP requests may go to.
    Egress,
    /// The names and types of exports.
    Exports,
    /// The features of WebAssembly that are off.
    Features,
    /// How much stack Singlepass's code may step over.
    Frames,
    /// A fresh skill's event has an instance of its own.
    Fresh,
    /// Instructions.
    Fuel,
    /// What the manifest grants.
    Grants,
    /// Stack for the engine's own traps.
    Headroom,
    /// The names and types of imports.
    Imports,
    /// Linear memory.
    Memory,
    /// Function names of the guest's own in errors.
    Names,
    /// Panics of backends are errors.
    Panics,
    /// Regions that the guest names.
    Pointers,
    /// Stored keys and bytes.
    Quota,
    /// The guest does not call the host while it allocates for it.
    Reentry,
    /// A fresh skill's instance is set back before it sees another event.
    Reset,
    /// The size of a skill's response.
    Response,
    /// A trapped instance is not used again.
    Retire,
    /// Secrets are taken out of what a skill is told.
    Secrets,
    /// Elements of tables.
    Tables,
    /// Waits end at the deadline.
    Wait,
}

impl Limit {
    /// Every limit, budgets one by one.
    pub fn all() -> impl Iterator<Item = Limit> {
        use Limit::{
            Allocator, Bulk, CallCeilings, Ceilings, Deadline, Egress, Exports, Features, Frames, Fresh, Fuel, Grants,
            Headroom, Imports, Memory, Names, Panics, Pointers, Quota, Reentry, Reset, Response, Retire, Secrets,
            Tables, Wait,
        };
        let single = [
            Allocator,
            Bulk,
            CallCeilings,
            Ceilings,
            Deadline,
            Egress,
            Exports,
            Features,
            Frames,
            Fresh,
            Fuel,
            Grants,
            Headroom,
            Imports,
            Memory,
            Names,
            Panics,
            Pointers,
            Quota,
            Reentry,
            Reset,
            Response,
            Retire,
            Secrets,
            Tables,
            Wait,
        ];
        single.into_iter().chain(Resource::ALL.into_iter().map(Limit::Budget))
    }

    /// The name in lower case; a budget's is its resource's.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Allocator => "allocator",
            Limit::Budget(resource) => resource.name(),
            Limit::Bulk => "bulk",
            Limit::CallCeilings => "call_ceilings",
            Limit::Ceilings => "ceilings",
            Limit::Deadline => "deadline",
            Limit::Egress => "egress",
            Limit::Exports => "exports",
            Limit::Features => "features",
            Limit::Frames => "frames",
            Limit::Fresh => "fresh",
            Limit::Fuel => "fuel",
            Limit::Grants => "grants",
            Limit::Headroom => "headroom",
            Limit::Imports => "imports",
            Limit::Memory => "memory",
            Limit::Names => "names",
            Limit::Panics => "panics",
            Limit::Pointers => "pointers",
            Limit::Quota => "quota",
            Limit::Reentry => "reentry",
            Limit::Reset => "reset",
            Limit::Response => "response",
            Limit::Retire => "retire",
            Limit::Secrets => "secrets",
            Limit::Tables => "tables",
            Limit::Wait => "wait",
        }
    }

    /// The limit of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Limit::all().find(|limit| limit.name() == name)
    }
}

#[cfg(all(feature = "unwire", debug_assertions))]
mod switch {
    use std::sync::OnceLock;

    use super::Limit;

    static UNWIRED: OnceLock<Limit> = OnceLock::new();

    /// Takes a limit out of service, for the rest of the process. Only the first call has an effect.
    pub fn unwire(limit: Limit) {
        let _ = UNWIRED.set(limit);
    }

    /// Whether this limit was taken out of service.
    pub fn unwired(limit: Limit) -> bool {
        UNWIRED.get() == Some(&limit)
    }
}

#[cfg(not(all(feature = "unwire", debug_assertions)))]
mod switch {
    use super::Limit;

    /// Whether this limit was taken out of service: it cannot be in this build.
    pub const fn unwired(_limit: Limit) -> bool {
        false
    }

    const _: () = assert!(!unwired(Limit::Fuel), "this build has no switch");
}

#[cfg(all(feature = "unwire", debug_assertions))]
pub use switch::unwire;
pub use switch::unwired;

//! The code that a skill's next instance is made of, which may become a better one.
//!
//! Invariants:
//! - The code changes at most once in the life of a skill, from the first compiler's to the last one's. Both were made from
//!   the same metered bytes, so no event can tell: answers, logs and receipts are the same.
//! - An instance runs the code that it was made of to its end. Its [`Home`](crate::native::Home) keeps that code.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::backend::Backend;
use crate::cache::CacheOutcome;
use crate::compiler::Compiler;
use crate::program::Code;

/// Which compiler's code a skill runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tier {
    /// This one's, while a better one compiles the module.
    First {
        /// The compiler.
        compiler: Compiler,
    },
    /// This one's, from the next instance on for good.
    Last {
        /// The compiler.
        compiler: Compiler,
    },
    /// The first one's for good: the better one did not compile the module.
    Stuck {
        /// The compiler.
        compiler: Compiler,
        /// Why there is no better code.
        why: String,
    },
}

impl Tier {
    /// The compiler whose code the skill's next instance runs.
    pub const fn compiler(&self) -> Compiler {
        match self {
            Tier::First { compiler } | Tier::Last { compiler } | Tier::Stuck { compiler, .. } => *compiler,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.compiler().name();
        match self {
            Tier::First { .. } => write!(f, "{name} for now"),
            Tier::Last { .. } => f.write_str(name),
            Tier::Stuck { why, .. } => write!(f, "{name} for good: {why}"),
        }
    }
}

/// The code of a skill, at any moment.
pub(crate) struct Current {
    now: Mutex<Now>,
    /// How often the code changed.
    version: AtomicU32,
}

struct Now {
    code: Arc<Code>,
    tier: Tier,
    cached: CacheOutcome,
}

impl Current {
    /// Code that stays.
    pub(crate) fn last(backend: Backend, code: Code, cached: CacheOutcome) -> Arc<Self> {
        Self::new(Tier::Last { compiler: backend.compiler() }, code, cached)
    }

    /// Code that a better one will replace.
    #[cfg(feature = "singlepass")]
    pub(crate) fn first(backend: Backend, code: Code, cached: CacheOutcome) -> Arc<Self> {
        Self::new(Tier::First { compiler: backend.compiler() }, code, cached)
    }

    fn new(tier: Tier, code: Code, cached: CacheOutcome) -> Arc<Self> {
        Arc::new(Current { now: Mutex::new(Now { code: Arc::new(code), tier, cached }), version: AtomicU32::new(0) })
    }

    /// The code for an instance that is made now.
    pub(crate) fn code(&self) -> Arc<Code> {
        self.now().code.clone()
    }

    /// Which version of the code is the present one. Instances of an older one are not to be used for new events.
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn tier(&self) -> Tier {
        self.now().tier.clone()
    }

    /// What the artifact cache did.
    pub(crate) fn cached(&self) -> CacheOutcome {
        self.now().cached.clone()
    }

    /// Has every later instance made of this code.
    #[cfg(feature = "singlepass")]
    pub(crate) fn switch(&self, backend: Backend, code: Code) {
        let mut now = self.now();
        now.tier = Tier::Last { compiler: backend.compiler() };
        // The last of the old one goes when nobody waits.
        let old = std::mem::replace(&mut now.code, Arc::new(code));
        self.version.fetch_add(1, Ordering::Release);
        drop(now);
        drop(old);
    }

    /// Leaves it at the first code.
    #[cfg(feature = "singlepass")]
    pub(crate) fn stick(&self, why: String) {
        let mut now = self.now();
        tracing::warn!(target: "cis_skill", "a skill stays with {}: {why}", now.tier.compiler().name());
        now.tier = Tier::Stuck { compiler: now.tier.compiler(), why };
    }

    /// Notes that the artifact was stored.
    #[cfg(feature = "singlepass")]
    pub(crate) fn stored(&self) {
        match &mut self.now().cached {
            CacheOutcome::Miss { stored } | CacheOutcome::Rejected { stored, .. } => *stored = true,
            CacheOutcome::Off | CacheOutcome::Hit => {}
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // Nothing is left half done under this lock.
        self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

//! Which compiler turns a skill into machine code, for an integrator to choose.

use crate::backend::Backend;

/// A compiler of wasmer's, or two of them one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compiler {
    /// Optimises: the faster code. Open source (Apache-2.0 with the LLVM exception).
    #[default]
    Cranelift,
    /// Compiles in one pass: the faster load, slower code.
    ///
    /// From 6.0 on it is under the Business Source License 1.1, which is **not** open source: read it before you ship.
    #[cfg(feature = "singlepass")]
    Singlepass,
    /// Both: a skill is served from Singlepass's code as soon as that is there, while Cranelift compiles on a thread of the
    /// runtime's own, and from Cranelift's code from the first instance after that. [`Tier`](crate::Tier) says how far a
    /// skill is.
    ///
    /// No event can tell: answers, logs and receipts are the same. A kept skill's instance stays with the code that it was
    /// made of. A module that Singlepass does not take is compiled by Cranelift at once, one that Cranelift does not take
    /// stays with Singlepass, and an artifact cache holds Cranelift's code alone.
    #[cfg(feature = "singlepass")]
    Tiered,
}

impl Compiler {
    /// Every single compiler that this build has.
    pub const ALL: &'static [Compiler] = &[
        Compiler::Cranelift,
        #[cfg(feature = "singlepass")]
        Compiler::Singlepass,
    ];

    /// What [`Compiler::from_name`] knows.
    const NAMED: &'static [Compiler] = &[
        Compiler::Cranelift,
        #[cfg(feature = "singlepass")]
        Compiler::Singlepass,
        #[cfg(feature = "singlepass")]
        Compiler::Tiered,
    ];

    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Compiler::Cranelift => "cranelift",
            #[cfg(feature = "singlepass")]
            Compiler::Singlepass => "singlepass",
            #[cfg(feature = "singlepass")]
            Compiler::Tiered => "tiered",
        }
    }

    /// The compiler of a name.
    ///
    /// # Errors
    ///
    /// Names the compilers that this build has.
    pub fn from_name(name: &str) -> Result<Self, String> {
        Compiler::NAMED.iter().copied().find(|compiler| compiler.name() == name).ok_or_else(|| {
            let names: Vec<_> = Compiler::NAMED.iter().map(|compiler| compiler.name()).collect();
            format!("there is no compiler `{name}` in this build; it has: {}", names.join(", "))
        })
    }

    /// The one that a module is compiled by in the end.
    pub(crate) const fn backend(self) -> Backend {
        match self {
            Compiler::Cranelift => Backend::Cranelift,
            #[cfg(feature = "singlepass")]
            Compiler::Singlepass => Backend::Singlepass,
            #[cfg(feature = "singlepass")]
            Compiler::Tiered => Backend::Cranelift,
        }
    }

    /// The one whose code serves until then.
    #[cfg(feature = "singlepass")]
    pub(crate) const fn first(self) -> Option<Backend> {
        match self {
            Compiler::Tiered => Some(Backend::Singlepass),
            Compiler::Cranelift | Compiler::Singlepass => None,
        }
    }
}

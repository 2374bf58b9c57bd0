//! Which compiler turns a skill into machine code.
//!
//! Invariant: the engine is given no machine code but its own: what it compiled just now, or an artifact that is
//! [`Authentic`].

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wasmer::Engine;
use wasmer::sys::{CompilerConfig, EngineBuilder, Features, NativeEngineExt, Target};

use crate::cache::Authentic;
use crate::check::Shape;
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::tunables::CappedTunables;

/// A compiler of wasmer's.
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
}

impl Compiler {
    /// Every compiler that this build has.
    pub const ALL: &'static [Compiler] = &[
        Compiler::Cranelift,
        #[cfg(feature = "singlepass")]
        Compiler::Singlepass,
    ];

    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Compiler::Cranelift => "cranelift",
            #[cfg(feature = "singlepass")]
            Compiler::Singlepass => "singlepass",
        }
    }

    /// The compiler of a name.
    ///
    /// # Errors
    ///
    /// Names the compilers that this build has.
    pub fn from_name(name: &str) -> Result<Self, String> {
        Compiler::ALL.iter().copied().find(|compiler| compiler.name() == name).ok_or_else(|| {
            let names: Vec<_> = Compiler::ALL.iter().map(|compiler| compiler.name()).collect();
            format!("there is no compiler `{name}` in this build; it has: {}", names.join(", "))
        })
    }

    fn config(self) -> Box<dyn CompilerConfig> {
        match self {
            Compiler::Cranelift => Box::new(wasmer_compiler_cranelift::Cranelift::new()),
            #[cfg(feature = "singlepass")]
            Compiler::Singlepass => Box::new(wasmer_compiler_singlepass::Singlepass::new()),
        }
    }

    /// An engine for one module, with its caps.
    pub(crate) fn engine(self, limits: &Limits, shape: &Shape) -> Engine {
        let mut config = self.config();
        // A run is a function of module, event and replies: no NaN may tell processors apart.
        config.canonicalize_nans(true);
        // Spelled out because an artifact's id names them: see `cache`.
        let builder = EngineBuilder::new(config).set_features(Some(features())).set_target(Some(Target::default()));
        let mut engine = Engine::from(builder.engine());
        engine.set_tunables(CappedTunables::new(limits, shape.tables, shape.table_elements));
        engine
    }

    /// Compiles a module that passed all checks. A compiler's panic is an error here and not the end of the process.
    pub(crate) fn compile(self, engine: &Engine, wasm: &[u8]) -> Result<wasmer::Module, Error> {
        let failed = |message: String| Error::from(ErrorKind::CompileFailed { message });
        let wasm = match self {
            Compiler::Cranelift => Cow::Borrowed(wasm),
            #[cfg(feature = "singlepass")]
            Compiler::Singlepass => crate::nan::canonical(wasm).map_err(|error| failed(error.to_string()))?,
        };
        match catch_unwind(AssertUnwindSafe(|| wasmer::Module::from_binary(engine, &wasm))) {
            Ok(Ok(module)) => Ok(module),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("{} panicked", self.name()))),
        }
    }

    /// The module of an artifact. An engine's panic is an error here and not the end of the process.
    pub(crate) fn load(self, engine: &Engine, artifact: Authentic) -> Result<wasmer::Module, String> {
        let bytes = artifact.into_bytes();
        // SAFETY: the bytes are `Authentic`: an engine of just this program wrote them, for this processor and with these
        // settings, nobody changed them since, and they are in memory that is nobody else's.
        match catch_unwind(AssertUnwindSafe(|| unsafe { wasmer::Module::deserialize_unchecked(engine, bytes) })) {
            Ok(Ok(module)) => Ok(module),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("loading code of {} panicked", self.name())),
        }
    }
}

/// The engine's counterpart of [`crate::check::FEATURES`].
pub(crate) fn features() -> Features {
    let mut features = Features::none();
    features.bulk_memory(true).multi_value(true).reference_types(true).simd(true);
    features
}

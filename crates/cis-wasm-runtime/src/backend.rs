//! One compiler of wasmer's, set up for skills.
//!
//! Invariant: the engine is given no machine code but its own: what it compiled just now, or an artifact that is
//! [`Authentic`].

use std::borrow::Cow;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use wasmer::sys::{CompilerConfig, EngineBuilder, Features, NativeEngineExt, Target};
use wasmer::{CompileError, Engine};

use crate::cache::Authentic;
#[cfg(feature = "singlepass")]
use crate::check;
use crate::check::Shape;
use crate::compiler::Compiler;
use crate::error::{Error, ErrorKind};
#[cfg(feature = "singlepass")]
use crate::frame;
use crate::limits::Limits;
use crate::object::{self, HEADROOM, Linked, Room};
use crate::processor;
use crate::program::Code;
use crate::tunables::CappedTunables;

/// Bytes of a module that a thread of the compiler's is worth starting for: some ten milliseconds of Cranelift's work.
const BYTES_FOR_A_THREAD: usize = 8 << 10;

/// A compiler of wasmer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Cranelift,
    #[cfg(feature = "singlepass")]
    Singlepass,
}

impl Backend {
    /// The choice that means this one alone.
    pub(crate) const fn compiler(self) -> Compiler {
        match self {
            Backend::Cranelift => Compiler::Cranelift,
            #[cfg(feature = "singlepass")]
            Backend::Singlepass => Compiler::Singlepass,
        }
    }

    /// The name in lower case.
    pub(crate) const fn name(self) -> &'static str {
        self.compiler().name()
    }

    /// Refuses a module that passed the check, where this compiler's code for it would not be safe to run.
    pub(crate) fn accepts(self, wasm: &[u8]) -> Result<(), Error> {
        match self {
            Backend::Cranelift => {
                let _ = wasm;
                Ok(())
            }
            #[cfg(feature = "singlepass")]
            Backend::Singlepass => frame::check(wasm),
        }
    }

    /// Why a module that passed the check was not compiled: where that is for something that this compiler does not have,
    /// by its name.
    pub(crate) fn explained(self, error: Error, wasm: &[u8]) -> Error {
        match self {
            Backend::Cranelift => {
                let _ = wasm;
                error
            }
            // Looked at only here, because it takes another look at the whole module.
            #[cfg(feature = "singlepass")]
            Backend::Singlepass if check::needs_simd(wasm) => {
                let feature = "SIMD (128-bit vectors: `-C target-feature=+simd128` in Rust, `-msimd128` in C)";
                ErrorKind::UnsupportedFeature { feature, compiler: self.compiler() }.into()
            }
            #[cfg(feature = "singlepass")]
            Backend::Singlepass => error,
        }
    }

    /// An engine for one module of so many bytes, with its caps. A large one is compiled on all processors.
    pub(crate) fn engine(self, limits: &Limits, shape: &Shape, bytes: usize) -> Engine {
        let all = processor::count();
        // The compiler starts threads anew for each module: on a machine with many, that takes longer than a small one does.
        let worth_it = NonZero::<usize>::MIN.saturating_add(bytes / BYTES_FOR_A_THREAD);
        self.engine_on(all.min(worth_it), limits, shape)
    }

    /// The same, that compiles on one thread and leaves the rest to others.
    #[cfg(feature = "singlepass")]
    pub(crate) fn engine_in_background(self, limits: &Limits, shape: &Shape) -> Engine {
        self.engine_on(NonZero::<usize>::MIN, limits, shape)
    }

    /// An engine for one module whose artifact there is, with its caps. It has no compiler, which would only take time to
    /// set up.
    pub(crate) fn engine_to_load(limits: &Limits, shape: &Shape) -> Engine {
        let engine = EngineBuilder::headless().set_features(Some(features())).set_target(Some(Target::default()));
        with_caps(Engine::from(engine.engine()), limits, shape)
    }

    fn engine_on(self, threads: NonZero<usize>, limits: &Limits, shape: &Shape) -> Engine {
        let mut config: Box<dyn CompilerConfig> = match self {
            Backend::Cranelift => {
                let mut config = wasmer_compiler_cranelift::Cranelift::new();
                config.num_threads(threads);
                Box::new(config)
            }
            #[cfg(feature = "singlepass")]
            Backend::Singlepass => {
                let mut config = wasmer_compiler_singlepass::Singlepass::new();
                config.num_threads(threads);
                Box::new(config)
            }
        };
        // A run is a function of module, event and replies: no NaN may tell processors apart.
        config.canonicalize_nans(true);
        // Spelled out because an artifact's id names them: see `cache`.
        let builder = EngineBuilder::new(config).set_features(Some(features())).set_target(Some(Target::default()));
        with_caps(Engine::from(builder.engine()), limits, shape)
    }

    /// Compiles a module that passed all checks. A compiler's panic is an error here and not the end of the process.
    pub(crate) fn compile(self, engine: &Engine, wasm: &[u8]) -> Result<wasmer::Module, Error> {
        self.compile_by(wasm, |wasm| wasmer::Module::from_binary(engine, wasm))
    }

    /// The same, given up at the next function once it is not wanted any more.
    #[cfg(feature = "singlepass")]
    pub(crate) fn compile_while(
        self,
        engine: &Engine,
        wasm: &[u8],
        wanted: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<wasmer::Module, Error> {
        use wasmer_types::{CompilationProgressCallback, UserAbort};
        let callback = CompilationProgressCallback::new(move |_| match wanted() {
            true => Ok(()),
            false => Err(UserAbort::new("it is not wanted any more")),
        });
        self.compile_by(wasm, |wasm| engine.new_module_with_progress(wasm, callback))
    }

    fn compile_by(
        self,
        wasm: &[u8],
        compile: impl FnOnce(&[u8]) -> Result<wasmer::Module, CompileError>,
    ) -> Result<wasmer::Module, Error> {
        let failed = |message: String| Error::from(ErrorKind::CompileFailed { message });
        let wasm = match self {
            Backend::Cranelift => Cow::Borrowed(wasm),
            #[cfg(feature = "singlepass")]
            Backend::Singlepass => crate::nan::canonical(wasm).map_err(|error| failed(error.to_string()))?,
        };
        match catch_unwind(AssertUnwindSafe(|| compile(&wasm))) {
            Ok(Ok(module)) => Ok(module),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("{} panicked", self.name()))),
        }
    }

    /// The code of an artifact.
    pub(crate) fn load(self, engine: Engine, artifact: Authentic) -> Result<Code, String> {
        // SAFETY: the bytes are `Authentic`: an engine of just this program wrote them, for this processor and with these
        // settings, nobody changed them since, and they are in memory that is nobody else's.
        unsafe { self.load_own(engine, artifact.into_room()) }
    }

    /// The code of what was compiled just now.
    pub(crate) fn reload(self, engine: Engine, linked: Linked) -> Result<Code, String> {
        // SAFETY: a `Linked` is made of nothing but what an engine of this process wrote, and is in memory that is nobody else's.
        unsafe { self.load_own(engine, linked.into_room()) }
    }

    /// An engine's panic is an error here and not the end of the process.
    ///
    /// # Safety
    ///
    /// This program wrote what is behind the headroom, for this processor and with these settings: an object, or an artifact of
    /// the engine's.
    unsafe fn load_own(self, engine: Engine, room: Room) -> Result<Code, String> {
        let load = || {
            if object::is_one(&room) {
                // SAFETY: the caller's promise; and the code goes where its module is, behind it.
                let (module, mapped) = unsafe { object::load(&engine, room)? };
                return Ok((module, Some(mapped)));
            }
            let artifact = Bytes::from_owner(room).slice(HEADROOM..);
            // SAFETY: the caller's promise.
            let module = unsafe { wasmer::Module::deserialize_unchecked(&engine, artifact) };
            Ok((module.map_err(|error| error.to_string())?, None))
        };
        match catch_unwind(AssertUnwindSafe(load)) {
            Ok(loaded) => loaded.map(|(module, mapped)| Code { module, engine, mapped }),
            Err(_) => Err(format!("loading code of {} panicked", self.name())),
        }
    }
}

fn with_caps(mut engine: Engine, limits: &Limits, shape: &Shape) -> Engine {
    engine.set_tunables(CappedTunables::new(limits, shape.tables, shape.table_elements));
    engine
}

/// The engine's counterpart of [`crate::check::FEATURES`].
pub(crate) fn features() -> Features {
    let mut features = Features::none();
    features.bulk_memory(true).multi_value(true).reference_types(true).simd(true);
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_the_engines_own() {
        let wasm = wat::parse_str(r#"(module (func (export "one") (result i32) i32.const 1))"#).unwrap();
        for compiler in Compiler::ALL {
            let (backend, limits, shape) = (compiler.backend(), Limits::default(), Shape::default());
            let module = backend.compile(&backend.engine(&limits, &shape, wasm.len()), &wasm).unwrap();
            let behind = [&[0; HEADROOM][..], &module.serialize().unwrap()].concat();
            // SAFETY: the engine wrote it just now.
            let code =
                unsafe { backend.load_own(Backend::engine_to_load(&limits, &shape), Room::holding(&behind).unwrap()) };
            let code = code.unwrap();
            assert!(code.mapped.is_none() && code.module.info().exports.contains_key("one"));
        }
    }
}

//! How a module becomes machine code: from its artifact where there is one, else through the checks, the rewriting and a
//! compiler.

use std::sync::Arc;

use cis_wasm_abi::ceilings;
use wasmparser::BinaryReaderError;

use crate::backend::Backend;
use crate::ballast::Unladen;
use crate::cache::{ArtifactCache, ArtifactId, Authentic, CacheOutcome, Rejection};
use crate::check::Shape;
use crate::compiler::Compiler;
use crate::error::{Error, ErrorKind};
use crate::headroom;
use crate::limits::Limits;
use crate::meter::{self, Metering};
use crate::object::link;
use crate::program::Code;
use crate::runtime::WasmRuntime;
use crate::tier::Current;

/// How a runtime's modules become machine code.
#[derive(Clone)]
pub(crate) struct Making {
    pub compiler: Compiler,
    pub metering: Metering,
    /// Where machine code is kept.
    pub cache: Option<ArtifactCache>,
}

/// A module that passed every check, as it is given to a compiler.
pub(crate) struct Checked {
    pub shape: Shape,
    pub limits: Limits,
    /// Rewritten, so that it pays for itself.
    pub metered: Vec<u8>,
}

/// Where a module's artifact is kept.
#[derive(Clone)]
pub(crate) struct Place {
    cache: ArtifactCache,
    id: ArtifactId,
}

impl Making {
    pub(crate) fn make(
        &self,
        runtime: &WasmRuntime,
        wasm: &[u8],
        limits: &Limits,
    ) -> Result<(Arc<Current>, Shape), Error> {
        let backend = self.compiler.backend();
        let place = self.place(backend, wasm);
        let found = place.as_ref().map(|place| place.cache.find(&place.id));
        let mut why = None;
        match found {
            Some(Ok(Some(artifact))) => match load(backend, wasm, limits, artifact)? {
                Ok((code, shape)) => return Ok((Current::last(backend, code, CacheOutcome::Hit), shape)),
                Err(message) => why = Some(Rejection::Refused { message }),
            },
            Some(Err(rejection)) => why = Some(rejection),
            Some(Ok(None)) | None => {}
        }
        if let (Some(place), Some(why)) = (&place, &why) {
            let dir = place.cache.dir().display();
            tracing::warn!(target: "cis_skill", %dir, "an artifact is not used, and its module compiled: {why}");
        }
        let cached = |stored| match (&place, &why) {
            (None, _) => CacheOutcome::Off,
            (Some(_), None) => CacheOutcome::Miss { stored },
            (Some(_), Some(why)) => CacheOutcome::Rejected { why: why.clone(), stored },
        };

        let checked = Checked::new(wasm, limits, self.metering)?;
        #[cfg(feature = "singlepass")]
        if let Some(first) = self.compiler.first() {
            match checked.compile(first, wasm) {
                Ok(code) => {
                    let current = Current::first(first, code, cached(false));
                    let shape = checked.shape.clone();
                    runtime.background().submit(&current, checked, place);
                    return Ok((current, shape));
                }
                // Then there is nothing to be served from meanwhile.
                Err(error) => tracing::debug!(target: "cis_skill", "not with {}: {error}", first.name()),
            }
        }
        #[cfg(not(feature = "singlepass"))]
        let _ = runtime;
        let code = checked.compile(backend, wasm)?;
        let (code, stored) = code.settle(backend, &checked.limits, &checked.shape, place.as_ref());
        Ok((Current::last(backend, code, cached(stored)), checked.shape))
    }

    fn place(&self, backend: Backend, wasm: &[u8]) -> Option<Place> {
        // What has more bytes is refused, and not hashed.
        let cache = self.cache.as_ref().filter(|_| wasm.len() <= ceilings::MODULE)?;
        Some(Place { cache: cache.clone(), id: ArtifactId::new(backend, self.metering, wasm) })
    }
}

impl Checked {
    fn new(wasm: &[u8], limits: &Limits, metering: Metering) -> Result<Self, Error> {
        let shape = Shape::of(wasm, limits)?;
        let failed = |error: BinaryReaderError| {
            Error::from(ErrorKind::Internal { message: format!("reading a valid module: {error}") })
        };
        let Unladen { wasm, segments, data } = Unladen::of(wasm).map_err(failed)?;
        // Before metering, so that what it adds is paid for. Each step's module goes when the next is there.
        let roomy = headroom::reserve(wasm)?;
        let mut metered = meter::rewrite(&roomy, &segments, metering)?;
        drop(roomy);
        data.put_back(&mut metered).map_err(failed)?;
        Ok(Checked { shape, limits: *limits, metered })
    }

    /// The code of a module whose own bytes are `wasm`.
    fn compile(&self, backend: Backend, wasm: &[u8]) -> Result<Code, Error> {
        backend.accepts(wasm)?;
        let engine = backend.engine(&self.limits, &self.shape, self.metered.len());
        let module = backend.compile(&engine, &self.metered).map_err(|error| backend.explained(error, wasm))?;
        Ok(Code { module, engine, mapped: None })
    }
}

/// The inner error is the artifact's, the outer one the skill's.
fn load(
    backend: Backend,
    wasm: &[u8],
    limits: &Limits,
    artifact: Authentic,
) -> Result<Result<(Code, Shape), String>, Error> {
    // There is an artifact, so the module passed every check.
    let shape = Shape::of_checked(wasm, limits)?;
    let engine = Backend::engine_to_load(limits, &shape);
    Ok(backend.load(engine, artifact).map(|code| (code, shape)))
}

impl Code {
    /// What was compiled just now, without what only a compiler needs, and whether its artifact was stored. It is the code
    /// itself where that cannot be done.
    pub(crate) fn settle(
        self,
        backend: Backend,
        limits: &Limits,
        shape: &Shape,
        place: Option<&Place>,
    ) -> (Self, bool) {
        let artifact = match self.module.serialize() {
            Ok(artifact) => artifact,
            Err(error) => {
                tracing::warn!(target: "cis_skill", "the engine does not write an artifact: {error}");
                return (self, false);
            }
        };
        let linked = link(&artifact);
        let bytes = linked.as_deref().unwrap_or(&artifact);
        let stored = place.is_some_and(|Place { cache, id }| cache.keep(id, bytes));
        let Some(linked) = linked else { return (self, stored) };
        match backend.reload(Backend::engine_to_load(limits, shape), linked) {
            Ok(code) => (code, stored),
            Err(why) => {
                tracing::warn!(target: "cis_skill", "code stays as the compiler left it: {why}");
                (self, stored)
            }
        }
    }
}

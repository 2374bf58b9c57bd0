//! A compiled skill: what all of its instances have in common.

use std::sync::Arc;

use cis_wasm_abi::ceilings;
use cis_wasm_host::{Host, SkillScope};
use wasmer::Engine;

use crate::cache::{ArtifactCache, ArtifactId, Authentic, CacheOutcome, Rejection};
use crate::check::Shape;
use crate::compiler::Compiler;
use crate::error::Error;
#[cfg(feature = "singlepass")]
use crate::frame;
use crate::headroom;
use crate::limits::Limits;
use crate::meter::{self, Metering};
use crate::run::LoadSpec;

/// A module that was checked, metered and compiled, with what its skill is granted.
pub(crate) struct Program {
    pub module: wasmer::Module,
    pub engine: Engine,
    pub shape: Shape,
    pub limits: Limits,
    pub scope: Arc<SkillScope>,
    pub host: Host,
    /// What the artifact cache did for it.
    pub cached: CacheOutcome,
}

/// How modules become machine code.
#[derive(Clone)]
pub(crate) struct Making {
    pub compiler: Compiler,
    pub metering: Metering,
    /// Where machine code is kept.
    pub cache: Option<ArtifactCache>,
}

impl Program {
    /// Makes a module ready to run, from its artifact where there is one.
    pub(crate) fn make(making: &Making, wasm: &[u8], spec: LoadSpec) -> Result<Self, Error> {
        let LoadSpec { scope, host, limits, .. } = spec;
        let Made { module, engine, shape, cached } = making.make(wasm, &limits)?;
        Ok(Program { module, engine, shape, limits, scope: Arc::new(scope), host, cached })
    }
}

/// Machine code.
struct Made {
    module: wasmer::Module,
    engine: Engine,
    shape: Shape,
    cached: CacheOutcome,
}

impl Making {
    fn make(&self, wasm: &[u8], limits: &Limits) -> Result<Made, Error> {
        let Some(cache) = &self.cache else { return self.compile(wasm, limits) };
        // What has more bytes than this is refused, and not hashed.
        if wasm.len() > ceilings::MODULE {
            return self.compile(wasm, limits);
        }
        let id = ArtifactId::new(self.compiler, self.metering, wasm);
        let why = match cache.find(&id) {
            Ok(Some(artifact)) => match self.load(wasm, limits, artifact)? {
                Ok(made) => return Ok(made),
                Err(message) => Some(Rejection::Refused { message }),
            },
            Ok(None) => None,
            Err(why) => Some(why),
        };
        if let Some(why) = &why {
            let dir = cache.dir().display();
            tracing::warn!(target: "cis_skill", %dir, "an artifact is not used, and its module compiled: {why}");
        }
        let made = self.compile(wasm, limits)?;
        let stored = match made.module.serialize() {
            Ok(artifact) => cache.keep(&id, &artifact),
            Err(error) => {
                tracing::warn!(target: "cis_skill", "an artifact is not kept: {error}");
                false
            }
        };
        let cached = match why {
            Some(why) => CacheOutcome::Rejected { why, stored },
            None => CacheOutcome::Miss { stored },
        };
        Ok(Made { cached, ..made })
    }

    fn compile(&self, wasm: &[u8], limits: &Limits) -> Result<Made, Error> {
        let shape = Shape::of(wasm, limits)?;
        #[cfg(feature = "singlepass")]
        if self.compiler == Compiler::Singlepass {
            frame::check(wasm)?;
        }
        // Before metering, so that what it adds is paid for.
        let roomy = headroom::reserve(wasm)?;
        let metered = meter::rewrite(&roomy, self.metering)?;
        let engine = self.compiler.engine(limits, &shape);
        let module = self.compiler.compile(&engine, &metered)?;
        Ok(Made { module, engine, shape, cached: CacheOutcome::Off })
    }

    /// The inner error is the artifact's, the outer one the skill's.
    fn load(&self, wasm: &[u8], limits: &Limits, artifact: Authentic) -> Result<Result<Made, String>, Error> {
        // There is an artifact, so the module passed every check.
        let shape = Shape::of_checked(wasm, limits)?;
        let engine = self.compiler.engine(limits, &shape);
        let made = self.compiler.load(&engine, artifact);
        Ok(made.map(|module| Made { module, engine, shape, cached: CacheOutcome::Hit }))
    }
}

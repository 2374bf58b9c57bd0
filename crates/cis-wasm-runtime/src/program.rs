//! A compiled skill: what all of its instances have in common.

use std::sync::Arc;

use cis_wasm_host::{Host, SkillScope};
use wasmer::Engine;

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
}

impl Program {
    pub(crate) fn compile(compiler: Compiler, metering: Metering, wasm: &[u8], spec: LoadSpec) -> Result<Self, Error> {
        let LoadSpec { scope, host, limits, .. } = spec;
        let shape = Shape::of(wasm, &limits)?;
        #[cfg(feature = "singlepass")]
        if compiler == Compiler::Singlepass {
            frame::check(wasm)?;
        }
        // Before metering, so that what it adds is paid for.
        let roomy = headroom::reserve(wasm)?;
        let metered = meter::rewrite(&roomy, metering)?;
        let engine = compiler.engine(&limits, &shape);
        let module = compiler.compile(&engine, &metered)?;
        Ok(Program { module, engine, shape, limits, scope: Arc::new(scope), host })
    }
}

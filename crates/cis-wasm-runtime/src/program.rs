//! A compiled skill: what all of its instances have in common.

use std::sync::Arc;

use cis_wasm_host::{CallContext, Host, SkillScope};
use wasmer::Engine;

use crate::check::Shape;
use crate::error::Error;
use crate::guest::Running;
use crate::limits::Limits;
use crate::meter::LASTING;
use crate::object::Mapped;
use crate::runtime::WasmRuntime;
use crate::spec::LoadSpec;
use crate::tier::Current;

/// A module that was checked, metered and compiled, with what its skill is granted.
pub(crate) struct Program {
    pub current: Arc<Current>,
    pub shape: Shape,
    pub limits: Limits,
    pub scope: Arc<SkillScope>,
    pub host: Host,
}

/// Machine code, and the engine that it belongs to.
///
/// Its fields are dropped in this order: the memory with the code goes last.
pub(crate) struct Code {
    pub module: wasmer::Module,
    pub engine: Engine,
    /// The code, unless it is the engine's own.
    pub mapped: Option<Mapped>,
}

impl Code {
    /// Has the engine be able to tell what a trap in this code was, and where.
    pub(crate) fn know_traps(&self) {
        if let Some(mapped) = &self.mapped {
            mapped.know_traps(&self.module);
        }
    }
}

impl Program {
    /// Makes a module ready to run.
    pub(crate) fn make(runtime: &WasmRuntime, wasm: &[u8], spec: LoadSpec) -> Result<Self, Error> {
        let LoadSpec { scope, host, limits, .. } = spec;
        let (current, shape) = runtime.making().make(runtime, wasm, &limits)?;
        Ok(Program { current, shape, limits, scope: Arc::new(scope), host })
    }

    /// Whether its instances have state that cannot be set back; see [`crate::lasting`].
    pub(crate) fn lasts(&self) -> bool {
        self.code().module.info().exports.contains_key(LASTING)
    }

    /// What an instance's runs begin with.
    pub(crate) fn idle(&self) -> Box<Running> {
        Running::idle(self.host.clone(), self.context())
    }

    /// A context in which nothing has happened.
    pub(crate) fn context(&self) -> Box<CallContext> {
        Box::new(CallContext::new(self.scope.clone()))
    }

    /// The code for an instance that is made now.
    pub(crate) fn code(&self) -> Arc<Code> {
        self.current.code()
    }
}

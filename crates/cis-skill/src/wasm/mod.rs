//! Skills that are wasm modules, and the runtime they run on.

mod builder;
mod skill;

pub use builder::WasmSkillBuilder;
pub use cis_wasm_runtime::{
    ArtifactCache, CacheOutcome, Compiler, Error, ErrorKind, Frame, Inspection, Limits, LoadSpec, MAX_NESTING, Outcome,
    Receipt, Rejection, RuntimeBuilder, State, Tier, TrapKind, WasmInstance, WasmRuntime, inspect, manifest_section,
};
pub use skill::WasmSkill;

pub(crate) use skill::{answer, kept};

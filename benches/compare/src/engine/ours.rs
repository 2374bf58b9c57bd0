//! This project's runtime, on its blocking entry point.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use cis_wasm_host::{AiBackend, Host, HostBuilder, InMemory, MemoryBackend, Namespace, Quota, SkillScope};
use cis_wasm_runtime::{ArtifactCache, LoadSpec, RuntimeBuilder, WasmInstance, WasmRuntime};
use futures_util::FutureExt;

use super::{Loaded, PROFILE, State};
use crate::Fallible;

/// A runtime with Cranelift, as it comes.
pub(crate) struct Ours {
    runtime: WasmRuntime,
}

impl Ours {
    pub(crate) fn new() -> Fallible<Self> {
        Ours::with(WasmRuntime::builder())
    }

    pub(crate) fn with(builder: RuntimeBuilder) -> Fallible<Self> {
        Ok(Ours { runtime: builder.build()? })
    }

    /// Loads a skill that has its memory and its log.
    pub(crate) fn load(&self, wasm: &[u8], state: State) -> Fallible<WasmInstance> {
        self.load_named("compare", wasm, state)
    }

    /// One of many skills: the name tells them apart.
    pub(crate) fn load_named(&self, name: &str, wasm: &[u8], state: State) -> Fallible<WasmInstance> {
        let mut spec = spec(name, Host::builder())?;
        spec.state = match state {
            State::Fresh => cis_wasm_runtime::State::Fresh,
            State::Kept => cis_wasm_runtime::State::Kept,
        };
        Ok(self.runtime.load(wasm, spec)?)
    }

    /// A fresh skill that has an AI, and time to wait for it.
    pub(crate) fn load_patient(&self, wasm: &[u8], time: Duration, ai: impl AiBackend) -> Fallible<WasmInstance> {
        let mut spec = spec("compare", Host::builder().ai(ai))?;
        spec.limits.deadline = time;
        spec.scope.grants.ai = true;
        Ok(self.runtime.load(wasm, spec)?)
    }
}

/// What a skill is loaded with: its memory, which holds what the workloads expect there, and limits as they come.
fn spec(name: &str, host: HostBuilder) -> Fallible<LoadSpec> {
    let name = name.parse()?;
    let memory = InMemory::new();
    let (key, value) = PROFILE;
    let space = Namespace::of_skill(&name);
    let set = memory.set(&space, key, Bytes::copy_from_slice(&value), Quota::default());
    set.now_or_never().ok_or("a memory in this process is always ready")??;
    Ok(LoadSpec::new(SkillScope::new(name), host.memory(memory).build()))
}

/// A runtime that keeps what it compiled in this folder.
pub(crate) fn with_cache(folder: &Path) -> Fallible<Ours> {
    Ours::with(WasmRuntime::builder().cache(ArtifactCache::open(folder)?))
}

impl Loaded for WasmInstance {
    fn event(&mut self, kind: &str, data: &[u8], seen: &mut dyn FnMut(&[u8])) -> Fallible<()> {
        seen(&self.run(kind, data).result?);
        Ok(())
    }
}

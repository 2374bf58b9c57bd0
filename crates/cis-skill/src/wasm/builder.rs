//! A wasm skill without a manager.

use bytes::Bytes;
use cis_wasm_host::{AiBackend, Host, HostBuilder, HttpBackend, MemoryBackend, Secrets, SkillName};
use cis_wasm_runtime::{ArtifactCache, WasmRuntime};
use semver::{Comparator, Op, Version, VersionReq};

use super::WasmSkill;
use crate::manifest::{Manifest, SkillLimits};
use crate::{ErrorKind, LoadOptions, Result};

/// Puts a [`WasmSkill`] together.
///
/// Needed are the module's bytes, and a name where the module has no manifest. What is granted is the manifest's to
/// say; [`options`](Self::options) narrow it. A service that is not given is one the skill is told is not configured.
///
/// ```
/// use cis_skill::wasm::{WasmRuntime, WasmSkillBuilder};
/// use cis_skill::{Host, InMemory, Skill};
///
/// # let wasm_bytes = wat::parse_str(r#"(module (memory (export "memory") 1)
/// #     (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32) i32.const 0))"#)?;
/// let runtime = WasmRuntime::new()?;
/// let skill = WasmSkillBuilder::new()
///     .name("my-skill")
///     .version("1.0.0")
///     .description("My WASM Skill")
///     .wasm_bytes(wasm_bytes)
///     .memory_service(InMemory::new())
///     .runtime(&runtime)
///     .build()?;
/// assert_eq!((skill.name(), skill.version()), ("my-skill", "1.0.0"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
#[must_use]
pub struct WasmSkillBuilder {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    wasm: Option<Bytes>,
    runtime: Option<WasmRuntime>,
    cache: Option<ArtifactCache>,
    host: Option<Host>,
    services: HostBuilder,
    has_services: bool,
    options: LoadOptions,
}

impl WasmSkillBuilder {
    /// Starts with nothing.
    pub fn new() -> Self {
        WasmSkillBuilder::default()
    }

    /// What the skill goes by; its memory is kept under this name. Without it, the manifest's name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The version, for a module without a manifest. A module with one must have just this version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// What the skill does, for people, for a module without a manifest. It makes no difference to a module with one.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// The module.
    pub fn wasm_bytes(mut self, wasm: impl Into<Bytes>) -> Self {
        self.wasm = Some(wasm.into());
        self
    }

    /// The runtime to run on. Without it, a new one with defaults; skills that share one share its threads.
    pub fn runtime(mut self, runtime: &WasmRuntime) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// Where the module's machine code is kept, so that it need not be compiled at every start. For the runtime that is
    /// made where none is given; one that is given has its own.
    pub fn cache(mut self, cache: ArtifactCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// All services at once, with the secrets. Not together with the ones given one by one.
    pub fn host(mut self, host: &Host) -> Self {
        self.host = Some(host.clone());
        self
    }

    /// Where the skill keeps its memory.
    pub fn memory_service(mut self, memory: impl MemoryBackend) -> Self {
        self.services = self.services.memory(memory);
        self.has_services = true;
        self
    }

    /// The AI the skill may ask, if it was granted that.
    pub fn ai_service(mut self, ai: impl AiBackend) -> Self {
        self.services = self.services.ai(ai);
        self.has_services = true;
        self
    }

    /// How the skill's HTTP requests are sent, where it was granted any.
    pub fn http_service(mut self, http: impl HttpBackend) -> Self {
        self.services = self.services.http(http);
        self.has_services = true;
        self
    }

    /// The secrets that go with the skill's HTTP requests, where its manifest names them.
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.services = self.services.secrets(secrets);
        self.has_services = true;
        self
    }

    /// Narrows what the manifest grants, sets limits and settings, or gives a manifest.
    pub fn options(mut self, options: LoadOptions) -> Self {
        self.options = options;
        self
    }

    /// Compiles the module and runs its `skill_init`, on the calling thread.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Incomplete`] when something is missing or given twice, [`ErrorKind::BadName`], and every error of
    /// a module, its manifest or its start.
    pub fn build(self) -> Result<WasmSkill> {
        let incomplete = |what| ErrorKind::Incomplete { what };
        let wasm = self.wasm.ok_or(incomplete("the skill has no module: give its bytes with `wasm_bytes`"))?;
        let host = match (self.host, self.has_services) {
            (Some(_), true) => return Err(incomplete("give either `host` or single services, not both").into()),
            (Some(host), false) => host,
            (None, _) => self.services.build(),
        };
        let embedded = cis_wasm_runtime::manifest_section(&wasm)?;
        let mut options = self.options;
        let name: SkillName = match (self.name, embedded.as_deref(), options.given_manifest()) {
            (Some(name), _, _) => name.parse()?,
            (None, Some(text), _) => parse_embedded(text)?.name,
            (None, None, Some(manifest)) => manifest.name.clone(),
            (None, None, None) => {
                return Err(incomplete("the module has no manifest: give the skill a name with `name`").into());
            }
        };
        let version = match self.version {
            None => None,
            Some(version) => Some(version.parse::<Version>().map_err(|error| ErrorKind::BadConfig {
                message: format!("the version \"{}\": {error}", crate::suggest::quoted(&version)),
            })?),
        };
        if embedded.is_none() && options.given_manifest().is_none() {
            let mut manifest = Manifest::bare(name.clone());
            if let Some(version) = version {
                manifest.version = version;
            }
            manifest.description = self.description.unwrap_or_default();
            options = options.manifest(manifest);
        } else if let Some(version) = version {
            options = options.expect_version(exactly(version));
        }
        let runtime = match (self.runtime, self.cache) {
            (Some(_), Some(_)) => return Err(incomplete("give the cache to the runtime, not to the skill").into()),
            (Some(runtime), None) => runtime,
            (None, Some(cache)) => WasmRuntime::builder().cache(cache).build()?,
            (None, None) => WasmRuntime::new()?,
        };
        let plan = options.plan(name, &wasm, &SkillLimits::UNLIMITED)?;
        WasmSkill::load(&runtime, &host, &wasm, plan)
    }
}

fn parse_embedded(text: &str) -> Result<Manifest> {
    text.parse().map_err(|error| ErrorKind::BadManifest { error, embedded: true }.into())
}

fn exactly(version: Version) -> VersionReq {
    let Version { major, minor, patch, pre, .. } = version;
    VersionReq { comparators: vec![Comparator { op: Op::Exact, major, minor: Some(minor), patch: Some(patch), pre }] }
}

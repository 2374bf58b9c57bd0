//! How the integrator narrows what a manifest grants.
//!
//! Invariant: nothing here widens. Every option takes something away, except values for settings the skill declares.

use std::sync::Arc;
use std::time::Duration;

use cis_wasm_host::{Access, Grants, HttpRule, Quota, Resource, SkillName, SkillScope};
use cis_wasm_runtime::Limits;
use semver::VersionReq;
use serde_json::{Map, Value as Json};

use crate::manifest::{Manifest, SkillLimits};
use crate::narrowed::Narrowed;
use crate::{Error, ErrorKind, Result};

/// How a skill is loaded. The default takes the module's manifest as it is.
///
/// A module without a manifest gets a bare one: its own memory and its log, no AI, no HTTP, default limits.
///
/// ```
/// use std::time::Duration;
/// use cis_skill::LoadOptions;
///
/// let options = LoadOptions::default()
///     .deadline(Duration::from_millis(200))
///     .only_http(["hooks.example.com".parse()?])
///     .config("greeting", "hello");
/// # let _ = options;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LoadOptions {
    manifest: Option<Manifest>,
    expected_name: Option<String>,
    expected_version: Option<VersionReq>,
    limits: SkillLimits,
    deny_ai: bool,
    most_memory: Access,
    only_http: Option<Vec<HttpRule>>,
    config: Map<String, Json>,
    activate: bool,
    recordable: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            manifest: None,
            expected_name: None,
            expected_version: None,
            limits: SkillLimits::UNLIMITED,
            deny_ai: false,
            most_memory: Access::ReadWrite,
            only_http: None,
            config: Map::new(),
            activate: true,
            recordable: false,
        }
    }
}

impl LoadOptions {
    /// The manifest of a module that has none. Loading fails when the module has one: it is the module that says what
    /// its skill needs, and the other options narrow it.
    pub fn manifest(mut self, manifest: Manifest) -> Self {
        self.manifest = Some(manifest);
        self
    }

    /// Refuses a module whose manifest has another name.
    pub fn expect_name(mut self, name: impl Into<String>) -> Self {
        self.expected_name = Some(name.into());
        self
    }

    /// Refuses a module whose manifest has a version that this does not match.
    pub fn expect_version(mut self, version: VersionReq) -> Self {
        self.expected_version = Some(version);
        self
    }

    /// The most memory, fuel, table elements and time an event may have. The manifest's own hold where they are lower.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits.engine = self.limits.engine.min(limits);
        self
    }

    /// The most linear memory an event may have, in bytes.
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.limits.engine.memory_bytes = self.limits.engine.memory_bytes.min(bytes);
        self
    }

    /// The most fuel an event may use.
    pub fn fuel(mut self, fuel: u64) -> Self {
        self.limits.engine.fuel = self.limits.engine.fuel.min(fuel);
        self
    }

    /// The most time an event may take.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.limits.engine.deadline = self.limits.engine.deadline.min(deadline);
        self
    }

    /// The longest that an event of a fresh skill may keep a thread of the runtime while a host call waits, before it is put
    /// down.
    pub fn park_after(mut self, park_after: Duration) -> Self {
        self.limits.park_after = self.limits.park_after.min(park_after);
        self
    }

    /// The most of a resource that an event may use.
    pub fn at_most(mut self, resource: Resource, amount: u64) -> Self {
        let budget = self.limits.budget;
        self.limits.budget = budget.with(resource, amount.min(budget.of(resource)));
        self
    }

    /// The most the skill's memory may hold.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.limits = self.limits.min(SkillLimits { quota, ..SkillLimits::UNLIMITED });
        self
    }

    /// No AI, whatever the manifest says.
    pub fn deny_ai(mut self) -> Self {
        self.deny_ai = true;
        self
    }

    /// No HTTP, whatever the manifest says.
    pub fn deny_http(self) -> Self {
        self.only_http([])
    }

    /// HTTP only where both the manifest and one of these rules allow it.
    pub fn only_http(mut self, rules: impl IntoIterator<Item = HttpRule>) -> Self {
        let rules: Vec<HttpRule> = rules.into_iter().collect();
        self.only_http = Some(match self.only_http.take() {
            None => rules,
            Some(earlier) => intersection(&earlier, &rules),
        });
        self
    }

    /// No memory, its own or shared, whatever the manifest says.
    pub fn deny_memory(mut self) -> Self {
        self.most_memory = Access::None;
        self
    }

    /// The skill may read the memory that its manifest names, and write none.
    pub fn read_only_memory(mut self) -> Self {
        self.most_memory = self.most_memory.min(Access::Read);
        self
    }

    /// The value of one of the skill's settings.
    pub fn config(mut self, name: impl Into<String>, value: impl Into<Json>) -> Self {
        self.config.insert(name.into(), value.into());
        self
    }

    /// Whether the skill takes events at once. Otherwise it is inactive until it is activated. `true` by default; a
    /// reload leaves the skill in the state it is in.
    pub fn activate(mut self, activate: bool) -> Self {
        self.activate = activate;
        self
    }

    /// Whether events of the skill can be [recorded](crate::Event::recorded_by). The skill keeps its module's bytes for
    /// that. `false` by default.
    pub fn recordable(mut self, recordable: bool) -> Self {
        self.recordable = recordable;
        self
    }

    pub(crate) fn given_manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    pub(crate) fn activates(&self) -> bool {
        self.activate
    }

    /// What a module will be under a name, with these options and below a ceiling.
    pub(crate) fn plan(&self, name: SkillName, wasm: &[u8], ceiling: &SkillLimits) -> Result<Plan> {
        let manifest = self.manifest_of(&name, wasm)?;
        let limits = manifest.limits.min(self.limits).min(*ceiling);
        let scope = SkillScope {
            name,
            grants: self.narrowed(&manifest.permissions),
            budget: limits.budget,
            quota: limits.quota,
            config: manifest.config.resolve(&self.config)?,
        };
        let narrowed = Narrowed { manifest: manifest.limits, options: self.limits, manager: *ceiling };
        let (manifest, scope) = (Arc::new(manifest), Arc::new(scope));
        Ok(Plan { manifest, scope, limits, narrowed, recordable: self.recordable })
    }

    fn manifest_of(&self, name: &SkillName, wasm: &[u8]) -> Result<Manifest> {
        let mismatch = |message: String| Error::from(ErrorKind::ManifestMismatch { message });
        let embedded = match cis_wasm_runtime::manifest_section(wasm)? {
            None => None,
            Some(text) => Some(text.parse().map_err(|error| ErrorKind::BadManifest { error, embedded: true })?),
        };
        let known = match (embedded, &self.manifest) {
            (Some(_), Some(_)) => {
                return Err(mismatch(
                    "the module has a manifest of its own; narrow it with the other options instead of giving another"
                        .into(),
                ));
            }
            (embedded, given) => embedded.or_else(|| given.clone()),
        };
        if let Some(expected) = &self.expected_name {
            let name = known.as_ref().map(|manifest| manifest.name.as_str());
            if name != Some(expected) {
                let name = name.map_or("has no manifest".into(), |name| format!("is `{name}`"));
                return Err(mismatch(format!("the module {name} where `{expected}` was expected")));
            }
        }
        if let Some(expected) = &self.expected_version {
            let version = known.as_ref().map(|manifest| &manifest.version);
            if !version.is_some_and(|version| expected.matches(version)) {
                let version = version.map_or("has no manifest".into(), |version| format!("has version {version}"));
                return Err(mismatch(format!("the module {version} where `{expected}` was expected")));
            }
        }
        Ok(known.unwrap_or_else(|| Manifest::bare(name.clone())))
    }

    fn narrowed(&self, granted: &Grants) -> Grants {
        let mut grants = granted.clone();
        grants.ai &= !self.deny_ai;
        let every = std::iter::once(&mut grants.memory).chain(grants.shared_memory.values_mut());
        every.for_each(|access| *access = (*access).min(self.most_memory));
        if let Some(only) = &self.only_http {
            grants.http.rules = intersection(&grants.http.rules, only);
            grants.secrets.retain(|secret| only.iter().any(|rule| rule.intersection(&secret.rule).is_some()));
        }
        grants
    }
}

/// Everything that is decided about a skill before its module is compiled.
pub(crate) struct Plan {
    /// What the author wrote.
    pub(crate) manifest: Arc<Manifest>,
    /// What holds: narrowed.
    pub(crate) scope: Arc<SkillScope>,
    /// What holds: narrowed.
    pub(crate) limits: SkillLimits,
    pub(crate) narrowed: Narrowed,
    /// Whether events can be recorded.
    pub(crate) recordable: bool,
}

/// Rules that match what one of `these` and one of `those` match.
fn intersection(these: &[HttpRule], those: &[HttpRule]) -> Vec<HttpRule> {
    let mut rules = Vec::new();
    for rule in these.iter().flat_map(|this| those.iter().filter_map(|that| this.intersection(that))) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"
        name = "full"
        version = "1.2.3"
        [permissions]
        ai = true
        [permissions.shared_memory]
        team = "read-write"
        [permissions.http]
        allow = ["*.example.com", "other.net"]
        [[permissions.http.secrets]]
        name = "TOKEN"
        host = "other.net"
        header = "authorization"
        [limits]
        memory_mib = 16
        ai_calls = 5
    "#;

    /// A module of nothing but its header.
    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    fn plan(options: LoadOptions) -> Plan {
        let options = options.manifest(FULL.parse().unwrap());
        options.plan("known-as".parse().unwrap(), EMPTY, &SkillLimits::UNLIMITED).unwrap()
    }

    #[test]
    fn the_default_takes_the_manifest_as_it_is() {
        let plan = plan(LoadOptions::default());
        assert_eq!(plan.scope.grants, plan.manifest.permissions);
        assert_eq!(plan.limits, plan.manifest.limits);
        assert_eq!((plan.scope.name.as_str(), plan.manifest.name.as_str()), ("known-as", "full"));
    }

    #[test]
    fn options_narrow_grants() {
        let options =
            LoadOptions::default().deny_ai().read_only_memory().only_http(["api.example.com".parse().unwrap()]);
        let grants = plan(options).scope.grants.clone();
        assert!(!grants.ai);
        assert_eq!(
            (grants.memory, grants.shared_memory.values().copied().collect()),
            (Access::Read, vec![Access::Read])
        );
        assert_eq!(grants.http.rules, ["api.example.com".parse().unwrap()]);
        assert_eq!(grants.secrets, []);
    }

    #[test]
    fn memory_can_be_taken_away() {
        let options = || LoadOptions::default().deny_memory();
        for options in
            [options(), options().read_only_memory(), LoadOptions::default().read_only_memory().deny_memory()]
        {
            let grants = plan(options).scope.grants.clone();
            assert_eq!(grants.memory, Access::None);
            assert!(grants.shared_memory.values().all(|access| *access == Access::None));
        }
    }

    #[test]
    fn options_never_widen() {
        let wide = LoadOptions::default()
            .memory_bytes(u64::MAX)
            .at_most(Resource::AiCalls, 1_000)
            .only_http(["evil.example.org".parse().unwrap(), "*.com:*".parse().unwrap()]);
        let plan = plan(wide);
        assert_eq!(plan.limits.engine.memory_bytes, 16 << 20);
        assert_eq!(plan.scope.budget.of(Resource::AiCalls), 5);
        assert_eq!(plan.scope.grants.http.rules, ["*.example.com".parse().unwrap()]);
    }

    #[test]
    fn the_lowest_limit_holds_whoever_set_it() {
        let [short, long] = [Duration::from_millis(1), Duration::from_secs(1)];
        let options = LoadOptions::default().fuel(10).fuel(20).quota(Quota { keys: 3, bytes: u64::MAX });
        let plan = plan(options.park_after(long).park_after(short));
        assert_eq!((plan.limits.engine.fuel, plan.scope.quota.keys, plan.limits.park_after), (10, 3, short));
        assert_eq!(plan.scope.quota.bytes, Quota::default().bytes);
    }

    #[test]
    fn calling_only_http_twice_narrows_twice() {
        let options = LoadOptions::default().only_http(["other.net".parse().unwrap()]).deny_http();
        assert_eq!(plan(options).scope.grants.http.rules, []);
    }

    #[test]
    fn an_unexpected_skill_is_refused() {
        let refused = |options: LoadOptions| {
            let options = options.manifest(FULL.parse().unwrap());
            options.plan("a".parse().unwrap(), EMPTY, &SkillLimits::UNLIMITED).err().unwrap().to_string()
        };
        let name = refused(LoadOptions::default().expect_name("notes"));
        assert_eq!(name, "the module is `full` where `notes` was expected");
        let version = refused(LoadOptions::default().expect_version("2".parse().unwrap()));
        assert_eq!(version, "the module has version 1.2.3 where `^2` was expected");

        let bare = LoadOptions::default().expect_name("notes");
        let bare = bare.plan("a".parse().unwrap(), EMPTY, &SkillLimits::UNLIMITED).err().unwrap();
        assert_eq!(bare.to_string(), "the module has no manifest where `notes` was expected");
    }
}

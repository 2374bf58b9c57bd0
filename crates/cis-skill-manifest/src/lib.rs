//! The manifest: what a skill is called, which events it wants, what it asks to be allowed, and its limits.
//!
//! A manifest is the text of a `skill.toml`. `build-skill` puts it into a custom section of the module, so that one
//! `.wasm` is a whole skill. It is written by the skill's author, who may be hostile: every value is checked here, once,
//! and what comes out is typed.
//!
//! It knows no engine, so that a skill's manifest can be checked wherever the skill is built.
#![forbid(unsafe_code)]

mod config;
mod document;
mod error;
mod limits;
mod permissions;
mod print;
pub mod suggest;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::str::FromStr;

use cis_wasm_abi::ceilings;
use cis_wasm_host::{Grants, SkillName, State};
use semver::Version;
use toml::de::DeTable;

pub use config::{ConfigError, ConfigSchema, Setting, SettingType};
pub use error::ManifestError;
pub use limits::SkillLimits;

use document::{Table, line_of};

/// How many event types a skill may subscribe to.
const MOST_SUBSCRIPTIONS: usize = 256;

/// A skill's manifest, checked.
///
/// ```
/// use cis_skill_manifest::Manifest;
///
/// let manifest: Manifest = r#"
///     name = "notes"
///     version = "0.1.0"
///     subscriptions = ["tick"]
///     [permissions.http]
///     allow = ["hooks.example.com"]
///     [limits]
///     deadline_ms = 500
/// "#
/// .parse()?;
/// assert_eq!(manifest.limits.engine.deadline.as_millis(), 500);
///
/// let error = "name = \"notes\"\nversion = \"0.1.0\"\n[permision]".parse::<Manifest>().unwrap_err();
/// assert_eq!(error.to_string(), "skill.toml line 3: unknown key `permision`; did you mean `permissions`?");
/// # Ok::<(), cis_skill_manifest::ManifestError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What its author calls the skill. The integrator may know it by another name.
    pub name: SkillName,
    /// Its version.
    pub version: Version,
    /// What it does, for people.
    pub description: String,
    /// Whether anything lasts in its linear memory from one event to the next.
    pub state: State,
    /// The event types that a broadcast brings to it.
    pub subscriptions: Vec<String>,
    /// What it asks to be allowed.
    pub permissions: Grants,
    /// What its events may use.
    pub limits: SkillLimits,
    /// Its settings.
    pub config: ConfigSchema,
}

impl Manifest {
    /// The manifest of a skill that has none: version 0.0.0, no settings, its own memory and its log.
    pub fn bare(name: SkillName) -> Self {
        Manifest {
            name,
            version: Version::new(0, 0, 0),
            description: String::new(),
            state: State::Fresh,
            subscriptions: Vec::new(),
            permissions: Grants::default(),
            limits: SkillLimits::default(),
            config: ConfigSchema::default(),
        }
    }

    fn read(root: &Table<'_>) -> Result<Self, ManifestError> {
        root.only(&["name", "version", "description", "state", "subscriptions", "permissions", "limits", "config"])?;
        let mut manifest = Manifest::bare(root.require("name")?.parsed()?);
        manifest.version = root.require("version")?.parsed()?;
        if let Some(description) = root.get("description") {
            description.string()?.clone_into(&mut manifest.description);
        }
        if let Some(state) = root.get("state") {
            manifest.state = state.one_of(&[("fresh", State::Fresh), ("kept", State::Kept)])?;
        }
        if let Some(subscriptions) = root.get("subscriptions") {
            let types = subscriptions.array()?;
            if types.len() > MOST_SUBSCRIPTIONS {
                let len = types.len();
                return Err(subscriptions.error(format!("has {len} entries, the most is {MOST_SUBSCRIPTIONS}")));
            }
            let mut seen = BTreeSet::new();
            for value in types {
                let event_type = value.short_string(ceilings::EVENT_TYPE)?;
                if event_type.is_empty() {
                    return Err(value.error("is empty; name an event type"));
                }
                if seen.insert(event_type) {
                    manifest.subscriptions.push(event_type.to_owned());
                }
            }
        }
        if let Some(permissions) = root.get("permissions") {
            manifest.permissions = permissions::read(&permissions.table()?)?;
        }
        if let Some(limits) = root.get("limits") {
            manifest.limits = SkillLimits::read(&limits.table()?)?;
        }
        if let Some(config) = root.get("config") {
            manifest.config = ConfigSchema::read(&config.table()?)?;
        }
        Ok(manifest)
    }
}

/// Parses the text of a `skill.toml`.
impl FromStr for Manifest {
    type Err = ManifestError;

    fn from_str(text: &str) -> Result<Self, ManifestError> {
        if text.len() > ceilings::MANIFEST {
            let message = format!("the manifest has {} bytes, the most is {}", text.len(), ceilings::MANIFEST);
            return Err(ManifestError::new(None, message));
        }
        let document = DeTable::parse(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start));
            ManifestError::new(line, error.message())
        })?;
        Manifest::read(&Table::root(text, document.get_ref()))
    }
}

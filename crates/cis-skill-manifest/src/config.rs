//! The table `config`: which settings a skill has, of what type, and what they are when nobody sets them.

use std::collections::BTreeMap;
use std::fmt;

use cis_wasm_abi::ceilings;
use serde_json::{Map, Value as Json};

use super::ManifestError;
use super::document::Table;
use crate::suggest::{nearest, quoted};

/// The type of a setting's value, in JSON's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SettingType {
    /// An array.
    Array,
    /// `true` or `false`.
    Boolean,
    /// A number without a fraction.
    Integer,
    /// A number.
    Number,
    /// An object.
    Object,
    /// A string.
    String,
}

impl SettingType {
    const NAMED: [(&'static str, SettingType); 6] = [
        ("string", SettingType::String),
        ("integer", SettingType::Integer),
        ("number", SettingType::Number),
        ("boolean", SettingType::Boolean),
        ("array", SettingType::Array),
        ("object", SettingType::Object),
    ];

    /// The name in a manifest.
    pub const fn name(self) -> &'static str {
        match self {
            SettingType::Array => "array",
            SettingType::Boolean => "boolean",
            SettingType::Integer => "integer",
            SettingType::Number => "number",
            SettingType::Object => "object",
            SettingType::String => "string",
        }
    }

    /// Whether a value is of this type.
    pub fn admits(self, value: &Json) -> bool {
        match self {
            SettingType::Array => value.is_array(),
            SettingType::Boolean => value.is_boolean(),
            SettingType::Integer => value.is_i64() || value.is_u64(),
            SettingType::Number => value.is_number(),
            SettingType::Object => value.is_object(),
            SettingType::String => value.is_string(),
        }
    }
}

impl fmt::Display for SettingType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One setting of a skill.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The type of its value.
    pub value_type: SettingType,
    /// Its value when the integrator sets none. Of the right type.
    pub default: Option<Json>,
    /// What it is for.
    pub description: String,
    /// Whether the skill cannot be loaded without a value. Has no default then.
    pub required: bool,
}

/// Why values do not fit a skill's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
}

/// The settings of a skill by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigSchema {
    settings: BTreeMap<String, Setting>,
}

impl ConfigSchema {
    /// The setting of a name.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.get(name)
    }

    /// All settings, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings.iter().map(|(name, setting)| (name.as_str(), setting))
    }

    /// What a skill reads when the integrator set these values: them, and the defaults of the rest.
    ///
    /// # Errors
    ///
    /// For a value without a setting, of the wrong type, or missing where it is required.
    pub fn resolve(&self, values: &Map<String, Json>) -> Result<Map<String, Json>, ConfigError> {
        let bad = |message: String| ConfigError { message };
        for (name, value) in values {
            let Some(setting) = self.settings.get(name) else {
                return Err(bad(self.unknown(name)));
            };
            if !setting.value_type.admits(value) {
                let wanted = setting.value_type;
                return Err(bad(format!("the setting `{name}` must be of type {wanted}, it is {}", json_type(value))));
            }
        }
        let mut resolved = Map::new();
        for (name, setting) in &self.settings {
            match values.get(name).or(setting.default.as_ref()) {
                Some(value) => {
                    resolved.insert(name.clone(), value.clone());
                }
                None if setting.required => {
                    let wanted = setting.value_type;
                    return Err(bad(format!("the setting `{name}` ({wanted}) is required and not set")));
                }
                None => {}
            }
        }
        Ok(resolved)
    }

    fn unknown(&self, name: &str) -> String {
        let shown = quoted(name);
        match nearest(name, self.settings.keys().map(String::as_str)) {
            Some(known) => format!("the skill has no setting `{shown}`; did you mean `{known}`?"),
            None if self.settings.is_empty() => format!("the skill has no setting `{shown}`: its manifest names none"),
            None => {
                let known: Vec<&str> = self.settings.keys().map(String::as_str).collect();
                format!("the skill has no setting `{shown}`; it has {}", known.join(", "))
            }
        }
    }

    pub(super) fn read(table: &Table<'_>) -> Result<Self, ManifestError> {
        let mut settings = BTreeMap::new();
        for (name, value) in table.entries() {
            if name.is_empty() || name.len() > ceilings::KEY {
                return Err(value.error(format!("needs a name of 1 to {} bytes", ceilings::KEY)));
            }
            let setting = value.table()?;
            setting.only(&["type", "default", "description", "required"])?;
            let value_type = setting.require("type")?.one_of(&SettingType::NAMED)?;
            let required = setting.get("required").map_or(Ok(false), |required| required.boolean())?;
            let default = match setting.get("default") {
                None => None,
                Some(default) if required => return Err(default.error("makes no sense where `required` is true")),
                Some(default) => {
                    let json = default.json()?;
                    if !value_type.admits(&json) {
                        return Err(
                            default.error(format!("must be of the type {value_type}, it is {}", json_type(&json)))
                        );
                    }
                    Some(json)
                }
            };
            let description = setting.get("description").map_or(Ok(""), |text| text.string())?.to_owned();
            settings.insert(name.to_owned(), Setting { value_type, default, description, required });
        }
        Ok(ConfigSchema { settings })
    }
}

fn json_type(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(number) if number.is_f64() => "a number with a fraction",
        Json::Number(_) => "an integer",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

//! A manifest as the text that parses back to it, with everything said that a default would have said.

use std::fmt;

use cis_wasm_host::{Access, State};
use serde_json::Value as Json;

use super::Manifest;

/// The `skill.toml` of this manifest, complete: defaults are written out.
///
/// What parses was written with limits in whole units; of limits set in code, parts of a unit are lost.
impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "name = {}", text(self.name.as_str()))?;
        writeln!(f, "version = {}", text(&self.version.to_string()))?;
        writeln!(f, "description = {}", text(&self.description))?;
        writeln!(f, "state = {}", text(if self.state == State::Kept { "kept" } else { "fresh" }))?;
        writeln!(f, "subscriptions = {}", texts(&self.subscriptions))?;
        self.print_permissions(f)?;
        writeln!(f, "\n[limits]")?;
        for (name, limit) in self.limits.entries() {
            // TOML has no larger integers.
            writeln!(f, "{name} = {}", limit.min(i64::MAX as u64))?;
        }
        for (name, setting) in self.config.iter() {
            writeln!(f, "\n[config.{}]", key(name))?;
            writeln!(f, "type = {}", text(setting.value_type.name()))?;
            if let Some(default) = &setting.default {
                writeln!(f, "default = {}", value(default))?;
            }
            writeln!(f, "description = {}", text(&setting.description))?;
            writeln!(f, "required = {}", setting.required)?;
        }
        Ok(())
    }
}

impl Manifest {
    fn print_permissions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grants = &self.permissions;
        writeln!(f, "\n[permissions]")?;
        writeln!(f, "memory = {}", text(access(grants.memory)))?;
        writeln!(f, "ai = {}", grants.ai)?;
        if !grants.shared_memory.is_empty() {
            writeln!(f, "\n[permissions.shared_memory]")?;
        }
        for (name, granted) in &grants.shared_memory {
            writeln!(f, "{} = {}", text(name.as_str()), text(access(*granted)))?;
        }
        let rules: Vec<String> = grants.http.rules.iter().map(ToString::to_string).collect();
        writeln!(f, "\n[permissions.http]\nallow = {}", texts(&rules))?;
        for secret in &grants.secrets {
            writeln!(f, "\n[[permissions.http.secrets]]")?;
            writeln!(f, "name = {}", text(&secret.name))?;
            writeln!(f, "host = {}", text(&secret.rule.to_string()))?;
            writeln!(f, "header = {}", text(&secret.header))?;
            writeln!(f, "prefix = {}", text(&secret.prefix))?;
        }
        Ok(())
    }
}

fn access(access: Access) -> &'static str {
    match access {
        Access::None => "none",
        Access::Read => "read",
        Access::ReadWrite => "read-write",
    }
}

fn text(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A key. As a value, a text with line breaks would be written over several lines, which no key may be.
fn key(name: &str) -> String {
    let entry = toml::Table::from_iter([(name.to_owned(), toml::Value::Boolean(true))]).to_string();
    entry.strip_suffix(" = true\n").map_or_else(|| text(name), str::to_owned)
}

fn texts(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|one| text(one)).collect::<Vec<_>>().join(", "))
}

/// A setting's default in one line. It came from TOML, or was checked to be of a type that TOML has.
fn value(json: &Json) -> String {
    match json {
        // Has no text in TOML, and no manifest holds one.
        Json::Null => "\"\"".into(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => match number.as_i64() {
            Some(number) => number.to_string(),
            None => toml::Value::from(number.as_f64().unwrap_or_default()).to_string(),
        },
        Json::String(string) => text(string),
        Json::Array(values) => format!("[{}]", values.iter().map(value).collect::<Vec<_>>().join(", ")),
        Json::Object(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(name, one)| format!("{} = {}", key(name), value(one))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

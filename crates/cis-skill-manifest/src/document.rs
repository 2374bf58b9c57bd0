//! Reading TOML so that every error knows its line, its path, and what would have been right.

use std::ops::Range;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::ManifestError;
use crate::suggest::{nearest, quoted};

/// How deep the value of a setting may nest.
const DEEPEST: usize = 32;

/// One table of a manifest.
pub(super) struct Table<'d> {
    source: &'d str,
    /// `permissions.http`; empty for the whole document.
    path: String,
    span: Range<usize>,
    table: &'d DeTable<'d>,
}

/// One value of a manifest.
pub(super) struct Value<'d> {
    source: &'d str,
    path: String,
    span: Range<usize>,
    value: &'d DeValue<'d>,
}

impl<'d> Table<'d> {
    /// The whole document.
    pub(super) fn root(source: &'d str, table: &'d DeTable<'d>) -> Self {
        Table { source, path: String::new(), span: 0..0, table }
    }

    /// Refuses every key that is not known.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ManifestError> {
        let unknown = self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(first) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let name = first.get_ref();
        let within = if self.path.is_empty() { String::new() } else { format!(" in `{}`", quoted(&self.path)) };
        let hint = match nearest(name, known.iter().copied()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("known are {}", list(known)),
        };
        let message = format!("unknown key `{}`{within}; {hint}", quoted(name));
        Err(ManifestError::new(Some(line_of(self.source, first.span().start)), message))
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<Value<'d>> {
        self.entries().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The value of a key that must be there.
    pub(super) fn require(&self, key: &str) -> Result<Value<'d>, ManifestError> {
        self.get(key).ok_or_else(|| {
            let line = if self.path.is_empty() { None } else { Some(line_of(self.source, self.span.start)) };
            ManifestError::new(line, format!("`{}` is missing", quoted(&self.path_of(key))))
        })
    }

    /// All keys with their values, in order of the keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'d str, Value<'d>)> + '_ {
        self.table.iter().map(|(key, value)| {
            let name = key.get_ref().as_ref();
            let path = self.path_of(name);
            (name, Value { source: self.source, path, span: value.span(), value: value.get_ref() })
        })
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'d> Value<'d> {
    /// An error about this value. `message` reads on after its path.
    pub(super) fn error(&self, message: impl std::fmt::Display) -> ManifestError {
        let line = Some(line_of(self.source, self.span.start));
        ManifestError::new(line, format!("`{}` {message}", quoted(&self.path)))
    }

    fn is_not(&self, wanted: &str) -> ManifestError {
        self.error(format!("is {}, it must be {wanted}", kind(self.value)))
    }

    pub(super) fn string(&self) -> Result<&'d str, ManifestError> {
        match self.value {
            DeValue::String(text) => Ok(text.as_ref()),
            _ => Err(self.is_not("a string")),
        }
    }

    /// A string of at most `most` bytes.
    pub(super) fn short_string(&self, most: usize) -> Result<&'d str, ManifestError> {
        let text = self.string()?;
        if text.len() > most {
            return Err(self.error(format!("has {} bytes, the most is {most}", text.len())));
        }
        Ok(text)
    }

    /// A string that parses.
    pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&self) -> Result<T, ManifestError> {
        let text = self.string()?;
        text.parse().map_err(|error| self.error(format!("is \"{}\": {error}", quoted(text))))
    }

    /// One of a few strings, each with its meaning.
    pub(super) fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, ManifestError> {
        let text = self.string()?;
        choices.iter().find(|(name, _)| *name == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let hint = nearest(text, names.iter().copied()).map(|name| format!("; did you mean \"{name}\"?"));
            let hint = hint.unwrap_or_default();
            self.error(format!("is \"{}\", allowed are {}{hint}", quoted(text), list(&names)))
        })
    }

    pub(super) fn boolean(&self) -> Result<bool, ManifestError> {
        match self.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.is_not("true or false")),
        }
    }

    /// A whole number within a range, ends included.
    pub(super) fn number(&self, range: std::ops::RangeInclusive<u64>) -> Result<u64, ManifestError> {
        let DeValue::Integer(number) = self.value else { return Err(self.is_not("a whole number")) };
        let parsed = u64::from_str_radix(number.as_str(), number.radix()).ok();
        parsed.filter(|number| range.contains(number)).ok_or_else(|| {
            let number = quoted(&number.to_string());
            self.error(format!("is {number}, allowed is {} to {}", range.start(), range.end()))
        })
    }

    pub(super) fn table(&self) -> Result<Table<'d>, ManifestError> {
        match self.value {
            DeValue::Table(table) => {
                Ok(Table { source: self.source, path: self.path.clone(), span: self.span.clone(), table })
            }
            _ => Err(self.is_not("a table")),
        }
    }

    pub(super) fn array(&self) -> Result<Vec<Value<'d>>, ManifestError> {
        let DeValue::Array(array) = self.value else { return Err(self.is_not("an array")) };
        let element = |(index, value): (usize, &'d toml::Spanned<DeValue<'d>>)| Value {
            source: self.source,
            path: format!("{}[{index}]", self.path),
            span: value.span(),
            value: value.get_ref(),
        };
        Ok(array.iter().enumerate().map(element).collect())
    }

    /// The value as JSON.
    pub(super) fn json(&self) -> Result<Json, ManifestError> {
        self.json_within(DEEPEST)
    }

    fn json_within(&self, depth: usize) -> Result<Json, ManifestError> {
        if depth == 0 {
            return Err(self.error(format!("nests deeper than {DEEPEST}")));
        }
        Ok(match self.value {
            DeValue::String(text) => Json::String(text.to_string()),
            DeValue::Boolean(value) => Json::Bool(*value),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Json::from)
                .map_err(|_| self.error("does not fit 64 bits"))?,
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .ok()
                .and_then(serde_json::Number::from_f64)
                .map(Json::Number)
                .ok_or_else(|| self.error("is not a number that JSON has"))?,
            DeValue::Datetime(_) => return Err(self.is_not("a value that JSON has; write the date as a string")),
            DeValue::Array(_) => {
                let values = self.array()?;
                Json::Array(values.iter().map(|value| value.json_within(depth - 1)).collect::<Result<_, _>>()?)
            }
            DeValue::Table(_) => {
                let table = self.table()?;
                let entries = table.entries().map(|(key, value)| Ok((key.to_owned(), value.json_within(depth - 1)?)));
                Json::Object(entries.collect::<Result<_, ManifestError>>()?)
            }
        })
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The line that holds a byte, from 1.
pub(super) fn line_of(source: &str, byte: usize) -> usize {
    1 + source.bytes().take(byte).filter(|byte| *byte == b'\n').count()
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

//! What is fixed about a skill for all of its events.

use crate::{Amounts, Grants, Namespace, Quota};
use std::fmt;
use std::str::FromStr;

/// A skill's name: 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`, beginning with a letter or digit.
///
/// It names the skill's namespace in memory, so it can hold nothing that would lead out of one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SkillName {
    /// The skill's namespace, `skill/NAME`: it is asked for with every call that reaches memory.
    namespace: Namespace,
}

const NAMESPACE: &str = "skill/";

/// Why a text is not a [`SkillName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a name: use 1 to 64 of a-z, 0-9, `-`, `_` and `.`, beginning with a letter or digit", name.escape_debug())]
pub struct SkillNameError {
    name: String,
}

impl SkillName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.namespace.as_str()[NAMESPACE.len()..]
    }

    /// The skill's own namespace.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

impl fmt::Debug for SkillName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SkillName").field(&self.as_str()).finish()
    }
}

impl FromStr for SkillName {
    type Err = SkillNameError;

    fn from_str(name: &str) -> Result<Self, SkillNameError> {
        let head = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let rest = name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.'));
        if head && rest && name.len() <= 64 {
            Ok(SkillName { namespace: Namespace::named(format!("{NAMESPACE}{name}")) })
        } else {
            // The text is the caller's, of any length: quote only its beginning. What of it moves a terminal's cursor is
            // escaped where it is shown.
            Err(SkillNameError { name: name.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for SkillName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a skill is called, may do and may use: fixed at load, shared by all of its events.
#[derive(Clone, Debug)]
pub struct SkillScope {
    /// The skill's name.
    pub name: SkillName,
    /// What it may do.
    pub grants: Grants,
    /// What one event may use.
    pub budget: Amounts,
    /// What it may keep in memory, over all events.
    pub quota: Quota,
    /// Its own settings, as JSON values by name.
    pub config: serde_json::Map<String, serde_json::Value>,
}

impl SkillScope {
    /// The scope of a skill that nobody granted anything in particular: its own memory and its log.
    pub fn new(name: SkillName) -> Self {
        SkillScope {
            name,
            grants: Grants::default(),
            budget: Amounts::DEFAULT_LIMITS,
            quota: Quota::default(),
            config: serde_json::Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_quoted_harmlessly_and_in_short() {
        let error = "a\u{1b}[2J\u{202E}b".parse::<SkillName>().unwrap_err();
        assert!(error.to_string().starts_with("`a\\u{1b}[2J\\u{202e}b` is not a name: "), "{error}");
        assert!("x".repeat(100_000).parse::<SkillName>().unwrap_err().to_string().len() < 200);
    }
}

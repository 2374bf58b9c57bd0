//! Secrets: named in a manifest, kept by the integrator, injected at egress, never seen by a guest.
//!
//! Invariant: a value leaves this module only through [`SecretValue::expose`], which the egress client alone calls, and
//! every text or body on its way to a guest, a log or an error passes [`Secrets::scrub`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use crate::unwired::{Limit, unwired};

/// What stands where a secret was.
const SCRUBBED: &str = "[secret]";

/// Secrets shorter than this many bytes are refused: scrubbing them would tear ordinary text apart.
const SHORTEST: usize = 8;

/// A secret's value. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

/// Why a text cannot be a [`SecretValue`]. Does not show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretValueError {
    /// It has a character that no HTTP header can carry.
    #[error("the secret has a character that is not printable ASCII")]
    NotPrintable,
    /// It is too short to be found again in a text.
    #[error("the secret is shorter than {SHORTEST} bytes")]
    TooShort,
}

impl SecretValue {
    /// A value of at least 8 printable ASCII characters.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn new(value: impl Into<String>) -> Result<Self, SecretValueError> {
        let value = value.into();
        if value.len() < SHORTEST {
            return Err(SecretValueError::TooShort);
        }
        if !value.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
            return Err(SecretValueError::NotPrintable);
        }
        Ok(SecretValue(value))
    }

    /// The value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// This value behind a prefix such as `"Bearer "`.
    pub(crate) fn prefixed(&self, prefix: &str) -> SecretValue {
        SecretValue(format!("{prefix}{}", self.0))
    }

    /// The ways in which a server that was sent the value is likely to write it: as it is, inside a JSON string, and
    /// inside a URL.
    fn spellings(&self) -> impl Iterator<Item = String> {
        let json = serde_json::Value::from(self.expose()).to_string();
        let json = json.trim_start_matches('"').strip_suffix('"').unwrap_or(&json).to_owned();
        let slashed = json.replace('/', "\\/");
        let query: String = url::form_urlencoded::byte_serialize(self.0.as_bytes()).collect();
        let path = query.replace('+', "%20");
        [self.0.clone(), json, slashed, query, path].into_iter()
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCRUBBED)
    }
}

/// The integrator's secrets, by the names that manifests use.
///
/// ```
/// use cis_wasm_host::Secrets;
///
/// let secrets = Secrets::new().with("webhook-token", "correct-horse-battery");
/// assert_eq!(secrets.scrub("sent correct-horse-battery along"), "sent [secret] along");
/// ```
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<String, SecretValue>,
    /// What is looked for in texts and bodies. The longest first: one secret may be the beginning of another.
    spellings: Vec<String>,
}

impl Secrets {
    /// No secrets.
    pub fn new() -> Self {
        Secrets::default()
    }

    /// Adds a secret.
    ///
    /// # Panics
    ///
    /// When the value is shorter than 8 bytes or has a character that no HTTP header can carry: it is the integrator's
    /// own constant or configuration, checked where it enters. See [`Secrets::insert`] for values from elsewhere.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        if let Err(why) = self.insert(name.clone(), value) {
            panic!("`{name}`: {why}");
        }
        self
    }

    /// Adds a secret.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the value, without showing it.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), SecretValueError> {
        self.values.insert(name.into(), SecretValue::new(value)?);
        self.spellings = self.values.values().flat_map(SecretValue::spellings).collect();
        self.spellings.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.spellings.dedup();
        Ok(())
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&SecretValue> {
        self.values.get(name)
    }

    /// The name of a secret that bytes hold, in capitals or not, in any of the ways it is likely to be written.
    pub fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        if self.values.is_empty() {
            return None;
        }
        let lower = bytes.to_ascii_lowercase();
        let is_in = |spelling: String| memchr::memmem::find(&lower, spelling.to_ascii_lowercase().as_bytes()).is_some();
        let found = self.values.iter().find(|(_, value)| value.spellings().any(is_in));
        found.map(|(name, _)| name.as_str())
    }

    /// A text without any of the secrets, in capitals or not: host names come back in small letters.
    pub fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        if unwired(Limit::Secrets) {
            return text;
        }
        for spelling in &self.spellings {
            if let Some(scrubbed) = replace_any_case(&text, spelling) {
                text = Cow::Owned(scrubbed);
            }
        }
        text
    }

    /// Bytes without any of the secrets. Bytes that hold none are handed back as they are.
    pub fn scrub_bytes(&self, bytes: Bytes) -> Bytes {
        let spellings = if unwired(Limit::Secrets) { &[] } else { &self.spellings[..] };
        spellings.iter().fold(bytes, |bytes, spelling| replace_all(bytes, spelling.as_bytes()))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.values).finish()
    }
}

fn replace_any_case(text: &str, secret: &str) -> Option<String> {
    // Both have the same length and the same character edges in small ASCII letters.
    let (lower, secret) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let mut hits = lower.match_indices(&secret).peekable();
    hits.peek()?;
    let (mut out, mut rest) = (String::new(), 0);
    for (at, hit) in hits {
        out.push_str(&text[rest..at]);
        out.push_str(SCRUBBED);
        rest = at + hit.len();
    }
    out.push_str(&text[rest..]);
    Some(out)
}

fn replace_all(bytes: Bytes, secret: &[u8]) -> Bytes {
    let mut out = Vec::new();
    let mut rest = &bytes[..];
    while let Some(at) = memchr::memmem::find(rest, secret) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(SCRUBBED.as_bytes());
        rest = &rest[at + secret.len()..];
    }
    if rest.len() == bytes.len() {
        return bytes;
    }
    out.extend_from_slice(rest);
    out.into()
}

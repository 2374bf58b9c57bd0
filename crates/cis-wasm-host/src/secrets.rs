//! Secrets: named in a manifest, kept by the integrator, injected at egress, never seen by a guest.
//!
//! Invariant: a value leaves this module only through [`SecretValue::expose`], which the egress client alone calls, and
//! every text or body on its way to a guest, a log or an error passes [`Secrets::scrub`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

/// What stands where a secret was.
const SCRUBBED: &str = "[secret]";

/// Secrets shorter than this many bytes are refused: scrubbing them would tear ordinary text apart.
const SHORTEST: usize = 8;

/// A secret's value. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    /// The value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// This value behind a prefix such as `"Bearer "`.
    pub(crate) fn prefixed(&self, prefix: &str) -> SecretValue {
        SecretValue(format!("{prefix}{}", self.0))
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCRUBBED)
    }
}

/// The integrator's secrets, by the names that manifests use.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    values: BTreeMap<String, SecretValue>,
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
        if let Err(why) = self.insert(name, value) {
            panic!("{why}");
        }
        self
    }

    /// Adds a secret.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the value, without showing it.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), String> {
        let (name, value) = (name.into(), value.into());
        if value.len() < SHORTEST {
            return Err(format!("the secret `{name}` is shorter than {SHORTEST} bytes"));
        }
        if !value.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
            return Err(format!("the secret `{name}` has a character that is not printable ASCII"));
        }
        self.values.insert(name, SecretValue(value));
        Ok(())
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&SecretValue> {
        self.values.get(name)
    }

    /// A text without any of the secrets.
    pub fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for value in self.values.values() {
            if text.contains(&value.0) {
                text = Cow::Owned(text.replace(&value.0, SCRUBBED));
            }
        }
        text
    }

    /// Bytes without any of the secrets. Bytes that hold none are handed back as they are.
    pub fn scrub_bytes(&self, bytes: Bytes) -> Bytes {
        self.values.values().fold(bytes, |bytes, value| replace_all(bytes, value.0.as_bytes()))
    }
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

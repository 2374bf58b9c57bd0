//! What a skill answers.

use alloc_crate::vec::Vec;

#[cfg(feature = "json")]
use crate::Error;
use crate::body::{IntoBytes, IntoText};

/// The answer to one event: bytes, or none. At most [`ceilings::RESPONSE`](crate::ceilings::RESPONSE) bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    bytes: Option<Vec<u8>>,
}

impl Response {
    /// No answer but that the event was handled.
    pub const fn empty() -> Self {
        Response { bytes: None }
    }

    /// These bytes. No bytes at all are an answer too, and not [`Response::empty`].
    pub fn bytes(bytes: impl IntoBytes) -> Self {
        Response { bytes: Some(bytes.into_bytes()) }
    }

    /// This text, or a whole number in decimal.
    pub fn text(text: impl IntoText) -> Self {
        Response::bytes(text.into_text())
    }

    /// A value as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::failed`] when the value has no form in JSON, such as a map with keys that are not strings.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        crate::json::write(value).map(Response::bytes)
    }

    /// The bytes, or `None` for [`Response::empty`].
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        self.bytes
    }
}

//! What a skill answers.

use bytes::Bytes;
use cis_wasm_host::LogLine;
use cis_wasm_runtime::Receipt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ErrorKind, Result};

/// A skill's answer to an event, with what the event used and what the skill logged.
///
/// ```
/// use cis_skill::Response;
///
/// let response = Response::from_json(&serde_json::json!({ "notes": ["buy milk"] }))?;
/// assert_eq!(response.text()?, r#"{"notes":["buy milk"]}"#);
/// # Ok::<(), cis_skill::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    body: Bytes,
    receipt: Option<Receipt>,
    log: Vec<LogLine>,
}

impl Response {
    /// A response of these bytes.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Response { body: body.into(), receipt: None, log: Vec::new() }
    }

    /// A response without any bytes.
    pub fn empty() -> Self {
        Response::default()
    }

    /// A response that is a value as JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadResponse`] when the value has no JSON (a map with keys that are no strings, for one).
    pub fn from_json(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(|error| ErrorKind::BadResponse { message: error.to_string() })?;
        Ok(Response::new(body))
    }

    /// The bytes.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The bytes, without the rest.
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// The bytes as text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadResponse`] when they are not UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).map_err(|error| ErrorKind::BadResponse { message: error.to_string() }.into())
    }

    /// The bytes, read as JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadResponse`] when they are not JSON, or not that of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let parsed = serde_json::from_slice(&self.body);
        parsed.map_err(|error| ErrorKind::BadResponse { message: error.to_string() }.into())
    }

    /// What the event was allowed and what it used. `None` only for a response that a native skill has just made: a
    /// manager adds it.
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }

    /// What the skill logged during the event.
    pub fn log(&self) -> &[LogLine] {
        &self.log
    }

    /// Gives the response the receipt and log of its event, unless it has them.
    pub(crate) fn with_event(mut self, receipt: Receipt, log: Vec<LogLine>) -> Self {
        if self.receipt.is_none() {
            self.receipt = Some(receipt);
            self.log = log;
        }
        self
    }
}

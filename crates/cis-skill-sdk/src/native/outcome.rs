//! What came of an event.

use std::fmt;
use std::string::String;
use std::vec::Vec;

use cis_wasm_abi::{Level, Status};

use crate::Response;

/// What came of one event.
#[derive(Clone, Debug)]
#[must_use]
pub struct Outcome {
    /// The response, or why there is none.
    pub result: Result<Response, Failure>,
    /// What the skill logged meanwhile.
    pub log: Vec<LogLine>,
}

/// One line of a skill's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How important it is.
    pub level: Level,
    /// The text.
    pub message: String,
}

/// Why an event failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status it ended with, or `None` when it did not end: the skill panicked, or answered too much.
    pub code: Option<i32>,
    /// What the skill said about it.
    pub message: String,
}

impl Failure {
    /// The status, or `None` when there is none or it is the skill's own.
    pub fn status(&self) -> Option<Status> {
        self.code.and_then(Status::from_code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The readers below are for tests that expect a response: they panic with the failure where there is none.
impl Outcome {
    /// The response's bytes. An empty response has none.
    ///
    /// # Panics
    ///
    /// When the event failed.
    #[track_caller]
    pub fn bytes(self) -> Vec<u8> {
        match self.result {
            Ok(response) => response.into_bytes().unwrap_or_default(),
            Err(failure) => panic!("the event failed: {failure}"),
        }
    }

    /// The response as text.
    ///
    /// # Panics
    ///
    /// When the event failed, or the response is not UTF-8.
    #[track_caller]
    pub fn text(self) -> String {
        match String::from_utf8(self.bytes()) {
            Ok(text) => text,
            Err(error) => panic!("the response is not text: {error}"),
        }
    }

    /// The response, read as JSON.
    ///
    /// # Panics
    ///
    /// When the event failed, or the response is not the JSON of a `T`.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn json<T: serde::de::DeserializeOwned>(self) -> T {
        let bytes = self.bytes();
        match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(error) => panic!("{error} in the response `{}`", String::from_utf8_lossy(&bytes)),
        }
    }

    /// Why the event failed.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    pub fn failure(self) -> Failure {
        match self.result {
            Ok(response) => panic!("the event did not fail: {response:?}"),
            Err(failure) => failure,
        }
    }
}

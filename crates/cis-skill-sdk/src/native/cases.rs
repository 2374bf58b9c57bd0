//! Tests as data: what the host has, the events, and what comes of them.
//!
//! One file of cases tests a skill natively through [`check`], and the same skill in wasm through whoever reads the same
//! file with [`parse`]. The format is the types below, as JSON; `skills/README.md` describes it with an example.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde::Deserialize;
use serde_json::Value;

use super::{Access, Outcome, TestHost};
use crate::{Skill, Status};

/// One case: events that are sent one after the other to a skill on a host of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// What there is before the first event.
    #[serde(default)]
    pub host: CaseHost,
    /// The events and what each answers.
    pub events: Vec<CaseEvent>,
    /// What there is after the last one.
    #[serde(default)]
    pub after: CaseAfter,
}

/// What a host has before the first event.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseHost {
    /// What the skill may do. In wasm its manifest has to grant at least this; the case may narrow it.
    pub grants: CaseGrants,
    /// Whether the skill's value stays from event to event. In wasm the manifest says so.
    pub state: CaseState,
    /// Settings.
    pub config: BTreeMap<String, Value>,
    /// Values in memory, as text. `@name/key` is a key of a shared namespace.
    pub memory: BTreeMap<String, String>,
    /// What the AI will say, in order. Absent: the host has no AI.
    pub ai: Option<Vec<CaseReply>>,
    /// What servers will answer, in order. Absent: the host has no HTTP.
    pub http: Option<Vec<CaseReply>>,
}

/// What a skill may do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseGrants {
    /// Its own memory: `"none"`, `"read"` or `"read-write"`, which is the default.
    pub memory: Access,
    /// Shared namespaces.
    pub shared_memory: BTreeMap<String, Access>,
    /// The AI.
    pub ai: bool,
    /// Rules for HTTP, as in a manifest's `permissions.http.allow`.
    pub http: Vec<String>,
}

/// Whether a skill's value stays from event to event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaseState {
    /// Every event starts from what `init` left.
    #[default]
    Fresh,
    /// It stays.
    Kept,
}

/// A scripted reply of the AI or of a server.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum CaseReply {
    /// This text; from a server, with HTTP status 200.
    Text(String),
    /// This HTTP status, with an empty body. From a server only.
    Status(u16),
    /// A failure, by the name of its status: `"timed_out"`.
    Error(String),
}

impl CaseReply {
    /// The status of an `Error`'s name.
    ///
    /// # Panics
    ///
    /// When no status has this name.
    fn status(name: &str) -> Status {
        match Status::ALL.into_iter().find(|status| status.name() == name) {
            Some(status) => status,
            None => panic!("`{name}` is not the name of a status"),
        }
    }
}

/// One event, with one of `response`, `response_text` and `error`; none of them expects an empty response.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseEvent {
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its data, sent as JSON.
    pub data: Option<Value>,
    /// Its data, sent as they stand.
    pub data_text: Option<String>,
    /// The expected response, compared as JSON.
    pub response: Option<Value>,
    /// The expected response, compared byte by byte.
    pub response_text: Option<String>,
    /// The expected failure.
    pub error: Option<CaseError>,
}

impl CaseEvent {
    /// The bytes to send.
    pub fn bytes(&self) -> Vec<u8> {
        match (&self.data, &self.data_text) {
            (Some(json), _) => json.to_string().into_bytes(),
            (None, Some(text)) => text.clone().into_bytes(),
            (None, None) => Vec::new(),
        }
    }

    /// How what came of the event differs from what the case expects, or `None`. What came is the response's bytes (`None`
    /// for an empty response), or a failure's status and text.
    pub fn mismatch(&self, got: Result<Option<&[u8]>, (Option<i32>, &str)>) -> Option<String> {
        let shown = match got {
            Ok(None) => "an empty response".to_string(),
            Ok(Some(bytes)) => format!("`{}`", String::from_utf8_lossy(bytes)),
            Err((code, message)) => format!("an error with code {code:?}: `{message}`"),
        };
        let (same, wanted) = match (self, got) {
            (CaseEvent { error: Some(error), .. }, got) => {
                let same = got == Err((Some(error.code), error.message.as_str()));
                (same, format!("an error with code {}: `{}`", error.code, error.message))
            }
            (CaseEvent { response: Some(json), .. }, got) => {
                let bytes = got.ok().flatten();
                let same = bytes.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok()).as_ref() == Some(json);
                (same, format!("`{json}`"))
            }
            (CaseEvent { response_text: Some(text), .. }, got) => {
                (got == Ok(Some(text.as_bytes())), format!("`{text}`"))
            }
            (_, got) => (got == Ok(None), "an empty response".to_string()),
        };
        (!same).then(|| format!("event `{}`: expected {wanted}, got {shown}", self.kind))
    }
}

/// An expected failure.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseError {
    /// The status that the event ends with.
    pub code: i32,
    /// The error's text.
    pub message: String,
}

/// What there is after the last event. What is absent is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseAfter {
    /// Everything in memory, as text, and nothing else.
    pub memory: Option<BTreeMap<String, String>>,
    /// All lines logged, each as `"level: text"`.
    pub log: Option<Vec<String>>,
    /// All prompts.
    pub ai: Option<Vec<String>>,
    /// All requests, each as URL and body.
    pub http: Option<Vec<(String, String)>>,
}

/// Reads a file of cases.
///
/// # Errors
///
/// When it is not the JSON of a list of [`Case`]s.
pub fn parse(cases: &str) -> Result<Vec<Case>, serde_json::Error> {
    serde_json::from_str(cases)
}

/// Runs a file of cases on a skill.
///
/// # Panics
///
/// When the file is malformed or has no cases; and with all that did not come out as it says.
#[track_caller]
pub fn check<S: Skill + 'static>(cases: &str) {
    let cases = parse(cases).unwrap_or_else(|error| panic!("the cases: {error}"));
    assert!(!cases.is_empty(), "a file without cases tests nothing");
    let wrong: Vec<String> = cases.iter().flat_map(run::<S>).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Runs one case and says what came out differently.
fn run<S: Skill + 'static>(case: &Case) -> Option<String> {
    let mut host = case.host.test_host();
    let wrong = case
        .events
        .iter()
        .find_map(|event| {
            let Outcome { result, .. } = host.send::<S>(&event.kind, event.bytes());
            let result = result.map(crate::Response::into_bytes);
            let got = match &result {
                Ok(bytes) => Ok(bytes.as_deref()),
                Err(failure) => Err((failure.code, failure.message.as_str())),
            };
            event.mismatch(got)
        })
        .or_else(|| case.after.mismatch(&host));
    wrong.map(|why| format!("{}: {why}", case.name))
}

impl CaseHost {
    fn test_host(&self) -> TestHost {
        let mut host = TestHost::new().grant_memory(self.grants.memory);
        if self.state == CaseState::Kept {
            host = host.kept();
        }
        if self.grants.ai {
            host = host.grant_ai();
        }
        for (name, access) in &self.grants.shared_memory {
            host = host.grant_shared_memory(name, *access);
        }
        for rule in &self.grants.http {
            host = host.grant_http(rule);
        }
        for (key, value) in &self.config {
            host = host.config(key, value);
        }
        for (key, value) in &self.memory {
            host = host.memory(key, value.as_str());
        }
        for reply in self.ai.iter().flatten() {
            host = match reply {
                CaseReply::Text(text) => host.ai_reply(text),
                CaseReply::Error(name) => host.ai_failure(CaseReply::status(name)),
                CaseReply::Status(_) => panic!("an AI has no HTTP status: write `error`"),
            };
        }
        for reply in self.http.iter().flatten() {
            host = match reply {
                CaseReply::Text(text) => host.http_reply(200, text.as_str()),
                CaseReply::Status(status) => host.http_reply(*status, ""),
                CaseReply::Error(name) => host.http_failure(CaseReply::status(name)),
            };
        }
        host
    }
}

impl CaseAfter {
    fn mismatch(&self, host: &TestHost) -> Option<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let memory = host.keys().into_iter().map(|key| {
            let value = text(host.stored(&key).expect("a key that is listed has a value"));
            (key, value)
        });
        let log = host.log().iter().map(|line| format!("{}: {}", line.level.name(), line.message));
        let http = host.requests().iter().map(|request| (request.url.clone(), text(&request.body)));
        differ("memory", &self.memory, memory.collect())
            .or_else(|| differ("log", &self.log, log.collect()))
            .or_else(|| differ("prompts", &self.ai, host.prompts().to_vec()))
            .or_else(|| differ("requests", &self.http, http.collect()))
    }
}

fn differ<T: PartialEq + core::fmt::Debug>(what: &str, wanted: &Option<T>, got: T) -> Option<String> {
    let wanted = wanted.as_ref().filter(|wanted| **wanted != got)?;
    Some(format!("{what}: expected {wanted:?}, got {got:?}"))
}

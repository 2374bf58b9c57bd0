//! What is said of an event, for people or as one JSON object.

use cis_skill::{Error, Fault, LogLine, Receipt, Resource, Response, Status};
use serde_json::{Value as Json, json};

/// What came of an event, and of everything before it.
pub(crate) struct Report {
    /// What the skill is called, or its file where that is not known.
    pub(crate) skill: String,
    /// What the artifact cache did, once that is known: `off`, `hit`, `miss`, or what is wrong.
    pub(crate) cache: Option<String>,
    /// What the skill logged while it was loaded, when it was.
    pub(crate) init_log: Vec<LogLine>,
    pub(crate) result: Result<Response, Problem>,
}

/// Why there is no response.
pub(crate) enum Problem {
    /// The command line or the machine.
    Caller(String),
    /// The skill, or what it met.
    Skill(Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Problem::Skill(error)
    }
}

impl Report {
    /// A report on which nothing stands yet but what it is about.
    pub(crate) fn of(skill: String) -> Self {
        Report { skill, cache: None, init_log: Vec::new(), result: Ok(Response::empty()) }
    }

    /// What the skill logged while it was loaded and during the event.
    pub(crate) fn log(&self) -> impl Iterator<Item = &LogLine> {
        let later = match &self.result {
            Ok(response) => response.log(),
            Err(Problem::Skill(error)) => error.log(),
            Err(Problem::Caller(_)) => &[],
        };
        self.init_log.iter().chain(later)
    }

    pub(crate) fn receipt(&self) -> Option<&Receipt> {
        match &self.result {
            Ok(response) => response.receipt(),
            Err(Problem::Skill(error)) => error.receipt(),
            Err(Problem::Caller(_)) => None,
        }
    }

    /// The one object of `--json`.
    pub(crate) fn json(&self) -> Json {
        let (status, response, error) = match &self.result {
            Ok(response) => ("ok", body(response), Json::Null),
            Err(problem) => ("error", Json::Null, problem.json()),
        };
        let log = self.log().map(|line| json!({ "level": line.level.name(), "message": line.message }));
        json!({
            "skill": self.skill,
            "status": status,
            "response": response,
            "error": error,
            "log": log.collect::<Vec<_>>(),
            "cache": self.cache,
            "usage": usage(self.receipt()),
        })
    }
}

impl Problem {
    /// What happened, and which flag would change that.
    pub(crate) fn message(&self) -> String {
        match self {
            Problem::Caller(message) => message.clone(),
            // Memory and HTTP are always there.
            Problem::Skill(error) if error.code() == Status::NotConfigured.name() => {
                format!("{error}; `--ai-url` and `--ai-model` give it one")
            }
            Problem::Skill(error) => error.to_string(),
        }
    }

    fn json(&self) -> Json {
        let (kind, fault) = match self {
            Problem::Caller(_) => ("usage", Fault::Caller),
            Problem::Skill(error) => (error.code(), error.fault()),
        };
        json!({ "kind": kind, "fault": fault.name(), "message": self.message() })
    }
}

/// A response as JSON: its own where it is JSON, a string where it is text, else an array of its bytes.
fn body(response: &Response) -> Json {
    if response.body().is_empty() {
        return Json::Null;
    }
    match (response.json(), response.text()) {
        (Ok(value), _) => value,
        (_, Ok(text)) => Json::String(text.to_owned()),
        _ => Json::from(response.body().to_vec()),
    }
}

fn usage(receipt: Option<&Receipt>) -> Json {
    let host = |resource| receipt.map_or(0, |receipt| receipt.ledger.used().of(resource));
    let engine = |amount: fn(&Receipt) -> u64| receipt.map_or(0, amount);
    json!({
        "host_calls": host(Resource::HostCalls),
        "bytes_in": host(Resource::BytesIn),
        "bytes_out": host(Resource::BytesOut),
        "memory_bytes": engine(|receipt| receipt.memory_bytes),
        "fuel": engine(|receipt| receipt.fuel),
        "ai_tokens": host(Resource::AiTokens),
        "http_requests": host(Resource::HttpRequests),
        "wall_us": engine(|receipt| u64::try_from(receipt.wall.as_micros()).unwrap_or(u64::MAX)),
    })
}

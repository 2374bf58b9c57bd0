//! What lies behind the test host's door.

use std::borrow::ToOwned;
use std::collections::{BTreeMap, VecDeque};
use std::string::String;
use std::vec::Vec;

use cis_wasm_abi::{Level, Status, ceilings, key_entry_len, write_key_entry};

use super::outcome::LogLine;
use super::place::{Access, MemoryGrants, Place};
use super::urls::{Rule, permit};

/// One HTTP request that the skill sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where to, as the skill wrote it.
    pub url: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The host's side of a test: what the skill may do, what there is, and what it did.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) memory_grants: MemoryGrants,
    pub(super) ai_granted: bool,
    pub(super) http_rules: Vec<Rule>,
    pub(super) config: BTreeMap<String, Vec<u8>>,
    /// By namespace, then by key.
    pub(super) memory: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    pub(super) quota: Quota,
    /// What the AI will say; `None` when the host has none.
    pub(super) ai: Option<Script<String>>,
    /// What servers will answer, as HTTP status and body; `None` when the host has no HTTP.
    pub(super) http: Option<Script<(u16, Vec<u8>)>>,
    pub(super) prompts: Vec<String>,
    pub(super) requests: Vec<Request>,
    pub(super) log: Vec<LogLine>,
    pub(super) error_text: Option<String>,
    pub(super) mode: Mode,
}

/// What a service will say, in order.
type Script<T> = VecDeque<Result<T, Status>>;

/// What a namespace may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) keys: usize,
    pub(super) bytes: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Quota { keys: 10_000, bytes: 64 << 20 }
    }
}

/// What the skill asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask<'a> {
    AiChat { prompt: &'a str },
    ConfigGet { key: &'a str },
    HttpPost { url: &'a str, body: &'a [u8] },
    Log { level: Level, message: &'a str },
    MemoryDelete { key: &'a str },
    MemoryGet { key: &'a str },
    MemoryList { prefix: &'a str },
    MemorySet { key: &'a str, value: &'a [u8] },
    SetError { message: &'a str },
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Bytes(Vec<u8>),
    Status(Status),
}

/// Whether calls are done, done and noted, or answered from what was noted.
///
/// A fresh skill is initialised once, at load, and every event begins with the outcome. Natively there is no memory image
/// to begin with, so `init` runs again, and its calls are answered as they were the first time and have no effect.
#[derive(Debug, Default)]
pub(super) enum Mode {
    #[default]
    Live,
    Record(Vec<Reply>),
    Replay(VecDeque<Reply>),
}

impl World {
    pub(super) fn ask(&mut self, ask: Ask<'_>) -> Reply {
        if let Mode::Replay(replies) = &mut self.mode {
            return replies.pop_front().expect("`Skill::init` asks the same of its host every time");
        }
        let reply = match self.answer(ask) {
            Ok(reply) => reply,
            Err(status) => Reply::Status(status),
        };
        if let Mode::Record(replies) = &mut self.mode {
            replies.push(reply.clone());
        }
        reply
    }

    fn answer(&mut self, ask: Ask<'_>) -> Result<Reply, Status> {
        match ask {
            Ask::AiChat { prompt } => self.ai_chat(prompt),
            Ask::ConfigGet { key } => Ok(found(self.config.get(key))),
            Ask::HttpPost { url, body } => self.http_post(url, body),
            Ask::Log { level, message } => {
                self.log.push(LogLine { level, message: cut(message, ceilings::LOG_LINE) });
                Ok(Reply::Status(Status::Ok))
            }
            Ask::MemoryDelete { key } => {
                let place = Place::of_key(&self.memory_grants, key, Access::ReadWrite)?;
                let space = self.memory.entry(place.namespace()).or_default();
                let deleted = space.remove(place.key).is_some();
                Ok(Reply::Status(if deleted { Status::Ok } else { Status::NotFound }))
            }
            Ask::MemoryGet { key } => {
                let place = Place::of_key(&self.memory_grants, key, Access::Read)?;
                Ok(found(self.memory.get(&place.namespace()).and_then(|space| space.get(place.key))))
            }
            Ask::MemoryList { prefix } => self.memory_list(prefix),
            Ask::MemorySet { key, value } => self.memory_set(key, value),
            Ask::SetError { message } => {
                self.error_text = Some(cut(message, ceilings::ERROR_TEXT));
                Ok(Reply::Status(Status::Ok))
            }
        }
    }

    fn memory_set(&mut self, key: &str, value: &[u8]) -> Result<Reply, Status> {
        let place = Place::of_key(&self.memory_grants, key, Access::ReadWrite)?;
        within(value.len(), ceilings::VALUE)?;
        let space = self.memory.entry(place.namespace()).or_default();
        let others = space.iter().filter(|(key, _)| *key != place.key);
        let (keys, bytes) = others.fold((1, place.key.len() + value.len()), |(keys, bytes), (key, value)| {
            (keys + 1, bytes + key.len() + value.len())
        });
        if keys > self.quota.keys || bytes > self.quota.bytes {
            return Err(Status::QuotaExceeded);
        }
        space.insert(place.key.to_owned(), value.to_vec());
        Ok(Reply::Status(Status::Ok))
    }

    fn memory_list(&mut self, prefix: &str) -> Result<Reply, Status> {
        let place = Place::of_prefix(&self.memory_grants, prefix, Access::Read)?;
        let namespace = place.namespace();
        let mut list = Vec::new();
        for key in self.memory.get(&namespace).into_iter().flat_map(BTreeMap::keys) {
            if key.starts_with(place.key) {
                // A shared key is listed the way it is asked for.
                let written = namespace.clone() + key;
                let end = list.len();
                list.resize(end + key_entry_len(&written), 0);
                write_key_entry(&written, &mut list[end..]).expect("the list has room for the entry");
            }
        }
        within(list.len(), ceilings::KEY_LIST)?;
        Ok(Reply::Bytes(list))
    }

    fn ai_chat(&mut self, prompt: &str) -> Result<Reply, Status> {
        if !self.ai_granted {
            return Err(Status::Denied);
        }
        within(prompt.len(), ceilings::PROMPT)?;
        let script = self.ai.as_mut().ok_or(Status::NotConfigured)?;
        self.prompts.push(prompt.to_owned());
        let reply = script.pop_front().expect("the test scripts a reply for every question to the AI")?;
        within(reply.len(), ceilings::REPLY)?;
        Ok(Reply::Bytes(reply.into_bytes()))
    }

    fn http_post(&mut self, url: &str, body: &[u8]) -> Result<Reply, Status> {
        within(url.len(), ceilings::URL)?;
        within(body.len(), ceilings::HTTP_BODY)?;
        permit(&self.http_rules, url)?;
        let script = self.http.as_mut().ok_or(Status::NotConfigured)?;
        self.requests.push(Request { url: url.to_owned(), body: body.to_vec() });
        let (status, body) = script.pop_front().expect("the test scripts a response for every HTTP request")?;
        within(body.len(), ceilings::REPLY)?;
        if (200..300).contains(&status) { Ok(Reply::Bytes(body)) } else { Err(Status::UpstreamError) }
    }
}

fn found(value: Option<&Vec<u8>>) -> Reply {
    value.map_or(Reply::Status(Status::Ok), |value| Reply::Bytes(value.clone()))
}

fn within(len: usize, ceiling: usize) -> Result<(), Status> {
    if len > ceiling { Err(Status::TooLarge) } else { Ok(()) }
}

/// Cuts a text at a ceiling, at a character's edge.
fn cut(text: &str, ceiling: usize) -> String {
    text[..text.floor_char_boundary(ceiling)].to_owned()
}

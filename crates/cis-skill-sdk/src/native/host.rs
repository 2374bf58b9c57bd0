//! The test host itself.

use std::any::{Any, TypeId};
use std::boxed::Box;
use std::collections::BTreeMap;
use std::format;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::{String, ToString};
use std::vec::Vec;

use super::door::install;
use super::outcome::{Failure, LogLine, Outcome};
use super::place::{Access, is_name, split};
use super::urls::Rule;
use super::world::{Mode, Reply, Request, World};
use crate::skill::conclude;
use crate::{Error, Event, Level, Response, Skill, Status, ceilings, door};

/// A host for tests. What a test does not grant, the skill does not have; but it has its own memory, as with an empty
/// manifest.
///
/// ```
/// use cis_skill_sdk::native::TestHost;
/// use cis_skill_sdk::prelude::*;
///
/// #[derive(Default)]
/// pub struct Translator;
///
/// impl Skill for Translator {
///     fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
///         info!("{} bytes to translate", event.data().len());
///         Ok(Response::text(Ai::chat(&format!("In French: {}", event.text()?))?))
///     }
/// }
///
/// skill!(Translator);
///
/// let mut host = TestHost::new().grant_ai().ai_reply("bonjour").ai_failure(Status::TimedOut);
/// assert_eq!(host.send::<Translator>("translate", "hello").text(), "bonjour");
/// assert_eq!(host.prompts(), ["In French: hello"]);
///
/// let late = host.send::<Translator>("translate", "hello");
/// assert_eq!(late.log[0].message, "5 bytes to translate");
/// assert_eq!(late.failure().status(), Some(Status::TimedOut));
/// ```
#[derive(Default)]
pub struct TestHost {
    world: World,
    kept: bool,
    /// Kept skills by type. A test has one as a rule.
    skills: BTreeMap<TypeId, Box<dyn Any>>,
    /// What a fresh skill's `init` was answered, by type.
    inits: BTreeMap<TypeId, Vec<Reply>>,
}

impl TestHost {
    /// A host with nothing in it, for a fresh skill that has no more than its own memory.
    pub fn new() -> Self {
        TestHost::default()
    }

    /// Keeps the skill's value from event to event, as `state = "kept"` does.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.kept = true;
        self
    }

    /// Grants so much of the skill's own memory; without this, all.
    #[must_use]
    pub fn grant_memory(mut self, access: Access) -> Self {
        self.world.memory_grants.own = access;
        self
    }

    /// Grants so much of the shared namespace `name`.
    ///
    /// # Panics
    ///
    /// When `name` is not a name: 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`, beginning with a letter or digit.
    #[must_use]
    pub fn grant_shared_memory(mut self, name: &str, access: Access) -> Self {
        assert!(is_name(name), "`{name}` is not a namespace's name");
        self.world.memory_grants.shared.insert(name.to_string(), access);
        self
    }

    /// Grants the AI.
    #[must_use]
    pub fn grant_ai(mut self) -> Self {
        self.world.ai_granted = true;
        self
    }

    /// Grants HTTP requests under one more rule, written as in `permissions.http.allow`.
    ///
    /// # Panics
    ///
    /// When `rule` is not such a rule.
    #[must_use]
    pub fn grant_http(mut self, rule: &str) -> Self {
        match Rule::parse(rule) {
            Some(rule) => self.world.http_rules.push(rule),
            None => panic!("`{rule}` does not name where requests may go"),
        }
        self
    }

    /// Gives a setting a value, as JSON text.
    #[must_use]
    pub fn config_raw(mut self, key: &str, json: &str) -> Self {
        self.world.config.insert(key.to_string(), json.into());
        self
    }

    /// Gives a setting a value.
    ///
    /// # Panics
    ///
    /// When the value has no form in JSON.
    #[cfg(feature = "json")]
    #[must_use]
    pub fn config(self, key: &str, value: impl serde::Serialize) -> Self {
        let json = serde_json::to_string(&value).expect("a test's setting has a form in JSON");
        self.config_raw(key, &json)
    }

    /// Puts a value into memory; `@name/key` into a shared namespace.
    ///
    /// # Panics
    ///
    /// When `key` is not a key.
    #[must_use]
    pub fn memory(mut self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        let (namespace, key) = split(key);
        self.world.memory.entry(namespace).or_default().insert(key, value.into());
        self
    }

    /// Lets each namespace hold so many keys and bytes; without this, 10,000 keys and 64 MiB.
    #[must_use]
    pub fn quota(mut self, keys: usize, bytes: usize) -> Self {
        self.world.quota = super::world::Quota { keys, bytes };
        self
    }

    /// Scripts the AI's next reply. Without any script the host has no AI.
    #[must_use]
    pub fn ai_reply(mut self, text: impl Into<String>) -> Self {
        self.world.ai.get_or_insert_default().push_back(Ok(text.into()));
        self
    }

    /// Scripts a failure of the AI as its next reply.
    #[must_use]
    pub fn ai_failure(mut self, status: Status) -> Self {
        self.world.ai.get_or_insert_default().push_back(Err(status));
        self
    }

    /// Scripts the next HTTP response, by HTTP status and body. Without any script the host has no HTTP.
    #[must_use]
    pub fn http_reply(mut self, status: u16, body: impl Into<Vec<u8>>) -> Self {
        self.world.http.get_or_insert_default().push_back(Ok((status, body.into())));
        self
    }

    /// Scripts a failure of the network as the next HTTP response.
    #[must_use]
    pub fn http_failure(mut self, status: Status) -> Self {
        self.world.http.get_or_insert_default().push_back(Err(status));
        self
    }

    /// Sends an event to a skill. The first one initialises it.
    ///
    /// A skill that panics fails the event, and a kept one starts anew with the next, as after a trap.
    ///
    /// # Panics
    ///
    /// When the event is larger than [`ceilings::EVENT_TYPE`] or [`ceilings::EVENT_DATA`]: no skill would see it.
    #[track_caller]
    pub fn send<S: Skill + 'static>(&mut self, kind: &str, data: impl AsRef<[u8]>) -> Outcome {
        let data = data.as_ref();
        assert!(kind.len() <= ceilings::EVENT_TYPE, "the event's type is longer than a host would pass on");
        assert!(data.len() <= ceilings::EVENT_DATA, "the event is larger than a host would pass on");
        let (skill, started) = self.start::<S>();
        if let Err(failure) = started {
            let log = self.world.log.clone();
            return Outcome { result: Err(failure), log };
        }
        let before = self.world.log.len();
        let mut skill = skill;
        let result = self.attempt(|| skill.handle(Event::new(kind, data)));
        let trapped = matches!(&result, Err(Failure { code: None, .. }));
        if self.kept && !trapped {
            self.skills.insert(TypeId::of::<S>(), Box::new(skill));
        }
        Outcome { result: result.and_then(fitting), log: self.world.log[before..].to_vec() }
    }

    /// Ends a kept skill, as an unload does. `false` when there is none.
    pub fn shutdown<S: Skill + 'static>(&mut self) -> bool {
        let Some(skill) = self.skills.remove(&TypeId::of::<S>()) else { return false };
        let mut skill = skill.downcast::<S>().expect("a skill lies under its own type");
        self.run(|| skill.shutdown());
        true
    }

    /// Runs anything that calls the host, a helper function of a skill for one.
    pub fn run<R>(&mut self, work: impl FnOnce() -> R) -> R {
        install(&mut self.world, work)
    }

    /// A value in memory; `@name/key` from a shared namespace.
    pub fn stored(&self, key: &str) -> Option<&[u8]> {
        let (namespace, key) = split(key);
        self.world.memory.get(&namespace)?.get(&key).map(Vec::as_slice)
    }

    /// All keys in memory, the way the skill writes them, in order; shared ones last.
    pub fn keys(&self) -> Vec<String> {
        let all = self.world.memory.iter();
        all.flat_map(|(namespace, space)| space.keys().map(move |key| format!("{namespace}{key}"))).collect()
    }

    /// All lines logged, those of `init` among them.
    pub fn log(&self) -> &[LogLine] {
        &self.world.log
    }

    /// What the AI was asked.
    pub fn prompts(&self) -> &[String] {
        &self.world.prompts
    }

    /// The HTTP requests that were sent.
    pub fn requests(&self) -> &[Request] {
        &self.world.requests
    }

    /// The skill as an event finds it.
    fn start<S: Skill + 'static>(&mut self) -> (S, Result<(), Failure>) {
        let id = TypeId::of::<S>();
        if let Some(kept) = self.skills.remove(&id) {
            return (*kept.downcast::<S>().expect("a skill lies under its own type"), Ok(()));
        }
        let noted = if self.kept { None } else { self.inits.get(&id) };
        self.world.mode = match noted {
            Some(replies) => Mode::Replay(replies.iter().cloned().collect()),
            None => Mode::Record(Vec::new()),
        };
        let mut skill = S::default();
        let started = self.attempt(|| skill.init());
        if let (Mode::Record(replies), Ok(())) = (std::mem::take(&mut self.world.mode), &started) {
            self.inits.insert(id, replies);
        }
        (skill, started)
    }

    /// Runs a part of the skill, a panic of which is its failure and not the test's.
    fn attempt<T>(&mut self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Failure> {
        self.world.error_text = None;
        let ended =
            install(&mut self.world, || catch_unwind(AssertUnwindSafe(|| work().map_err(|error| conclude(&error)))));
        let failure = match ended {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(code)) => Failure { code: Some(code), message: self.world.error_text.take().unwrap_or_default() },
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().copied();
                let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
                let message = format!("panicked: {text}");
                install(&mut self.world, || door::log(Level::Error, message.as_bytes()));
                Failure { code: None, message }
            }
        };
        Err(failure)
    }
}

/// Refuses a response that no host would take.
fn fitting(response: Response) -> Result<Response, Failure> {
    let bytes = response.clone().into_bytes().unwrap_or_default().len();
    if bytes > ceilings::RESPONSE {
        let message = format!("the response has {bytes} bytes, more than {}", ceilings::RESPONSE);
        return Err(Failure { code: None, message });
    }
    Ok(response)
}

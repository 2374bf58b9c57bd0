//! What a skill finds behind the test host's door.

use cis_skill_sdk::native::{Access, TestHost};
use cis_skill_sdk::prelude::*;
use cis_skill_sdk::{Call, ceilings};

/// Does to its host what the event's type says.
#[derive(Default)]
pub struct Probe {
    events: u32,
    greeting: String,
}

impl Skill for Probe {
    fn init(&mut self) -> Result<(), Error> {
        if let Some(true) = Config::get("broken")? {
            return Err(Error::failed("the setting `broken` is set"));
        }
        let starts: u32 = Memory::json("starts")?.unwrap_or(0) + 1;
        Memory::set_json("starts", &starts)?;
        self.greeting = format!("start {starts}");
        info!("{}", self.greeting);
        Ok(())
    }

    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        self.events += 1;
        match event.kind() {
            "count" => Ok(Response::text(self.events)),
            "greeting" => Ok(Response::text(self.greeting.as_str())),
            "get" => Ok(Memory::get(event.text()?)?.map_or(Response::empty(), Response::bytes)),
            "set" => Memory::set(event.text()?, "value").map(|()| Response::empty()),
            "list" => Ok(Response::text(Memory::list(event.text()?)?.iter().collect::<Vec<_>>().join(" "))),
            "post" => Ok(Response::bytes(Http::post(event.text()?, "body")?)),
            "chat" => Ok(Response::text(Ai::chat(event.text()?)?)),
            "panic" => panic!("told to, with {} bytes", event.data().len()),
            "large" => Ok(Response::bytes(vec![0; ceilings::RESPONSE + 1])),
            "own code" => Err(Error::Skill { code: -123, text: "my own".into() }),
            "no error" => Err(Error::Skill { code: 7, text: "a failure is negative".into() }),
            _ => Err(event.unknown()),
        }
    }

    fn shutdown(&mut self) {
        info!("{} events", self.events);
    }
}

skill!(Probe);

#[test]
fn a_fresh_skill_forgets() {
    let mut host = TestHost::new();
    assert_eq!(host.send::<Probe>("count", "").text(), "1");
    assert_eq!(host.send::<Probe>("count", "").text(), "1");
    // It was started once, and every event begins with what that left.
    assert_eq!(host.send::<Probe>("greeting", "").text(), "start 1");
    assert_eq!(host.stored("starts"), Some(&b"1"[..]));
    assert_eq!(host.log().len(), 1);
    assert!(!host.shutdown::<Probe>());
}

#[test]
fn a_kept_skill_remembers_until_it_panics() {
    let mut host = TestHost::new().kept();
    assert_eq!(host.send::<Probe>("count", "").text(), "1");
    assert_eq!(host.send::<Probe>("nothing", "").failure().status(), Some(Status::InvalidArgument));
    assert_eq!(host.send::<Probe>("count", "").text(), "3");

    let panicked = host.send::<Probe>("panic", "xyz");
    assert_eq!(panicked.log.last().unwrap().message, "panicked: told to, with 3 bytes");
    assert_eq!(panicked.log.last().unwrap().level, Level::Error);
    let failure = panicked.failure();
    assert_eq!((failure.code, failure.message.as_str()), (None, "panicked: told to, with 3 bytes"));

    assert_eq!(host.send::<Probe>("count", "").text(), "1");
    assert_eq!(host.send::<Probe>("greeting", "").text(), "start 2");
    assert!(host.shutdown::<Probe>());
    assert_eq!(host.log().last().unwrap().message, "2 events");
}

#[test]
fn an_init_that_fails_refuses_the_skill() {
    let mut host = TestHost::new().config("broken", true);
    for _ in 0..2 {
        let failure = host.send::<Probe>("count", "").failure();
        assert_eq!((failure.code, failure.message.as_str()), (Some(Error::FAILED), "the setting `broken` is set"));
    }
    let failure = TestHost::new().config("broken", 7).send::<Probe>("count", "").failure();
    assert_eq!(failure.message, "broken: expected a boolean, found a number at byte 0");
}

#[test]
fn failures_have_codes_and_texts() {
    let mut host = TestHost::new();
    let failure = host.send::<Probe>("own code", "").failure();
    assert_eq!((failure.code, failure.status(), failure.message.as_str()), (Some(-123), None, "my own"));
    assert_eq!(host.send::<Probe>("no error", "").failure().code, Some(Error::FAILED));
    let failure = host.send::<Probe>("large", "").failure();
    assert_eq!((failure.code, failure.message.as_str()), (None, "the response has 16777217 bytes, more than 16777216"));
    let failure = host.send::<Probe>("chat", "hi").failure();
    assert_eq!(failure.message, "host_ai_chat: the skill was not granted this");
    assert_eq!(host.send::<Probe>("get", "no").result, Ok(Response::empty()));
}

#[test]
fn the_script_is_followed() {
    let mut host = TestHost::new()
        .grant_http("https://api.example.com")
        .http_reply(200, "fine")
        .http_reply(404, "")
        .http_failure(Status::TimedOut);
    let url = "https://api.example.com/x";
    assert_eq!(host.send::<Probe>("post", url).text(), "fine");
    assert_eq!(host.send::<Probe>("post", url).failure().status(), Some(Status::UpstreamError));
    assert_eq!(host.send::<Probe>("post", url).failure().status(), Some(Status::TimedOut));
    // One request too many is the test's to see.
    let failure = host.send::<Probe>("post", url).failure();
    assert_eq!(failure.message, "panicked: the test scripts a response for every HTTP request");
    assert_eq!(host.requests().len(), 4);
    assert_eq!((host.requests()[0].url.as_str(), &host.requests()[0].body[..]), (url, &b"body"[..]));
}

#[test]
fn memory_is_where_tests_put_and_find_it() {
    let mut host = TestHost::new()
        .grant_shared_memory("team", Access::Read)
        .memory("a", "1")
        .memory("@team/plan", "2")
        .quota(3, 100);
    assert_eq!(host.send::<Probe>("get", "@team/plan").text(), "2");
    assert_eq!(host.send::<Probe>("list", "@team/").text(), "@team/plan");
    assert_eq!(host.send::<Probe>("set", "@team/plan").failure().status(), Some(Status::Denied));
    assert_eq!(host.send::<Probe>("set", "b").result, Ok(Response::empty()));
    assert_eq!(host.send::<Probe>("set", "c").failure().status(), Some(Status::QuotaExceeded));
    assert_eq!(host.keys(), ["a", "b", "starts", "@team/plan"]);
    assert_eq!(host.run(|| Memory::delete("b")), Ok(true));
    assert_eq!(host.run(|| Memory::delete("b")), Ok(false));
    let denied = Error::Host { call: Call::MemoryDelete, code: Status::Denied.code() };
    assert_eq!(host.run(|| Memory::delete("@team/plan")), Err(denied));
}

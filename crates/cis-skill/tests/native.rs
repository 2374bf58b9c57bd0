//! Native skills reach the same host, through the same grants and budgets.

mod common;

use std::collections::BTreeMap;

use cis_skill::{
    Access, AiBackend, AiReply, AiRequest, Amounts, BackendError, Event, Fault, Grants, Host, InMemory, Level,
    RegisterOptions, Resource, Response, Skill, SkillContext, SkillManager, async_trait,
};
use common::{load, module};
use serde_json::json;

/// Does what the event's type says.
struct Doing(&'static str);

#[async_trait]
impl Skill for Doing {
    fn name(&self) -> &str {
        self.0
    }

    fn version(&self) -> &str {
        "1.0.0"
    }

    async fn handle_event(&self, ctx: &mut SkillContext, event: Event) -> cis_skill::Result<Response> {
        let text = String::from_utf8_lossy(event.data()).into_owned();
        match event.event_type() {
            "set" => ctx.memory_set(&text, "value").await.map(|()| Response::empty()),
            "get" => Ok(Response::new(ctx.memory_get(&text).await?.unwrap_or_default())),
            "delete" => Response::from_json(&ctx.memory_delete(&text).await?),
            "list" => Response::from_json(&ctx.memory_list(&text).await?),
            "ask" => ctx.ai_chat(&text).await.map(Response::new),
            "post" => ctx.http_post(&text, "body").await.map(Response::new),
            "log" => {
                for _ in 0..3 {
                    ctx.log(Level::Warn, &text)?;
                }
                Ok(Response::empty())
            }
            "config" => Response::from_json(&ctx.config::<u32>(&text)?),
            "panic" => panic!("{text}"),
            other => Err(cis_skill::Error::skill(format!("unknown event `{other}`"))),
        }
    }
}

struct Parrot;

#[async_trait]
impl AiBackend for Parrot {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        Ok(AiReply { text: request.prompt, prompt_tokens: 3, reply_tokens: 4 })
    }
}

fn manager() -> SkillManager {
    SkillManager::new(Host::builder().memory(InMemory::new()).ai(Parrot).build()).unwrap()
}

fn register(manager: &SkillManager, skill: Doing, options: RegisterOptions) {
    pollster::block_on(manager.register_with(skill, options)).unwrap();
}

/// The response's text, or the error's code.
fn send(manager: &SkillManager, skill: &str, event_type: &str, data: &str) -> String {
    match manager.send_event_blocking(skill, Event::new(event_type, data.to_owned())) {
        Ok(response) => response.text().unwrap().to_owned(),
        Err(error) => {
            assert!(error.receipt().is_some(), "every event has a receipt");
            error.code().to_owned()
        }
    }
}

#[test]
fn every_host_call_works_from_native_code() {
    let manager = manager();
    let grants = Grants { ai: true, ..Grants::default() };
    register(&manager, Doing("native"), RegisterOptions::default().grants(grants).config("n", 7));
    let send = |event_type, data| send(&manager, "native", event_type, data);
    assert_eq!(send("get", "a"), "");
    assert_eq!(send("set", "a"), "");
    assert_eq!(send("get", "a"), "value");
    assert_eq!(send("list", ""), "[\"a\"]");
    assert_eq!((send("delete", "a"), send("delete", "a")), ("true".into(), "false".into()));
    assert_eq!(send("ask", "hello"), "hello");
    assert_eq!((send("config", "n"), send("config", "m")), ("7".into(), "null".into()));
    assert_eq!(send("get", ""), "invalid_argument");
    assert_eq!(send("dance", ""), "skill_failed");
    assert_eq!(send("panic", "oh"), "skill_panicked");
    assert_eq!(send("get", "a"), "", "a panic is the event's end only");
}

#[test]
fn what_was_not_granted_is_denied() {
    let manager = manager();
    register(&manager, Doing("plain"), RegisterOptions::default());
    assert_eq!(send(&manager, "plain", "ask", "hello"), "denied");
    assert_eq!(send(&manager, "plain", "post", "https://example.com"), "denied");
    assert_eq!(send(&manager, "plain", "get", "@team/a"), "denied");

    let shared_memory = BTreeMap::from([("team".parse().unwrap(), Access::Read)]);
    let grants = Grants { memory: Access::None, shared_memory, ..Grants::default() };
    register(&manager, Doing("reader"), RegisterOptions::default().grants(grants));
    assert_eq!(send(&manager, "reader", "get", "a"), "denied");
    assert_eq!(send(&manager, "reader", "get", "@team/a"), "");
    assert_eq!(send(&manager, "reader", "set", "@team/a"), "denied");
}

#[test]
fn the_budget_holds_and_stands_in_the_receipt() {
    let manager = manager();
    let budget = Amounts::DEFAULT_LIMITS.with(Resource::LogLines, 2);
    register(&manager, Doing("chatty"), RegisterOptions::default().budget(budget));
    let error = manager.send_event_blocking("chatty", Event::new("log", "hm")).unwrap_err();
    assert_eq!((error.code(), error.fault()), ("out_of_log_lines", Fault::Guest));
    assert_eq!(error.log().len(), 2);
    assert_eq!(error.receipt().unwrap().ledger.used().of(Resource::LogLines), 2);

    let response = manager.send_event_blocking("chatty", Event::new("set", "k")).unwrap();
    assert_eq!(response.receipt().unwrap().ledger.used().of(Resource::MemoryWrites), 1);
}

#[test]
fn native_and_wasm_skills_share_what_both_were_granted_and_nothing_else() {
    let manager = manager();
    let shared_memory = BTreeMap::from([("team".parse().unwrap(), Access::ReadWrite)]);
    let grants = Grants { shared_memory, ..Grants::default() };
    register(&manager, Doing("native"), RegisterOptions::default().grants(grants));
    let reading = |key: &str| {
        let len = key.len();
        let data = format!(r#"(data (i32.const 1024) "{key}")"#);
        module(&data, &format!("(call $get (i32.const 1024) (i32.const {len}))"))
    };
    load(&manager, "shares", &reading("@team/k"), "[permissions.shared_memory]\nteam = \"read\"");
    load(&manager, "alone", &reading("@team/k"), "");
    load(&manager, "own", &reading("k"), "");
    send(&manager, "native", "set", "k");
    assert_eq!(send(&manager, "own", "x", ""), "", "a key of another skill's namespace");
    send(&manager, "native", "set", "@team/k");
    assert_eq!(send(&manager, "shares", "x", ""), "value");
    assert_eq!(send(&manager, "alone", "x", ""), "denied");
}

#[test]
fn settings_reach_a_wasm_skill_as_json() {
    let manager = manager();
    let reading = module(r#"(data (i32.const 1024) "url")"#, "(call $config (i32.const 1024) (i32.const 3))");
    let schema = "[config.url]\ntype = \"string\"\ndefault = \"a\"";
    load(&manager, "default", &reading, schema);
    assert_eq!(send(&manager, "default", "x", ""), "\"a\"");
    manager.load_wasm("given", &reading, common::options("given", schema).config("url", "b")).unwrap();
    assert_eq!(send(&manager, "given", "x", ""), "\"b\"");
    let wrong = manager.load_wasm("wrong", &reading, common::options("wrong", schema).config("url", json!(1)));
    assert_eq!(wrong.unwrap_err().code(), "bad_config");
}

//! Backends that send events to the skills that call them: so deep and no deeper, whoever waits how.
//!
//! Each case runs in a process of its own, because without an end to it the stack overflows, and that ends the process.

mod common;

use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use cis_skill::wasm::{Limits, MAX_NESTING, WasmRuntime};
use cis_skill::{
    AiBackend, AiReply, AiRequest, BackendError, BackendErrorKind, Error, Event, Fault, Grants, Host, RegisterOptions,
    Response, Skill, SkillContext, SkillManager, async_trait,
};
use common::{on_each_compiler, options, wat};
use pollster::block_on;

/// Asks the AI and answers with its reply. Works a bit before.
fn asking(work: u32) -> Vec<u8> {
    wat(&format!(
        r#"(module
            (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
            (memory (export "memory") 2)
            (func (export "skill_on_event") (param i32 i32) (param $data i32) (param $len i32) (result i64)
              (local $work i32) (local.set $work (i32.const {work}))
              (loop (br_if 0 (local.tee $work (i32.sub (local.get $work) (i32.const 1)))))
              (call $chat (local.get $data) (local.get $len))))"#
    ))
}

/// The same as a native skill.
struct Native;

#[async_trait]
impl Skill for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn version(&self) -> &str {
        "1.0.0"
    }

    async fn handle_event(&self, context: &mut SkillContext, _event: Event) -> Result<Response, Error> {
        Ok(Response::new(context.ai_chat("round").await?))
    }
}

/// How the AI waits for the event that it sends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// On the thread that it is asked on.
    Blocking,
    /// As any future does.
    Awaiting,
    /// The same, after it made whoever asks wait.
    AwaitingLater,
}

const HOWS: [How; 3] = [How::Blocking, How::Awaiting, How::AwaitingLater];

/// An AI that has a skill answer in its place: the skill that asks.
#[derive(Clone)]
struct Circle {
    how: How,
    /// How deep it stops by itself.
    stops_at: usize,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    skills: OnceLock<(SkillManager, &'static str)>,
    asked: Mutex<usize>,
    innermost: Mutex<Option<Error>>,
}

impl Circle {
    fn new(how: How, stops_at: usize) -> Self {
        Circle { how, stops_at, state: Arc::default() }
    }

    /// Sends a first event, and says what came of it and how many there were in all.
    fn turn(&self, manager: &SkillManager, skill: &'static str) -> (Result<Response, Error>, usize) {
        self.state.skills.set((manager.clone(), skill)).ok().expect("a circle is for one manager");
        let event = Event::new("go", "round");
        let result = match self.how {
            How::Blocking => manager.send_event_blocking(skill, event),
            How::Awaiting | How::AwaitingLater => block_on(manager.send_event(skill, event)),
        };
        (result, *self.state.asked.lock().unwrap())
    }

    fn innermost(&self) -> Error {
        self.state.innermost.lock().unwrap().clone().expect("an event was refused")
    }
}

#[async_trait]
impl AiBackend for Circle {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        let depth = {
            let mut asked = self.state.asked.lock().unwrap();
            *asked += 1;
            *asked
        };
        let reply = |text: &str| AiReply { text: text.into(), prompt_tokens: 1, reply_tokens: 1 };
        if depth == self.stops_at {
            return Ok(reply("the end"));
        }
        let (manager, skill) = self.state.skills.get().unwrap();
        let event = Event::new("go", request.prompt);
        if self.how == How::AwaitingLater {
            let mut first = true;
            std::future::poll_fn(|context| match std::mem::take(&mut first) {
                true => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                false => Poll::Ready(()),
            })
            .await;
        }
        let result = match self.how {
            How::Blocking => manager.send_event_blocking(skill, event),
            How::Awaiting | How::AwaitingLater => manager.send_event(skill, event).await,
        };
        match result {
            Ok(response) => Ok(reply(response.text().unwrap())),
            Err(error) => {
                self.state.innermost.lock().unwrap().get_or_insert_with(|| error.clone());
                Err(BackendError::new(BackendErrorKind::Failed, error.code()))
            }
        }
    }
}

/// A manager with a skill of each kind that asks this AI.
fn manager(runtime: &WasmRuntime, ai: Circle) -> SkillManager {
    let limits = Limits { deadline: Duration::from_secs(3600), ..Limits::default() };
    let host = Host::builder().ai(ai).build();
    let manager = SkillManager::builder().runtime(runtime.clone()).host(host).limits(limits).build().unwrap();
    let manifest = "permissions.ai = true\nlimits.deadline_ms = 3_600_000";
    for (name, work) in [("short", 1), ("long", 1_000_000)] {
        manager.load_wasm(name, &asking(work), options(name, manifest)).unwrap();
    }
    let grants = Grants { ai: true, ..Grants::default() };
    block_on(manager.register_with(Native, RegisterOptions::default().grants(grants))).unwrap();
    manager
}

/// Runs a test again in a process of its own, where `case` is it.
#[track_caller]
fn in_a_process(test: &str, case: impl FnOnce()) {
    const CHILD: &str = "CIS_TEST_NESTED_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return case();
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{}\n{out}\n{err}", child.status);
    assert!(out.contains("1 passed"), "{out}");
}

#[test]
fn a_circle_has_an_end() {
    in_a_process("a_circle_has_an_end", || {
        on_each_compiler(|runtime| {
            for how in HOWS {
                for skill in ["short", "long", "native"] {
                    println!("{how:?}, {skill}");
                    let circle = Circle::new(how, usize::MAX);
                    let (result, asked) = circle.turn(&manager(&runtime, circle.clone()), skill);
                    let innermost = circle.innermost();
                    assert_eq!((innermost.code(), innermost.fault()), ("nested_too_deep", Fault::Caller));
                    let text = innermost.to_string();
                    assert!(text.contains("16 events") && text.contains("backend"), "{text}");
                    assert_eq!(asked, usize::from(MAX_NESTING));
                    assert_eq!(result.unwrap_err().code(), "backend_failed");
                }
            }
        });
    });
}

#[test]
fn what_is_not_too_deep_is_answered() {
    in_a_process("what_is_not_too_deep_is_answered", || {
        on_each_compiler(|runtime| {
            for how in HOWS {
                for skill in ["short", "long", "native"] {
                    println!("{how:?}, {skill}");
                    let circle = Circle::new(how, MAX_NESTING.into());
                    let manager = manager(&runtime, circle.clone());
                    let (result, asked) = circle.turn(&manager, skill);
                    assert_eq!((result.unwrap().text().unwrap(), asked), ("the end", MAX_NESTING.into()));
                    // What was counted in is counted out.
                    *circle.state.asked.lock().unwrap() = 0;
                    let again = block_on(manager.send_event(skill, Event::new("go", "round")));
                    assert_eq!(again.unwrap().text().unwrap(), "the end");
                }
            }
        });
    });
}

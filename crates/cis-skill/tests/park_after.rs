//! How long an event keeps its thread while a host call waits is its manifest's to say, and whoever loads it may say less.

mod common;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use cis_skill::recording::Recorder;
use cis_skill::{
    AiBackend, AiReply, AiRequest, BackendError, Event, Host, LoadOptions, SkillManager, WasmRuntime, async_trait,
};

/// Answers when it is polled the second time.
struct Late;

#[async_trait]
impl AiBackend for Late {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        let mut polled = false;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        Ok(AiReply { text: request.prompt, prompt_tokens: 1, reply_tokens: 1 })
    }
}

/// Works for so long that it is sent to a worker, and then asks the AI.
const WORKING: &str = r#"(module
    (import "env" "host_ai_chat" (func $ask (param i32 i32) (result i64)))
    (memory (export "memory") 1)
    (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (local $left i32)
        (local.set $left (i32.const 1000000))
        (loop (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (call $ask (local.get 2) (local.get 3))))"#;

/// How often an event was put down.
fn parks(manifest: &str, narrow: impl Fn(LoadOptions) -> LoadOptions) -> usize {
    let runtime = WasmRuntime::builder().workers(1).build().unwrap();
    let manager = SkillManager::builder().runtime(runtime).host(Host::builder().ai(Late).build()).build().unwrap();
    let manifest = format!("permissions.ai = true\n{manifest}");
    let options = narrow(common::options("asks", &manifest).recordable(true));
    manager.load_wasm("asks", &common::wat(WORKING), options).unwrap();
    let recorder = Recorder::new();
    let event = Event::new("go", "hello").recorded_by(&recorder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(manager.send_event("asks", event)).unwrap().text().unwrap(), "hello");
    recorder.take().pop().unwrap().unwrap().rests().len()
}

#[test]
fn an_event_keeps_its_thread_for_as_long_as_the_manifest_says() {
    assert_eq!(parks("limits.park_after_ms = 3600000", |options| options), 0);
    assert_eq!(parks("limits.park_after_ms = 0", |options| options), 1);
}

#[test]
fn whoever_loads_a_skill_can_say_less_and_not_more() {
    assert_eq!(parks("limits.park_after_ms = 3600000", |options| options.park_after(Duration::ZERO)), 1);
    assert_eq!(parks("limits.park_after_ms = 0", |options| options.park_after(Duration::MAX)), 1);
}

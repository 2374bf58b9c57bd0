//! Durable events that carry a recorder: each attempt leaves a recording, and each recording replays.
#![cfg(feature = "redb")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cis_skill::recording::{Recorder, Recording, Replay, Verdict};
use cis_skill::wasm::{Compiler, WasmRuntime};
use cis_skill::{
    AiBackend, AiReply, AiRequest, BackendError, Error, Event, FailurePolicy, Host, JournalStore, LoadOptions,
    ManagerBuilder, RedbMemory, SkillManager, async_trait,
};
use common::{COMPILERS, eventually, options, wat};
use pollster::block_on;

/// Logs the event's data, puts it under itself, asks the AI about it, puts that there, and does `then`.
fn asking(then: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module
            (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
            (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
            (import "env" "host_log" (func $log (param i32 i32 i32)))
            (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
            (memory (export "memory") 2)
            (func (export "skill_on_event") (param i32 i32) (param $data i32) (param $len i32) (result i64)
              (local $reply i64)
              (call $log (i32.const 1) (local.get $data) (local.get $len))
              (drop (call $set (local.get $data) (local.get $len) (local.get $data) (local.get $len)))
              (local.set $reply (call $chat (local.get $data) (local.get $len)))
              (drop (call $get (local.get $data) (local.get $len)))
              {then}))"#
    ))
}

const ANSWER: &str = "(local.get $reply)";
const ASK_AGAIN: &str = "(call $chat (i32.const 0) (i32.const 0))";

/// Answers a little later than it is asked; an empty prompt never.
struct Late;

#[async_trait]
impl AiBackend for Late {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        if request.prompt.is_empty() {
            std::future::pending::<()>().await;
        }
        let (answer, answered) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            answer.send(())
        });
        // The event may be given up meanwhile.
        let _ = answered.await;
        Ok(AiReply { text: "yes".into(), prompt_tokens: 2, reply_tokens: 1 })
    }
}

fn manager(path: &Path, compiler: Compiler) -> (Arc<RedbMemory>, ManagerBuilder) {
    let store = Arc::new(RedbMemory::open(path).unwrap());
    let host = Host::builder().durable(store.clone()).ai(Late).build();
    let at_once = FailurePolicy { back_off: Duration::ZERO, ..FailurePolicy::default() };
    let runtime = WasmRuntime::builder().compiler(compiler).build().unwrap();
    (store, SkillManager::builder().runtime(runtime).host(host).failure_policy(at_once))
}

fn recordable(deadline_ms: u32) -> LoadOptions {
    options("asking", &format!("permissions.ai = true\nlimits.deadline_ms = {deadline_ms}")).recordable(true)
}

/// Sends an event, and gives its response, if it has one, and its recordings, after they went through bytes.
fn record(manager: &SkillManager) -> (Option<String>, Vec<Recording>) {
    let recorder = Recorder::new();
    let event = Event::new("go", "why").recorded_by(&recorder);
    let handle = block_on(manager.send_event_durable("asking", event)).unwrap();
    let response = block_on(handle.outcome()).ok().map(|response| response.text().unwrap().to_owned());
    let taken = recorder.take().into_iter();
    (response, taken.map(|recording| Recording::from_bytes(recording.unwrap().to_bytes()).unwrap()).collect())
}

#[track_caller]
fn replays(recording: &Recording, verdict: &Verdict) {
    assert_eq!(recording.times().len(), recording.calls().len());
    for compiler in COMPILERS {
        assert_eq!(recording.replay(&Replay::new().compiler(*compiler)).unwrap().verdict, *verdict);
    }
}

#[test]
fn a_durable_event_is_recorded_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    for compiler in COMPILERS {
        let (_, manager) = manager(&folder.path().join(compiler.name()), *compiler);
        let manager = manager.build().unwrap();
        manager.load_wasm("asking", &asking(ANSWER), recordable(60_000)).unwrap();
        let (response, recordings) = record(&manager);
        let [recording] = &recordings[..] else { panic!("{recordings:?}") };
        assert_eq!(response.as_deref(), Some("yes"));
        assert_eq!((recording.ending().result.as_deref().unwrap(), recording.calls().len()), (&b"yes"[..], 4));
        replays(recording, &Verdict::Same);
        // What is not durable is recorded with the same calls.
        let recorder = Recorder::new();
        let event = Event::new("go", "why").recorded_by(&recorder);
        manager.send_event_blocking("asking", event).unwrap();
        assert_eq!(recorder.take().remove(0).unwrap().calls(), recording.calls());
    }
}

#[test]
fn each_attempt_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    for compiler in COMPILERS {
        let (store, manager) = manager(&folder.path().join(compiler.name()), *compiler);
        let manager = manager.build().unwrap();
        manager.load_wasm("asking", &asking("unreachable"), recordable(60_000)).unwrap();
        let (response, recordings) = record(&manager);
        assert_eq!((response, recordings.len()), (None, 3));
        for recording in &recordings {
            assert_eq!(recording.ending().result.as_ref().unwrap_err().code, "trap_unreachable");
            assert_eq!((recording.calls(), recording.ending()), (recordings[0].calls(), recordings[0].ending()));
            replays(recording, &Verdict::Same);
        }
        let letter = block_on(store.dead_letters()).unwrap().remove(0);
        // The last read was not stored with anything.
        assert_eq!(letter.kept.journal, recordings[0].calls()[..3]);
    }
}

#[test]
fn an_attempt_that_was_stopped_replays_to_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for compiler in COMPILERS {
        let (_, manager) = manager(&folder.path().join(compiler.name()), *compiler);
        let manager = manager.durable_attempts(2).build().unwrap();
        manager.load_wasm("asking", &asking(ASK_AGAIN), recordable(300)).unwrap();
        let (response, recordings) = record(&manager);
        assert_eq!((response, recordings.len()), (None, 2));
        for recording in &recordings {
            assert_eq!(recording.ending().result.as_ref().unwrap_err().code, "deadline_exceeded");
            replays(recording, &Verdict::SameUntilStopped);
        }
    }
}

/// Has an event fail, and a later attempt of it go on with another module. Gives that one's error, and its recording.
fn with_another_module(file: &Path, compiler: Compiler, other: &[u8]) -> (Error, Result<Recording, Error>) {
    let (store, manager) = manager(file, compiler);
    let back_off = Duration::from_millis(50);
    let policy = FailurePolicy { in_a_row: 0, back_off, longest_back_off: back_off };
    let manager = manager.failure_policy(policy).durable_attempts(10).build().unwrap();
    manager.load_wasm("asking", &asking("unreachable"), recordable(100)).unwrap();
    let recorder = Recorder::new();
    let event = Event::new("go", "why").recorded_by(&recorder);
    let handle = block_on(manager.send_event_durable("asking", event)).unwrap();
    eventually(|| block_on(store.unfinished()).unwrap()[0].failures > 0);
    manager.reload("asking", other, recordable(100)).unwrap();
    let error = block_on(handle.outcome()).unwrap_err();
    let recording = recorder.take().pop().unwrap();
    (error, recording.map(|recording| Recording::from_bytes(recording.to_bytes()).unwrap()))
}

#[test]
fn an_attempt_that_went_another_way_is_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let other = wat(r#"(module
            (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
            (memory (export "memory") 1)
            (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (call $get (i32.const 0) (i32.const 1))))"#);
    for compiler in COMPILERS {
        let (error, recording) = with_another_module(&folder.path().join(compiler.name()), *compiler, &other);
        assert_eq!(error.code(), "diverged");
        let error = recording.unwrap_err();
        assert_eq!(error.code(), "cannot_record");
        assert!(error.to_string().contains("host_memory_get"), "{error}");
    }
}

#[test]
fn an_attempt_that_did_not_come_as_far_as_the_first_is_recorded_as_far_as_it_came() {
    let folder = tempfile::tempdir().unwrap();
    for (then, code, verdict) in
        [("(loop (br 0))", "deadline_exceeded", Verdict::SameUntilStopped), ("", "trap_unreachable", Verdict::Same)]
    {
        let other = wat(&format!(
            r#"(module
                (import "env" "host_log" (func $log (param i32 i32 i32)))
                (memory (export "memory") 1)
                (func (export "skill_on_event") (param i32 i32) (param $data i32) (param $len i32) (result i64)
                  (call $log (i32.const 1) (local.get $data) (local.get $len)) {then} unreachable))"#
        ));
        for compiler in COMPILERS {
            let file = folder.path().join(format!("{code}-{}", compiler.name()));
            let (error, recording) = with_another_module(&file, *compiler, &other);
            assert_eq!(error.code(), code);
            let recording = recording.unwrap();
            assert_eq!(recording.calls().len(), 1);
            replays(&recording, &verdict);
        }
    }
}

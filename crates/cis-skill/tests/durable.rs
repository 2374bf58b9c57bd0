//! Durable events: what they did is done once, also when they fail, and when their process ends half way.
#![cfg(feature = "redb")]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cis_skill::host::HostCall;
use cis_skill::{
    AiBackend, AiReply, AiRequest, BackendError, Event, FailurePolicy, Fault, Host, InMemory, JournalStore,
    LoadOptions, MemoryBackend, Namespace, RedbMemory, SkillManager, SkillState, async_trait,
};
use common::{eventually, options, wat};
use pollster::block_on;

/// Adds one to the byte under the key that is the event's data; does `then`.
fn counting(then: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module
            (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
            (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
            (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
            (memory (export "memory") 2)
            (data (i32.const 1024) "first?second?")
            (func $count (param $key i32) (param $len i32)
              (local $packed i64) (local $value i32) (local $ptr i32)
              (local.set $packed (call $get (local.get $key) (local.get $len)))
              (local.set $ptr (i32.wrap_i64 (i64.shr_u (local.get $packed) (i64.const 32))))
              (if (local.get $ptr) (then (local.set $value (i32.load8_u (local.get $ptr)))))
              (i32.store8 (i32.const 1500) (i32.add (local.get $value) (i32.const 1)))
              (drop (call $set (local.get $key) (local.get $len) (i32.const 1500) (i32.const 1))))
            (func (export "skill_on_event")
              (param $type i32) (param $type_len i32) (param $data i32) (param $len i32) (result i64)
              (call $count (local.get $data) (local.get $len))
              {then}))"#
    ))
}

const ANSWER: &str = "(i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.const 5))";

/// Asks the AI twice, counts after each.
const ASK: &str = "(drop (call $chat (i32.const 1024) (i32.const 6)))
    (call $count (local.get $data) (local.get $len))
    (call $chat (i32.const 1030) (i32.const 7))";

const ASKS: &str = "[permissions]\nai = true\n[limits]\ndeadline_ms = 60000";

/// Answers the prompts that it knows, and keeps those who ask anything else waiting.
#[derive(Clone, Default)]
struct Oracle {
    knows: Vec<&'static str>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Oracle {
    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl AiBackend for Oracle {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        let key = request.idempotency_key.expect("the event is durable");
        self.asked.lock().unwrap().push((request.prompt.clone(), key));
        if !self.knows.contains(&&*request.prompt) {
            std::future::pending::<()>().await;
        }
        Ok(AiReply { text: "yes".into(), prompt_tokens: 2, reply_tokens: 1 })
    }
}

fn manager(path: &Path, ai: Oracle) -> (Arc<RedbMemory>, SkillManager) {
    let store = Arc::new(RedbMemory::open(path).unwrap());
    let host = Host::builder().durable(store.clone()).ai(ai).build();
    let at_once = FailurePolicy { back_off: Duration::ZERO, ..FailurePolicy::default() };
    (store, SkillManager::builder().host(host).failure_policy(at_once).build().unwrap())
}

/// A manager whose skills, and events that failed, are left alone for so long.
fn patient_manager(path: &Path, policy: FailurePolicy) -> (Arc<RedbMemory>, SkillManager) {
    let store = Arc::new(RedbMemory::open(path).unwrap());
    let host = Host::builder().durable(store.clone()).build();
    (store, SkillManager::builder().host(host).failure_policy(policy).build().unwrap())
}

fn count(store: &RedbMemory, key: &str) -> Option<u8> {
    let namespace = Namespace::of_skill(&"counter".parse().unwrap());
    block_on(store.get(&namespace, key)).unwrap().map(|value| value[0])
}

#[test]
fn an_event_is_accepted_handled_and_over() {
    let folder = tempfile::tempdir().unwrap();
    let (store, manager) = manager(&folder.path().join("agent.redb"), Oracle::default());
    manager.load_wasm("counter", &counting(ANSWER), LoadOptions::default()).unwrap();
    let accepted = block_on(manager.send_event_durable("counter", Event::new("count", "a"))).unwrap();
    let id = accepted.id();
    assert_eq!(block_on(accepted.outcome()).unwrap().text().unwrap(), "first");
    // Nobody waits for this one.
    drop(block_on(manager.send_event_durable("counter", Event::new("count", "a"))).unwrap());
    assert!(block_on(manager.shutdown()).is_empty());
    assert_eq!(count(&store, "a"), Some(2));
    let end = block_on(manager.durable_end(id)).unwrap().unwrap();
    assert_eq!((end.error, end.body.as_deref()), (None, Some(&b"first"[..])));
    assert!(block_on(manager.recover()).unwrap().is_empty());
}

#[test]
fn only_what_can_be_run_again_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (_, manager) = manager(&folder.path().join("agent.redb"), Oracle::default());
    manager.load_wasm("kept", &counting(ANSWER), options("kept", "state = \"kept\"")).unwrap();
    let refused = block_on(manager.send_event_durable("kept", Event::tick(0))).unwrap_err();
    assert_eq!(refused.code(), "not_durable");
    assert!(refused.to_string().contains("kept"), "{refused}");

    let manager = SkillManager::new(InMemory::new()).unwrap();
    manager.load_wasm("counter", &counting(ANSWER), LoadOptions::default()).unwrap();
    let refused = block_on(manager.send_event_durable("counter", Event::tick(0))).unwrap_err();
    assert!(refused.to_string().contains("HostBuilder::durable"), "{refused}");
}

#[test]
fn what_keeps_failing_becomes_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let (store, manager) = manager(&folder.path().join("agent.redb"), Oracle::default());
    manager.load_wasm("counter", &counting("unreachable"), LoadOptions::default()).unwrap();
    let accepted = block_on(manager.send_event_durable("counter", Event::new("count", "a"))).unwrap();
    let id = accepted.id();
    assert_eq!(block_on(accepted.outcome()).unwrap_err().code(), "trap_unreachable");
    let letters = block_on(manager.dead_letters()).unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.kept.id, letter.kept.failures, letter.kept.journal.len()), (id, 3, 2));
    assert!(matches!(letter.kept.journal[1].call, HostCall::MemorySet { .. }));
    assert!(letter.why.contains("trapped"), "{}", letter.why);
    assert!(block_on(manager.recover()).unwrap().is_empty());
    // Three attempts, one effect.
    assert_eq!(count(&store, "a"), Some(1));

    // A better module goes on where the first one stopped.
    manager.reload("counter", &counting(ANSWER), LoadOptions::default()).unwrap();
    let again = block_on(manager.retry(id)).unwrap().unwrap();
    assert_eq!(block_on(again.outcome.unwrap().outcome()).unwrap().text().unwrap(), "first");
    assert_eq!(count(&store, "a"), Some(1));
    assert!(block_on(manager.retry(id)).unwrap().is_none());
}

#[test]
fn an_event_that_failed_is_left_alone_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let long = Duration::from_secs(3_600);
    let policy = FailurePolicy { back_off: long, longest_back_off: long, ..FailurePolicy::default() };
    let (store, manager) = patient_manager(&folder.path().join("agent.redb"), policy);
    manager.load_wasm("counter", &counting("unreachable"), LoadOptions::default()).unwrap();
    let accepted = block_on(manager.send_event_durable("counter", Event::new("count", "a"))).unwrap();
    eventually(|| block_on(store.unfinished()).unwrap()[0].failures == 1);
    // A manager that shuts down does not wait for it.
    assert!(block_on(manager.shutdown()).is_empty());
    assert_eq!(block_on(accepted.outcome()).unwrap_err().code(), "not_active");
    assert_eq!(block_on(store.unfinished()).unwrap()[0].failures, 1);
}

#[test]
fn an_event_waits_for_the_skill_that_it_made_fail() {
    let folder = tempfile::tempdir().unwrap();
    let short = Duration::from_millis(5);
    let policy = FailurePolicy { in_a_row: 1, back_off: short, longest_back_off: 4 * short };
    let (_store, manager) = patient_manager(&folder.path().join("agent.redb"), policy);
    manager.load_wasm("counter", &counting("unreachable"), LoadOptions::default()).unwrap();
    let accepted = block_on(manager.send_event_durable("counter", Event::new("count", "a"))).unwrap();
    assert_eq!(block_on(accepted.outcome()).unwrap_err().code(), "trap_unreachable");
    assert_eq!(manager.info("counter").unwrap().state, SkillState::Failed);
    assert_eq!(block_on(manager.dead_letters()).unwrap()[0].kept.failures, 3);
}

#[test]
fn a_dead_letter_can_be_discarded() {
    let folder = tempfile::tempdir().unwrap();
    let (_, manager) = manager(&folder.path().join("agent.redb"), Oracle::default());
    manager.load_wasm("counter", &counting("unreachable"), LoadOptions::default()).unwrap();
    let accepted = block_on(manager.send_event_durable("counter", Event::new("count", "a"))).unwrap();
    let id = accepted.id();
    assert_eq!(block_on(accepted.outcome()).unwrap_err().code(), "trap_unreachable");
    assert!(block_on(manager.durable_end(id)).unwrap().is_none());
    assert!(block_on(manager.discard(id)).unwrap());
    assert!(block_on(manager.dead_letters()).unwrap().is_empty());
    assert_eq!(block_on(manager.durable_end(id)).unwrap().unwrap().error.as_deref(), Some("discarded"));
    assert!(!block_on(manager.discard(id)).unwrap());
}

#[test]
fn another_process_goes_on_where_the_first_one_was() {
    let folder = tempfile::tempdir().unwrap();
    let (path, later) = (folder.path().join("agent.redb"), folder.path().join("later.redb"));
    let first = Oracle { knows: vec!["first?"], ..Oracle::default() };
    let (_store, before) = manager(&path, first.clone());
    before.load_wasm("counter", &counting(ASK), options("counter", ASKS)).unwrap();
    let accepted = block_on(before.send_event_durable("counter", Event::new("count", "a"))).unwrap();
    while first.asked().len() < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    // The event waits, so nothing is written: this is the file that a crash would leave now.
    std::fs::copy(&path, &later).unwrap();

    let second = Oracle { knows: vec!["second?"], ..Oracle::default() };
    let (store, after) = manager(&later, second.clone());
    let unloaded = block_on(after.recover()).unwrap();
    assert_eq!(unloaded[0].outcome.as_ref().unwrap_err().code(), "unknown_skill");
    after.load_wasm("counter", &counting(ASK), options("counter", ASKS)).unwrap();
    let mut recovered = block_on(after.recover()).unwrap();
    assert_eq!((recovered.len(), recovered[0].id), (1, accepted.id()));
    assert!(block_on(after.recover()).unwrap().is_empty(), "an event was resumed twice");
    let outcome = recovered.remove(0).outcome.unwrap();
    assert_eq!(block_on(outcome.outcome()).unwrap().text().unwrap(), "yes");
    assert_eq!(count(&store, "a"), Some(2));
    // The first question was answered before; the second one is the same as before.
    assert_eq!(second.asked(), first.asked()[1..]);
    assert_ne!(first.asked()[0].1, first.asked()[1].1);
}

/// The file that a crash would leave of an event that waits for the second question.
fn left_by_a_crash(folder: &Path) -> std::path::PathBuf {
    let (path, later) = (folder.join("agent.redb"), folder.join("later.redb"));
    let oracle = Oracle { knows: vec!["first?"], ..Oracle::default() };
    let (_store, manager) = manager(&path, oracle.clone());
    manager.load_wasm("counter", &counting(ASK), options("counter", ASKS)).unwrap();
    let accepted = block_on(manager.send_event_durable("counter", Event::new("count", "a"))).unwrap();
    while oracle.asked().len() < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(accepted);
    std::fs::copy(&path, &later).unwrap();
    later
}

fn resumed(store: &RedbMemory) -> u32 {
    block_on(store.unfinished()).unwrap()[0].resumed
}

#[test]
fn a_recovery_that_does_not_begin_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, manager) = manager(&left_by_a_crash(folder.path()), Oracle::default());
    // Not loaded, not active, paused.
    assert_eq!(block_on(manager.recover()).unwrap()[0].outcome.as_ref().unwrap_err().code(), "unknown_skill");
    manager.load_wasm("counter", &counting(ASK), options("counter", ASKS).activate(false)).unwrap();
    assert_eq!(block_on(manager.recover()).unwrap()[0].outcome.as_ref().unwrap_err().code(), "not_active");
    manager.activate("counter").unwrap();
    manager.pause("counter").unwrap();
    let waits = block_on(manager.recover()).unwrap().remove(0).outcome.unwrap();
    assert_eq!(resumed(&store), 0);
    manager.deactivate("counter").unwrap();
    assert_eq!(block_on(waits.outcome()).unwrap_err().code(), "event_withdrawn");
    assert_eq!(resumed(&store), 0);
}

#[test]
fn how_often_an_event_is_resumed_is_a_setting() {
    let folder = tempfile::tempdir().unwrap();
    let mut path = left_by_a_crash(folder.path());
    for life in 1..=3 {
        let oracle = Oracle::default();
        let store = Arc::new(RedbMemory::open(&path).unwrap());
        let host = Host::builder().durable(store.clone()).ai(oracle.clone()).build();
        let manager = SkillManager::builder().host(host).durable_recoveries(2).build().unwrap();
        manager.load_wasm("counter", &counting(ASK), options("counter", ASKS)).unwrap();
        let mut recovered = block_on(manager.recover()).unwrap();
        let outcome = recovered.remove(0).outcome;
        if life == 3 {
            let error = outcome.unwrap_err();
            assert_eq!((error.code(), error.fault()), ("resumed_too_often", Fault::Backend));
            let letter = block_on(manager.dead_letters()).unwrap().remove(0);
            assert_eq!((letter.kept.resumed, letter.kept.journal.len()), (2, 5));
            // Tried anew, it has as many recoveries before it as any other.
            let again = block_on(manager.retry(letter.kept.id)).unwrap().unwrap();
            drop(again.outcome.unwrap());
            return;
        }
        drop(outcome.unwrap());
        while oracle.asked().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(resumed(&store), life);
        assert!(block_on(manager.recover()).unwrap().is_empty(), "it is in the air");
        // The event waits, so nothing is written: this is the file that a crash would leave now.
        let next = folder.path().join(format!("{life}.redb"));
        std::fs::copy(&path, &next).unwrap();
        path = next;
    }
}

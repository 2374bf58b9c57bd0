//! A durable event that takes its process down is not resumed for ever, and takes no other event with it.
//!
//! A child process (this program again) lives with the events and is aborted by one of them, over and over on one file.
#![cfg(all(feature = "redb", unix))]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use cis_skill::host::HostCall;
use cis_skill::{
    AiBackend, AiReply, AiRequest, BackendError, DurableHandle, Event, Host, JournalStore, MemoryBackend, Namespace,
    RedbMemory, SkillManager, async_trait,
};
use common::{options, wat};
use pollster::block_on;

const FILE: &str = "CIS_TEST_POISON_FILE";
const FIRST: &str = "CIS_TEST_POISON_FIRST";
const INNOCENT: usize = 6;

/// Puts a 1 under the event's data, and asks the AI about it.
fn asking() -> Vec<u8> {
    wat(r#"(module
        (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
        (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
        (memory (export "memory") 2) (data (i32.const 0) "\01")
        (func (export "skill_on_event") (param i32 i32) (param $data i32) (param $len i32) (result i64)
          (drop (call $set (local.get $data) (local.get $len) (i32.const 0) (i32.const 1)))
          (call $chat (local.get $data) (local.get $len))))"#)
}

/// Aborts the process for `poison`, and lets all others wait for a while.
struct Deadly;

#[async_trait]
impl AiBackend for Deadly {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        if request.prompt == "poison" {
            std::process::abort();
        }
        let (answer, answered) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            // Mostly long enough for the poison to act before any other event ends.
            std::thread::sleep(Duration::from_millis(100));
            answer.send(())
        });
        // The event may be given up meanwhile.
        let _ = answered.await;
        Ok(AiReply { text: "yes".into(), prompt_tokens: 1, reply_tokens: 1 })
    }
}

fn store(path: &Path) -> Arc<RedbMemory> {
    Arc::new(RedbMemory::open(path).unwrap())
}

fn manager(store: Arc<RedbMemory>) -> SkillManager {
    let manager = SkillManager::new(Host::builder().durable(store).ai(Deadly).build()).unwrap();
    manager.load_wasm("asking", &asking(), options("asking", "permissions.ai = true")).unwrap();
    manager
}

fn send(manager: &SkillManager, data: String) -> DurableHandle {
    block_on(manager.send_event_durable("asking", Event::new("go", data))).unwrap()
}

/// One life: accepts events if it is the first, and brings those that there are to their ends.
fn live(path: &Path) {
    let manager = manager(store(path));
    if std::env::var_os(FIRST).is_some() {
        // The skill is paused until all of them are in the store.
        manager.pause("asking").unwrap();
        let sent = (0..INNOCENT).map(|number| format!("innocent-{number}")).chain(["poison".to_owned()]);
        let sent: Vec<_> = sent.map(|data| send(&manager, data)).collect();
        manager.resume("asking").unwrap();
        sent.into_iter().for_each(|handle| drop(block_on(handle.outcome())));
        return;
    }
    for recovered in block_on(manager.recover()).unwrap() {
        if let Ok(handle) = recovered.outcome {
            block_on(handle.outcome()).unwrap();
        }
    }
    // An outcome may be told a little before it is stored.
    assert!(block_on(manager.shutdown()).is_empty());
}

#[test]
fn poison_is_given_up_and_nothing_else() {
    if let Some(path) = std::env::var_os(FILE) {
        return live(path.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.redb");
    let mut aborted = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "poison_is_given_up_and_nothing_else", "--nocapture"]).env(FILE, &path);
        if aborted == 0 {
            child.env(FIRST, "1");
        }
        let Output { status, stderr, .. } = child.output().unwrap();
        if status.success() {
            break;
        }
        assert_eq!(status.signal(), Some(6), "{status}: {}", String::from_utf8_lossy(&stderr));
        aborted += 1;
        assert!(aborted < 10, "the poison is resumed for ever");
    }
    // It was begun once, and resumed three times.
    assert_eq!(aborted, 4);
    let store = store(&path);
    let letters = block_on(store.dead_letters()).unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(letter.kept.event.data, "poison");
    assert!(letter.why.contains("3 times"), "{}", letter.why);
    assert!(matches!(letter.kept.journal[0].call, HostCall::MemorySet { .. }), "{:?}", letter.kept.journal);
    assert!(block_on(store.unfinished()).unwrap().is_empty());
    let keys = block_on(store.list(&Namespace::of_skill(&"asking".parse().unwrap()), "innocent", 1000)).unwrap();
    assert_eq!(keys.len(), INNOCENT);
}

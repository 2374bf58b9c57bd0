//! A sender that stops waiting ends its event, and nothing of it stays.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cis_skill::{Event, Response, Skill, SkillContext, async_trait};
use common::{Gate, eventually, load, manager, manager_with, module, on_each_compiler, tokio_threads, waiting};

#[test]
fn a_dropped_future_ends_an_event_that_waits_for_a_backend() {
    on_each_compiler(|runtime| {
        for state in ["fresh", "kept"] {
            let gate = Gate::closed();
            let manager = manager_with(&runtime, gate.clone());
            load(&manager, "wait", &waiting(), &format!("state = \"{state}\""));
            let tokio = tokio_threads();
            tokio.block_on(async {
                let sent = tokio::spawn(manager.send_event("wait", Event::new("test", "a")));
                gate.await_arrivals(1);
                sent.abort();
                assert!(sent.await.unwrap_err().is_cancelled());
                let info = manager.info("wait").unwrap();
                assert_eq!((info.running, info.events.cancelled), (0, 1));
                // The skill serves the next event, and nothing holds it back from going.
                gate.open(1);
                let next = manager.send_event("wait", Event::new("test", "b")).await.unwrap();
                assert_eq!(next.text().unwrap(), "b");
                manager.unload("wait").await.unwrap();
            });
        }
    });
}

#[test]
fn a_dropped_future_ends_an_event_that_computes() {
    on_each_compiler(|runtime| {
        let manager = manager(&runtime);
        // Without cancelling, fuel and deadline would let it run for an hour.
        let limits = "[limits]\nfuel = 9000000000000000000\ndeadline_ms = 3600000";
        load(&manager, "spin", &module("", "(loop (br 0)) unreachable"), &format!("state = \"kept\"\n{limits}"));
        tokio_threads().block_on(async {
            for _ in 0..3 {
                let sent = tokio::spawn(manager.send_event("spin", Event::tick(0)));
                eventually(|| manager.info("spin").unwrap().running == 1);
                sent.abort();
                assert!(sent.await.unwrap_err().is_cancelled());
            }
            assert_eq!(manager.info("spin").unwrap().running, 0);
            // A kept skill has one event at a time: its shutdown comes only after the guest has really stopped.
            manager.unload("spin").await.unwrap();
        });
    });
}

#[test]
fn a_future_that_was_never_polled_sent_nothing() {
    let manager = manager(&cis_skill::WasmRuntime::new().unwrap());
    load(&manager, "log", &common::appending(), "");
    drop(manager.send_event("log", Event::new("test", "a")));
    let response = manager.send_event_blocking("log", Event::new("test", "b")).unwrap();
    assert_eq!(response.text().unwrap(), "b");
    assert_eq!(manager.info("log").unwrap().events.cancelled, 0);
}

/// A native skill that never answers, and counts how many of its events are alive.
struct Never(Arc<AtomicUsize>);

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Skill for Never {
    fn name(&self) -> &str {
        "never"
    }

    fn version(&self) -> &str {
        "1.0.0"
    }

    async fn handle_event(&self, _ctx: &mut SkillContext, _event: Event) -> cis_skill::Result<Response> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let _alive = Alive(self.0.clone());
        std::future::pending().await
    }
}

#[test]
fn a_native_skills_event_is_dropped_with_its_future() {
    let manager = manager(&cis_skill::WasmRuntime::new().unwrap());
    let alive = Arc::new(AtomicUsize::new(0));
    tokio_threads().block_on(async {
        manager.register(Never(alive.clone())).await.unwrap();
        let sent = tokio::spawn(manager.send_event("never", Event::tick(0)));
        eventually(|| alive.load(Ordering::SeqCst) == 1);
        sent.abort();
        assert!(sent.await.unwrap_err().is_cancelled());
        assert_eq!(alive.load(Ordering::SeqCst), 0);
        manager.unload("never").await.unwrap();
    });
}

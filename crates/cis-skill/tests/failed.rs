//! A skill whose events fail too often in a row is put in `Failed`, says so, and is tried again.
//!
//! Back-offs here are zero or so long that no test sees their end.

mod common;

use std::time::Duration;

use cis_skill::wasm::{Limits, WasmRuntime};
use cis_skill::{
    BackendError, BackendErrorKind, Bytes, Error, ErrorKind, Event, FailurePolicy, Fault, Host, InMemory, LoadOptions,
    MemoryBackend, Namespace, Quota, RegisterOptions, Response, Skill, SkillContext, SkillHealth, SkillManager,
    SkillState, async_trait,
};
use common::{Gate, echo, eventually, load, module, on_each_compiler};

const LONG: Duration = Duration::from_secs(3_600);

fn event(data: &str) -> Event {
    Event::new("test", data.to_owned())
}

fn manager_with(runtime: &WasmRuntime, memory: impl MemoryBackend, in_a_row: u32, back_off: Duration) -> SkillManager {
    SkillManager::builder()
        .runtime(runtime.clone())
        .host(Host::builder().memory(memory).build())
        .limits(Limits { deadline: LONG, ..Limits::default() })
        .failure_policy(FailurePolicy { in_a_row, back_off, longest_back_off: LONG })
        .build()
        .unwrap()
}

fn manager(runtime: &WasmRuntime, in_a_row: u32, back_off: Duration) -> SkillManager {
    manager_with(runtime, InMemory::new(), in_a_row, back_off)
}

/// Does what the first byte of the event's data says: `t` traps, `e` answers with an error, `s` reads a memory key that
/// cannot be read and passes the error on, `g` waits at the gate, everything else answers with the data.
fn moody() -> Vec<u8> {
    module(
        r#"(data (i32.const 1024) "gate")"#,
        "(local $first i32)
         (local.set $first (i32.load8_u (local.get $data)))
         (if (i32.eq (local.get $first) (i32.const 116)) (then unreachable))
         (if (i32.eq (local.get $first) (i32.const 101)) (then (return (call $status (i32.const -7)))))
         (if (i32.eq (local.get $first) (i32.const 115)) (then
            (return (call $get (i32.const 1024) (i32.const 2)))))
         (if (i32.eq (local.get $first) (i32.const 103)) (then (drop (call $get (i32.const 1024) (i32.const 4)))))
         (call $pack (local.get $data) (local.get $data_len))",
    )
}

#[track_caller]
fn assert_refused(result: cis_skill::Result<Response>) -> Error {
    let error = result.expect_err("the skill is failed");
    assert_eq!((error.code(), error.fault()), ("skill_failed_state", Fault::Guest), "{error}");
    assert!(error.receipt().is_none(), "nothing ran");
    error
}

#[track_caller]
fn send(manager: &SkillManager, data: &str, expected: Result<&str, &str>) {
    let result = manager.send_event_blocking("moody", event(data));
    assert_eq!(result.as_ref().map(|response| response.text().unwrap()).map_err(Error::code), expected);
}

fn health(manager: &SkillManager) -> (SkillState, SkillHealth) {
    let info = manager.info("moody").unwrap();
    (info.state, info.health)
}

#[test]
fn a_skill_that_keeps_trapping_is_refused_events() {
    on_each_compiler(|runtime| {
        for state in ["fresh", "kept"] {
            let manager = manager(&runtime, 3, LONG);
            load(&manager, "moody", &moody(), &format!("state = \"{state}\""));
            load(&manager, "well", &echo(), "");
            for data in ["t", "t", "a", "t", "t", "e", "t", "t"] {
                let answer = match data {
                    "t" => Err("trap_unreachable"),
                    "e" => Err("skill_failed"),
                    data => Ok(data),
                };
                send(&manager, data, answer);
            }
            assert_eq!((health(&manager).0, health(&manager).1.failures_in_a_row), (SkillState::Active, 2));
            send(&manager, "t", Err("trap_unreachable"));
            let (state, health) = health(&manager);
            assert_eq!((state, health.failures_in_a_row), (SkillState::Failed, 3));
            assert_eq!((health.last_failure, health.trying), (Some("trap_unreachable"), false));
            assert!(health.back_off.unwrap() > Duration::ZERO);

            let error = assert_refused(manager.send_event_blocking("moody", event("a")));
            assert!(matches!(error.kind(), ErrorKind::BackingOff { health, .. } if health.back_off.unwrap() <= LONG));
            let text = error.to_string();
            assert!(
                text.starts_with("`moody` is failed: 3 events in a row, the last one with trap_unreachable;"),
                "{text}"
            );
            assert!(text.contains("try again in 3") && text.ends_with("or activate or reload it"), "{text}");
            let refused = pollster::block_on(manager.send_event("moody", event("a")));
            assert_refused(refused);
            assert_eq!(manager.send_event_blocking("well", event("a")).unwrap().text().unwrap(), "a");
        }
    });
}

#[test]
fn after_the_back_off_one_event_tries_it() {
    let runtime = WasmRuntime::new().unwrap();
    let gate = Gate::closed();
    let manager = manager_with(&runtime, gate.clone(), 2, Duration::ZERO);
    load(&manager, "moody", &moody(), "");
    send(&manager, "t", Err("trap_unreachable"));
    send(&manager, "t", Err("trap_unreachable"));
    assert_eq!(health(&manager).0, SkillState::Failed);
    // A try that fails: it stays failed. Twice nothing is nothing, so the next one may try at once.
    send(&manager, "t", Err("trap_unreachable"));
    assert_eq!((health(&manager).0, health(&manager).1.failures_in_a_row), (SkillState::Failed, 3));
    // A try that says nothing about the skill.
    common::tokio_current().block_on(async {
        let trying = tokio::spawn(manager.send_event("moody", event("g")));
        tokio::task::yield_now().await;
        gate.await_arrivals(1);
        assert!(health(&manager).1.trying);
        trying.abort();
        assert!(trying.await.unwrap_err().is_cancelled());
    });
    assert_eq!((health(&manager).0, health(&manager).1.trying), (SkillState::Failed, false));
    // A try that goes well; while it runs, no other is let through.
    std::thread::scope(|scope| {
        let trying = scope.spawn(|| manager.send_event_blocking("moody", event("good")));
        gate.await_arrivals(2);
        let error = assert_refused(manager.send_event_blocking("moody", event("a")));
        assert!(error.to_string().ends_with("an event is trying it; try again when that has ended"), "{error}");
        gate.open(2);
        assert_eq!(trying.join().unwrap().unwrap().text().unwrap(), "good");
    });
    assert_eq!(health(&manager), (SkillState::Active, SkillHealth::default()));
    send(&manager, "a", Ok("a"));
}

#[test]
fn activate_and_reload_bring_it_back_by_hand() {
    on_each_compiler(|runtime| {
        let manager = manager(&runtime, 1, LONG);
        load(&manager, "moody", &moody(), "");
        type Hand = fn(&SkillManager) -> cis_skill::Result<()>;
        let by_hand: [Hand; 3] = [
            |manager| manager.activate("moody"),
            |manager| manager.reload("moody", &moody(), common::options("moody", "")),
            |manager| manager.deactivate("moody").and_then(|()| manager.activate("moody")),
        ];
        for bring_back in by_hand {
            send(&manager, "t", Err("trap_unreachable"));
            assert_refused(manager.send_event_blocking("moody", event("a")));
            bring_back(&manager).unwrap();
            assert_eq!(health(&manager), (SkillState::Active, SkillHealth::default()));
            send(&manager, "a", Ok("a"));
        }
        // A reload that fails leaves it as it is.
        send(&manager, "t", Err("trap_unreachable"));
        manager.reload("moody", b"no wasm", LoadOptions::default()).unwrap_err();
        assert_refused(manager.send_event_blocking("moody", event("a")));
    });
}

#[test]
fn events_of_before_do_not_count_afterwards() {
    let runtime = WasmRuntime::new().unwrap();
    let gate = Gate::closed();
    let manager = manager_with(&runtime, gate.clone(), 1, LONG);
    let late =
        module(r#"(data (i32.const 1024) "gate")"#, "(drop (call $get (i32.const 1024) (i32.const 4))) unreachable");
    load(&manager, "moody", &late, "");
    std::thread::scope(|scope| {
        let old = scope.spawn(|| manager.send_event_blocking("moody", event("a")));
        gate.await_arrivals(1);
        manager.reload("moody", &moody(), common::options("moody", "")).unwrap();
        gate.open(1);
        assert_eq!(old.join().unwrap().unwrap_err().code(), "trap_unreachable");
    });
    assert_eq!(health(&manager), (SkillState::Active, SkillHealth::default()));
    send(&manager, "a", Ok("a"));
}

/// A memory that nothing can be read from.
struct Broken;

#[async_trait]
impl MemoryBackend for Broken {
    async fn get(&self, _: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        match key {
            "gate" => std::future::pending().await,
            _ => Err(BackendError::new(BackendErrorKind::Failed, "the disk is gone")),
        }
    }

    async fn set(&self, _: &Namespace, _: &str, _: Bytes, _: Quota) -> Result<(), BackendError> {
        Ok(())
    }

    async fn delete(&self, _: &Namespace, _: &str) -> Result<bool, BackendError> {
        Ok(false)
    }

    async fn list(&self, _: &Namespace, _: &str, _: usize) -> Result<Vec<String>, BackendError> {
        Ok(Vec::new())
    }
}

#[test]
fn what_is_not_the_skills_fault_does_not_count() {
    on_each_compiler(|runtime| {
        let manager = manager_with(&runtime, Broken, 1, LONG);
        let options = common::options("moody", "").deadline(Duration::from_millis(100));
        manager.load_wasm("moody", &moody(), options).unwrap();
        let too_large = "x".repeat(32 << 20);
        for _ in 0..3 {
            send(&manager, "e", Err("skill_failed"));
            send(&manager, "s", Err("backend_failed"));
            send(&manager, &too_large, Err("event_too_large"));
            // The deadline in a backend's call is the backend's.
            let error = manager.send_event_blocking("moody", event("g")).unwrap_err();
            if error.fault() == Fault::Backend {
                assert_eq!((error.code(), health(&manager).0), ("deadline_exceeded", SkillState::Active));
            } else {
                // Too slow a machine to get that far in time.
                manager.activate("moody").unwrap();
            }
        }
    });
}

#[test]
fn limits_and_bad_pointers_count() {
    on_each_compiler(|runtime| {
        let manager = manager(&runtime, 1, LONG);
        let failing = [
            ("(loop (br 0)) (i64.const 0)", "fuel = 1000000", "out_of_fuel"),
            ("(loop (br 0)) (i64.const 0)", "deadline_ms = 20\nfuel = 9000000000000000000", "deadline_exceeded"),
            ("(call $pack (i32.const -16) (i32.const 8))", "", "bad_pointer"),
            (
                "(call $log (i32.const 1) (i32.const 0) (i32.const 1)) (call $log (i32.const 1) (i32.const 0) (i32.const 1))
                 (i64.const 0)",
                "log_lines = 1",
                "out_of_log_lines",
            ),
        ];
        for (body, limit, code) in failing {
            load(&manager, "moody", &module("", body), &format!("[limits]\n{limit}"));
            send(&manager, "a", Err(code));
            assert_eq!(health(&manager).0, SkillState::Failed, "{code}");
            pollster::block_on(manager.unload("moody")).unwrap();
        }
    });
}

/// A native skill that panics, fails or answers as its event says.
struct Native;

#[async_trait]
impl Skill for Native {
    fn name(&self) -> &str {
        "moody"
    }

    fn version(&self) -> &str {
        "1.0.0"
    }

    fn subscriptions(&self) -> Vec<&str> {
        vec!["test"]
    }

    async fn handle_event(&self, _ctx: &mut SkillContext, event: Event) -> cis_skill::Result<Response> {
        match &event.data()[..] {
            b"p" => panic!("oh"),
            b"e" => Err(Error::skill("no")),
            _ => Ok(Response::empty()),
        }
    }
}

#[test]
fn a_native_skill_fails_by_panicking() {
    let manager = manager(&WasmRuntime::new().unwrap(), 2, Duration::ZERO);
    pollster::block_on(manager.register_with(Native, RegisterOptions::default())).unwrap();
    send(&manager, "p", Err("skill_panicked"));
    send(&manager, "e", Err("skill_failed"));
    send(&manager, "p", Err("skill_panicked"));
    send(&manager, "p", Err("skill_panicked"));
    assert_eq!(health(&manager).0, SkillState::Failed);
    // A broadcast tries it as well: a skill that is sent nothing else would stay failed for ever.
    let answers = pollster::block_on(manager.broadcast(event("a")));
    assert!(answers[0].1.is_ok());
    assert_eq!(health(&manager).0, SkillState::Active);
}

#[test]
fn a_failed_skill_can_be_unloaded() {
    let manager = manager(&WasmRuntime::new().unwrap(), 1, LONG);
    load(&manager, "moody", &moody(), "state = \"kept\"");
    send(&manager, "t", Err("trap_unreachable"));
    pollster::block_on(manager.unload("moody")).unwrap();
    load(&manager, "moody", &moody(), "");
    send(&manager, "a", Ok("a"));
    eventually(|| manager.info("moody").unwrap().running == 0);
}

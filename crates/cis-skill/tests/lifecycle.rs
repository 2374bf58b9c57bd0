//! Where a skill stands, what that does to its events, and which ways there are between.

mod common;

use std::future::Future;

use cis_skill::{
    Error, ErrorKind, Event, FailurePolicy, InMemory, LoadOptions, Response, Skill, SkillContext, SkillManager,
    SkillState, async_trait,
};
use common::{Gate, echo, eventually, load, manager, manager_with, module, on_each_compiler, saying, waiting};

fn event(data: &str) -> Event {
    Event::new("test", data.to_owned())
}

#[track_caller]
fn assert_code<T: std::fmt::Debug>(result: Result<T, Error>, code: &str) -> Error {
    let error = result.expect_err("it is refused");
    assert_eq!(error.code(), code, "{error}");
    error
}

/// Brings a skill named `echo` into a state.
fn in_state(manager: &SkillManager, state: SkillState) {
    let wasm = if state == SkillState::Failed { module("", "unreachable") } else { echo() };
    manager.load_wasm("echo", &wasm, LoadOptions::default().activate(state != SkillState::Inactive)).unwrap();
    match state {
        SkillState::Paused => manager.pause("echo").unwrap(),
        SkillState::Failed => {
            for _ in 0..FailurePolicy::default().in_a_row {
                assert_code(manager.send_event_blocking("echo", event("a")), "trap_unreachable");
            }
        }
        _ => {}
    }
    assert_eq!(manager.info("echo").unwrap().state, state);
}

#[test]
fn every_transition_is_legal_or_an_error_that_names_both_states() {
    use SkillState::{Active, Failed, Inactive, Paused};
    type Change = fn(&SkillManager) -> cis_skill::Result<()>;
    let changes: [(&str, Change); 5] = [
        ("activate", |manager| manager.activate("echo")),
        ("deactivate", |manager| manager.deactivate("echo")),
        ("pause", |manager| manager.pause("echo")),
        ("resume", |manager| manager.resume("echo")),
        ("reload", |manager| manager.reload("echo", &saying("new"), LoadOptions::default())),
    ];
    let legal = [
        (Inactive, "activate", Active),
        (Failed, "activate", Active),
        (Active, "deactivate", Inactive),
        (Failed, "deactivate", Inactive),
        (Paused, "deactivate", Inactive),
        (Active, "pause", Paused),
        (Paused, "resume", Active),
        (Active, "reload", Active),
        (Inactive, "reload", Inactive),
        (Paused, "reload", Paused),
        (Failed, "reload", Active),
    ];
    let runtime = cis_skill::WasmRuntime::new().unwrap();
    for from in [Active, Failed, Inactive, Paused] {
        for (name, change) in changes {
            let manager = manager(&runtime);
            in_state(&manager, from);
            let result = change(&manager);
            match legal.iter().find(|(origin, legal, _)| (*origin, *legal) == (from, name)) {
                Some((_, _, to)) => {
                    result.unwrap();
                    assert_eq!(manager.info("echo").unwrap().state, *to, "{name} from {from}");
                }
                None => {
                    let error = assert_code(result, "illegal_transition");
                    let to = match name {
                        "activate" | "resume" => Active,
                        "deactivate" => Inactive,
                        _ => Paused,
                    };
                    let text = error.to_string();
                    assert!(text.contains(&format!("is {from} and cannot become {to} by `{name}`")), "{text}");
                    assert_eq!(manager.info("echo").unwrap().state, from, "a refused {name} changes nothing");
                }
            }
        }
    }
}

#[test]
fn an_inactive_skill_refuses_events_until_it_is_activated() {
    on_each_compiler(|runtime| {
        let manager = manager(&runtime);
        in_state(&manager, SkillState::Inactive);
        let error = assert_code(manager.send_event_blocking("echo", event("a")), "not_active");
        assert_eq!(error.to_string(), "`echo` is inactive and takes no events; activate it first");
        manager.activate("echo").unwrap();
        assert_eq!(manager.send_event_blocking("echo", event("a")).unwrap().text().unwrap(), "a");
    });
}

#[test]
fn a_name_is_one_skills_until_it_has_gone() {
    let runtime = cis_skill::WasmRuntime::new().unwrap();
    let manager = manager(&runtime);
    let load = |name: &str| manager.load_wasm(name, &echo(), LoadOptions::default());
    load("one").unwrap();
    assert_code(load("one"), "name_taken");
    assert_code(load("One!"), "bad_name");
    let error = assert_code(manager.send_event_blocking("oen", event("a")), "unknown_skill");
    assert_eq!(error.to_string(), "there is no skill `oen`; did you mean `one`?");

    // A failed load gives its name back.
    assert_code(manager.load_wasm("two", b"no wasm", LoadOptions::default()), "invalid_module");
    load("two").unwrap();
    pollster::block_on(manager.unload("one")).unwrap();
    load("one").unwrap();
    let names: Vec<String> = manager.list().into_iter().map(|info| info.name.to_string()).collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn a_paused_skill_queues_up_to_its_bound_and_serves_in_order() {
    on_each_compiler(|runtime| {
        let manager = SkillManager::builder()
            .runtime(runtime)
            .host(cis_skill::Host::builder().memory(InMemory::new()).build())
            .queue_bound(4)
            .build()
            .unwrap();
        load(&manager, "log", &common::appending(), "state = \"kept\"");
        manager.pause("log").unwrap();
        common::tokio_threads().block_on(async {
            let queued: Vec<_> = (0..4)
                .map(|index| {
                    let sent = tokio::spawn(manager.send_event("log", event(&index.to_string())));
                    eventually(|| manager.info("log").unwrap().queued == index + 1);
                    sent
                })
                .collect();
            let error = assert_code(manager.send_event("log", event("5")).await, "queue_full");
            assert_eq!(
                error.to_string(),
                "`log` is paused and its queue of 4 events is full; resume it, or send again later"
            );
            manager.resume("log").unwrap();
            let mut answers = Vec::new();
            for sent in queued {
                answers.push(sent.await.unwrap().unwrap().text().unwrap().to_owned());
            }
            assert_eq!(answers, ["0", "01", "012", "0123"]);
            assert_eq!(manager.send_event("log", event("4")).await.unwrap().text().unwrap(), "01234");
        });
        let info = manager.info("log").unwrap();
        assert_eq!((info.queued, info.running, info.events.ok), (0, 0, 5));
    });
}

#[test]
fn a_sender_that_gives_up_leaves_the_queue() {
    let runtime = cis_skill::WasmRuntime::new().unwrap();
    let manager = SkillManager::builder().runtime(runtime).queue_bound(1).build().unwrap();
    manager.load_wasm("echo", &echo(), LoadOptions::default()).unwrap();
    manager.pause("echo").unwrap();
    common::tokio_current().block_on(async {
        let gone = tokio::spawn(manager.send_event("echo", event("a")));
        tokio::task::yield_now().await;
        assert_eq!(manager.info("echo").unwrap().queued, 1);
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        assert_eq!(manager.info("echo").unwrap().queued, 0);
        let stays = tokio::spawn(manager.send_event("echo", event("b")));
        tokio::task::yield_now().await;
        manager.resume("echo").unwrap();
        assert_eq!(stays.await.unwrap().unwrap().text().unwrap(), "b");
    });
    assert_eq!(manager.info("echo").unwrap().events.ok, 1);
}

fn shut_down(manager: &SkillManager) -> cis_skill::Result<()> {
    let failed = pollster::block_on(manager.shutdown());
    failed.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
}

#[test]
fn whatever_ends_a_pause_answers_the_queued_events() {
    type End = fn(&SkillManager) -> cis_skill::Result<()>;
    let ends: [(End, &str); 3] = [
        (|manager| manager.deactivate("echo"), "inactive"),
        (|manager| pollster::block_on(manager.unload("echo")), "unloading"),
        (shut_down, "unloading"),
    ];
    let runtime = cis_skill::WasmRuntime::new().unwrap();
    for (end, state) in ends {
        let manager = manager(&runtime);
        in_state(&manager, SkillState::Paused);
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| manager.send_event_blocking("echo", event("a")));
            eventually(|| manager.info("echo").unwrap().queued == 1);
            end(&manager).unwrap();
            let error = assert_code(sent.join().unwrap(), "event_withdrawn");
            assert_eq!(
                error.to_string(),
                format!("`echo` became {state} while the event waited for it to be resumed; send it again")
            );
        });
    }
}

#[test]
fn running_events_end_as_they_would_have() {
    on_each_compiler(|runtime| {
        let gate = Gate::closed();
        let manager = manager_with(&runtime, gate.clone());
        load(&manager, "wait", &waiting(), "");
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| manager.send_event_blocking("wait", event("a")));
            gate.await_arrivals(1);
            assert_eq!(manager.info("wait").unwrap().running, 1);
            manager.pause("wait").unwrap();
            manager.deactivate("wait").unwrap();
            let unloaded = scope.spawn(|| pollster::block_on(manager.unload("wait")));
            eventually(|| manager.info("wait").unwrap().state == SkillState::Unloading);
            assert_code(manager.send_event_blocking("wait", event("b")), "not_active");
            assert!(!unloaded.is_finished(), "an event is running");
            gate.open(1);
            assert_eq!(sent.join().unwrap().unwrap().text().unwrap(), "a");
            unloaded.join().unwrap().unwrap();
        });
        assert_code(manager.info("wait"), "unknown_skill");
    });
}

#[test]
fn an_unload_that_was_given_up_can_be_finished() {
    let gate = Gate::closed();
    let manager = manager_with(&cis_skill::WasmRuntime::new().unwrap(), gate.clone());
    load(&manager, "wait", &waiting(), "");
    common::tokio_current().block_on(async {
        let sent = tokio::spawn(manager.send_event("wait", event("a")));
        tokio::task::yield_now().await;
        let again = manager.clone();
        let unloading = tokio::spawn(async move { again.unload("wait").await });
        tokio::task::yield_now().await;
        unloading.abort();
        assert!(unloading.await.unwrap_err().is_cancelled());
        assert_eq!(manager.info("wait").unwrap().state, SkillState::Unloading);
        gate.open(1);
        assert_eq!(sent.await.unwrap().unwrap().text().unwrap(), "a");
        manager.unload("wait").await.unwrap();
    });
    assert!(manager.list().is_empty());
}

/// A guest that stores a key when it is shut down.
fn storing_at_shutdown() -> Vec<u8> {
    module(
        r#"(data (i32.const 1024) "bye")
           (func (export "skill_shutdown")
              (drop (call $set (i32.const 1024) (i32.const 3) (i32.const 1024) (i32.const 3))))"#,
        "(call $get (i32.const 1024) (i32.const 3))",
    )
}

#[test]
fn a_kept_skill_is_shut_down_once_and_a_fresh_one_never() {
    on_each_compiler(|runtime| {
        for (state, expected) in [("kept", "bye"), ("fresh", "")] {
            let manager = manager(&runtime);
            let guest = storing_at_shutdown();
            load(&manager, "guest", &guest, &format!("state = \"{state}\""));
            assert_eq!(manager.send_event_blocking("guest", event("a")).unwrap().text().unwrap(), "");
            pollster::block_on(manager.unload("guest")).unwrap();
            load(&manager, "guest", &guest, "");
            assert_eq!(manager.send_event_blocking("guest", event("a")).unwrap().text().unwrap(), expected);
        }
    });
}

#[test]
fn shutdown_drains_then_runs_every_hook_and_takes_no_more() {
    on_each_compiler(|runtime| {
        let gate = Gate::closed();
        let manager = manager_with(&runtime, gate.clone());
        load(&manager, "wait", &waiting(), "");
        let trapping = module("(func (export \"skill_shutdown\") unreachable)", "(i64.const 0)");
        load(&manager, "bad", &trapping, "state = \"kept\"");
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| manager.send_event_blocking("wait", event("a")));
            gate.await_arrivals(1);
            let shut = scope.spawn(|| pollster::block_on(manager.shutdown()));
            eventually(|| manager.info("wait").unwrap().state == SkillState::Unloading);
            assert_code(manager.load_wasm("late", &echo(), LoadOptions::default()), "shut_down");
            gate.open(1);
            assert_eq!(sent.join().unwrap().unwrap().text().unwrap(), "a");
            let failed = shut.join().unwrap();
            let failed: Vec<_> = failed.iter().map(|(name, error)| (name.as_str(), error.code())).collect();
            assert_eq!(failed, [("bad", "trap_unreachable")]);
        });
        assert!(manager.list().is_empty());
        assert_code(manager.send_event_blocking("wait", event("b")), "shut_down");
    });
}

/// A native skill whose hooks fail or panic.
struct Hooks {
    init: fn() -> cis_skill::Result<()>,
    shutdown: fn() -> cis_skill::Result<()>,
}

#[async_trait]
impl Skill for Hooks {
    fn name(&self) -> &str {
        "hooks"
    }

    fn version(&self) -> &str {
        "1.0.0"
    }

    async fn init(&self, ctx: &mut SkillContext) -> cis_skill::Result<()> {
        ctx.log(cis_skill::Level::Info, "starting")?;
        (self.init)()
    }

    async fn handle_event(&self, _ctx: &mut SkillContext, _event: Event) -> cis_skill::Result<Response> {
        Ok(Response::empty())
    }

    async fn shutdown(&self, _ctx: &mut SkillContext) -> cis_skill::Result<()> {
        (self.shutdown)()
    }
}

#[test]
fn a_hook_that_fails_or_panics_is_an_error_and_no_more() {
    let manager = manager(&cis_skill::WasmRuntime::new().unwrap());
    pollster::block_on(async {
        let refused = manager.register(Hooks { init: || Err(Error::skill("no")), shutdown: || Ok(()) }).await;
        let error = assert_code(refused, "skill_failed");
        assert_eq!(error.log()[0].message, "starting");
        let refused = manager.register(Hooks { init: || panic!("oh"), shutdown: || Ok(()) }).await;
        assert_eq!(assert_code(refused, "skill_panicked").to_string(), "the native skill panicked: oh");
        assert!(manager.list().is_empty());

        manager.register(Hooks { init: || Ok(()), shutdown: || panic!("oh") }).await.unwrap();
        let error = assert_code(manager.unload("hooks").await, "skill_panicked");
        assert!(matches!(error.kind(), ErrorKind::SkillPanicked { .. }));
        assert!(manager.list().is_empty());
    });
}

#[test]
fn events_queued_at_a_manager_that_goes_are_answered() {
    let manager = SkillManager::new(InMemory::new()).unwrap();
    manager.load_wasm("echo", &echo(), LoadOptions::default()).unwrap();
    manager.pause("echo").unwrap();
    let mut queued = Box::pin(manager.send_event("echo", Event::tick(0)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(queued.as_mut().poll(&mut context).is_pending());
    drop(manager);
    assert_eq!(pollster::block_on(queued).unwrap_err().code(), "shut_down");
}

#[test]
fn a_manager_that_was_shut_down_says_so() {
    let manager = SkillManager::new(InMemory::new()).unwrap();
    manager.load_wasm("echo", &echo(), LoadOptions::default()).unwrap();
    assert!(pollster::block_on(manager.shutdown()).is_empty());
    assert_eq!(pollster::block_on(manager.send_event("echo", Event::tick(0))).unwrap_err().code(), "shut_down");
}

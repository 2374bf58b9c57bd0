//! A new version takes new events; running ones end on the old one.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cis_skill::wasm::WasmSkillBuilder;
use cis_skill::{Event, InMemory, LoadOptions, Response, Skill, SkillContext, async_trait};
use common::{
    Gate, appending, counting, eventually, load, manager, manager_with, module, on_each_compiler, options, saying,
    waiting, with_manifest,
};

fn event(data: &str) -> Event {
    Event::new("test", data.to_owned())
}

#[test]
fn running_events_end_on_the_old_version_and_new_ones_go_to_the_new() {
    on_each_compiler(|runtime| {
        let gate = Gate::closed();
        let manager = manager_with(&runtime, gate.clone());
        load(&manager, "skill", &waiting(), "");
        std::thread::scope(|scope| {
            let old = scope.spawn(|| manager.send_event_blocking("skill", event("old")));
            gate.await_arrivals(1);
            manager.reload("skill", &saying("new"), options("skill", "")).unwrap();
            assert_eq!(manager.send_event_blocking("skill", event("a")).unwrap().text().unwrap(), "new");
            assert_eq!(manager.info("skill").unwrap().running, 1);
            gate.open(1);
            assert_eq!(old.join().unwrap().unwrap().text().unwrap(), "old");
        });
        let info = manager.info("skill").unwrap();
        assert_eq!((info.running, info.events.ok), (0, 2));
    });
}

#[test]
fn a_reload_under_load_loses_no_event() {
    on_each_compiler(|runtime| {
        let manager = manager(&runtime);
        manager.load_wasm("skill", &saying("0"), LoadOptions::default()).unwrap();
        let stop = AtomicBool::new(false);
        let served = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // What a thread sees only ever becomes newer.
                    let mut newest = 0;
                    while !stop.load(Ordering::SeqCst) {
                        let response = manager.send_event_blocking("skill", event("a")).unwrap();
                        let version: u32 = response.text().unwrap().parse().unwrap();
                        assert!(version >= newest, "version {version} after {newest}");
                        newest = version;
                        served.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            for version in 1..=20 {
                let before = served.load(Ordering::SeqCst);
                eventually(|| served.load(Ordering::SeqCst) > before);
                manager.reload("skill", &saying(&version.to_string()), LoadOptions::default()).unwrap();
            }
            stop.store(true, Ordering::SeqCst);
        });
        let info = manager.info("skill").unwrap();
        assert_eq!(info.events.ok, served.load(Ordering::SeqCst) as u64);
        assert_eq!((info.events.failed, info.events.cancelled, info.running), (0, 0, 0));
        assert_eq!(manager.send_event_blocking("skill", event("a")).unwrap().text().unwrap(), "20");
    });
}

#[test]
fn a_failed_reload_leaves_the_old_version_working() {
    on_each_compiler(|runtime| {
        let manager = manager(&runtime);
        load(&manager, "skill", &counting(), "state = \"kept\"");
        let send = || manager.send_event_blocking("skill", event("a")).unwrap().text().unwrap().to_owned();
        assert_eq!(send(), "A");
        let refusing = module("(func (export \"skill_init\") (result i32) (i32.const -3))", "(i64.const 0)");
        let other = with_manifest(saying("other"), b"name = \"other\"\nversion = \"1.0.0\"");
        let attempts = [
            (b"no wasm".to_vec(), options("skill", ""), "invalid_module"),
            (refusing, options("skill", ""), "init_failed"),
            (saying("x"), options("skill", "").config("color", "red"), "bad_config"),
            (saying("x"), options("skill", "").expect_version("2".parse().unwrap()), "manifest_mismatch"),
            (other, LoadOptions::default(), "manifest_mismatch"),
        ];
        for (wasm, options, code) in attempts {
            let error = manager.reload("skill", &wasm, options).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
        }
        assert_eq!(send(), "B", "the old version's memory is untouched");
    });
}

#[test]
fn queued_events_go_to_the_version_that_is_there_when_they_are_served() {
    let manager = manager(&cis_skill::WasmRuntime::new().unwrap());
    manager.load_wasm("skill", &saying("old"), LoadOptions::default()).unwrap();
    manager.pause("skill").unwrap();
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| manager.send_event_blocking("skill", event("a")));
        eventually(|| manager.info("skill").unwrap().queued == 1);
        manager.reload("skill", &saying("new"), LoadOptions::default()).unwrap();
        manager.resume("skill").unwrap();
        assert_eq!(sent.join().unwrap().unwrap().text().unwrap(), "new");
    });
}

/// Waits at the gate, and stores a key when it is shut down.
fn waiting_with_hook() -> Vec<u8> {
    module(
        r#"(data (i32.const 1024) "gatebye")
           (func (export "skill_shutdown")
              (drop (call $set (i32.const 1028) (i32.const 3) (i32.const 1028) (i32.const 3))))"#,
        "(drop (call $get (i32.const 1024) (i32.const 4)))
         (call $pack (local.get $data) (local.get $data_len))",
    )
}

/// Answers with the key that [`waiting_with_hook`] stores.
fn reading_bye() -> Vec<u8> {
    module(r#"(data (i32.const 1024) "bye")"#, "(call $get (i32.const 1024) (i32.const 3))")
}

#[test]
fn the_old_version_is_shut_down_after_its_last_event() {
    on_each_compiler(|runtime| {
        let gate = Gate::closed();
        let manager = manager_with(&runtime, gate.clone());
        load(&manager, "skill", &waiting_with_hook(), "state = \"kept\"");
        let bye = || manager.send_event_blocking("skill", event("a")).unwrap().text().unwrap().to_owned();
        std::thread::scope(|scope| {
            let old = scope.spawn(|| manager.send_event_blocking("skill", event("old")));
            gate.await_arrivals(1);
            manager.reload("skill", &reading_bye(), options("skill", "")).unwrap();
            assert_eq!(bye(), "", "the old version has an event yet");
            gate.open(1);
            old.join().unwrap().unwrap();
        });
        eventually(|| bye() == "bye");
        pollster::block_on(manager.unload("skill")).unwrap();
    });
}

#[test]
fn unloading_waits_for_versions_that_were_replaced() {
    let gate = Gate::closed();
    let manager = manager_with(&cis_skill::WasmRuntime::new().unwrap(), gate.clone());
    load(&manager, "skill", &waiting_with_hook(), "state = \"kept\"");
    std::thread::scope(|scope| {
        let old = scope.spawn(|| manager.send_event_blocking("skill", event("old")));
        gate.await_arrivals(1);
        manager.reload("skill", &reading_bye(), options("skill", "")).unwrap();
        let unloaded = scope.spawn(|| pollster::block_on(manager.unload("skill")));
        eventually(|| manager.info("skill").unwrap().state == cis_skill::SkillState::Unloading);
        assert!(!unloaded.is_finished());
        gate.open(1);
        assert_eq!(old.join().unwrap().unwrap().text().unwrap(), "old");
        unloaded.join().unwrap().unwrap();
    });
    load(&manager, "skill", &reading_bye(), "");
    let bye = manager.send_event_blocking("skill", event("a")).unwrap();
    assert_eq!(bye.text().unwrap(), "bye", "its shutdown hook had run before it was gone");
}

#[test]
fn memory_lasts_across_versions() {
    let manager = manager(&cis_skill::WasmRuntime::new().unwrap());
    manager.load_wasm("skill", &appending(), LoadOptions::default()).unwrap();
    manager.send_event_blocking("skill", event("a")).unwrap();
    manager.reload("skill", &appending(), LoadOptions::default()).unwrap();
    assert_eq!(manager.send_event_blocking("skill", event("b")).unwrap().text().unwrap(), "ab");
}

struct Native;

#[async_trait]
impl Skill for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn version(&self) -> &str {
        "1.0.0"
    }

    async fn handle_event(&self, _ctx: &mut SkillContext, _event: Event) -> cis_skill::Result<Response> {
        Ok(Response::empty())
    }
}

#[test]
fn a_native_skill_cannot_be_reloaded_and_a_built_one_can() {
    let manager = manager(&cis_skill::WasmRuntime::new().unwrap());
    pollster::block_on(manager.register(Native)).unwrap();
    assert_eq!(manager.reload("native", &saying("x"), LoadOptions::default()).unwrap_err().code(), "not_wasm");

    let built = WasmSkillBuilder::new().name("built").wasm_bytes(appending()).memory_service(InMemory::new());
    pollster::block_on(manager.register(built.build().unwrap())).unwrap();
    manager.send_event_blocking("built", event("a")).unwrap();
    manager.reload("built", &appending(), LoadOptions::default()).unwrap();
    let response = manager.send_event_blocking("built", event("b")).unwrap();
    assert_eq!(response.text().unwrap(), "ab", "it keeps the memory it was built with");
}

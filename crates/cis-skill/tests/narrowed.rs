//! An error about a limit says whose limit it is, where that is not the manifest's.

mod common;

use std::time::Duration;

use cis_skill::wasm::Limits;
use cis_skill::{
    Error, Event, Host, InMemory, LoadOptions, RegisterOptions, Resource, Response, Skill, SkillContext, SkillManager,
    async_trait,
};
use common::{module, on_each_compiler, options, wat};
use pollster::block_on;

/// Does what the event's first letter says: loops (`l`), or calls the host without end.
fn busy() -> Vec<u8> {
    module(
        "",
        "(if (i32.eq (i32.load8_u (local.get $data)) (i32.const 108)) (then (loop (br 0))))
         (loop (drop (call $get (i32.const 0) (i32.const 1))) (br 0)) unreachable",
    )
}

/// What the error of an event says behind what it says anyway.
#[track_caller]
fn note(error: &Error) -> String {
    let text = error.to_string();
    match text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) {
        Some((_, note)) => note.to_owned(),
        None => String::new(),
    }
}

#[test]
fn a_lowered_limit_is_not_the_manifests() {
    on_each_compiler(|runtime| {
        let ceiling = Limits { deadline: Duration::from_millis(50), ..Limits::default() };
        let host = Host::builder().memory(InMemory::new()).build();
        let manager = SkillManager::builder().runtime(runtime.clone()).host(host).limits(ceiling).build().unwrap();
        let by_options = "the options that the skill was loaded with set this limit; the skill's own is ";
        let limits = "limits.fuel = 1000\nlimits.host_calls = 10\nlimits.deadline_ms = 100";
        let load = |name: &str, change: fn(LoadOptions) -> LoadOptions| {
            manager.load_wasm(name, &busy(), change(options(name, limits)))
        };
        let said = |name: &str, data: &'static str, code: &str| {
            let error = manager.send_event_blocking(name, Event::new("go", data)).unwrap_err();
            assert_eq!(error.code(), code);
            note(&error)
        };
        load("as-it-is", |options| options.fuel(1_000).at_most(Resource::HostCalls, 11)).unwrap();
        assert_eq!(said("as-it-is", "l", "out_of_fuel"), "");
        assert_eq!(said("as-it-is", "c", "out_of_host_calls"), "");

        load("lowered", |options| options.fuel(500).at_most(Resource::HostCalls, 5)).unwrap();
        assert_eq!(said("lowered", "l", "out_of_fuel"), format!("{by_options}1000"));
        assert_eq!(said("lowered", "c", "out_of_host_calls"), format!("{by_options}10"));

        let long = options("long", "limits.fuel = 1000000000000\nlimits.deadline_ms = 60000");
        manager.load_wasm("long", &busy(), long).unwrap();
        let by_manager = "the manager set this limit; the skill's own is 60000 ms";
        assert_eq!(said("long", "l", "deadline_exceeded"), by_manager);

        let large = wat("(module (memory (export \"memory\") 3)
            (func (export \"skill_on_event\") (param i32 i32 i32 i32) (result i32) (i32.const 0)))");
        let small = options("large", "limits.memory_mib = 1").memory_bytes(65_536);
        let error = manager.load_wasm("large", &large, small).unwrap_err();
        assert_eq!((error.code(), note(&error)), ("out_of_memory", format!("{by_options}1048576")));
    });
}

struct Chatty;

#[async_trait]
impl Skill for Chatty {
    fn name(&self) -> &str {
        "chatty"
    }

    fn version(&self) -> &str {
        "1.0.0"
    }

    async fn handle_event(&self, context: &mut SkillContext, _event: Event) -> Result<Response, Error> {
        loop {
            context.memory_get("key").await?;
        }
    }
}

#[test]
fn a_native_skills_budget_is_that_of_its_registration() {
    let manager = SkillManager::new(InMemory::new()).unwrap();
    block_on(manager.register_with(Chatty, RegisterOptions::default())).unwrap();
    let error = manager.send_event_blocking("chatty", Event::tick(0)).unwrap_err();
    assert_eq!(error.code(), "out_of_host_calls");
    assert!(note(&error).contains("RegisterOptions"), "{error}");
}

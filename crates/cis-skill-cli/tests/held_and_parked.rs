//! The cases of every sample skill, on services that never answer at once: held on a thread, put down at every call, and
//! replayed on each compiler, an event is the same.

#[path = "support/narrowed.rs"]
mod narrowed;
#[path = "support/script.rs"]
mod script;
mod support;

use std::fs;
use std::time::Duration;

use cis_skill::recording::{Recorder, Recording, Replay, Verdict};
use cis_skill::wasm::{State, WasmSkill};
use cis_skill::{Compiler, Event, WasmRuntime, WasmSkillBuilder};
use cis_skill_sdk::native::cases::{self, Case, CaseState};
use script::Stage;
use support::{clang, root, skill};

/// What was compared.
#[derive(Debug, Default)]
struct Seen {
    events: usize,
    calls: usize,
    parks: usize,
}

#[test]
fn every_sample_skill_is_the_same_held_parked_and_replayed() {
    let mut all = Seen::default();
    for name in ["c-example", "counter", "notes", "summarize", "webhook"] {
        if name == "c-example" && !clang() {
            continue;
        }
        let seen = every_case(name);
        println!("{name}: {seen:?}");
        assert!(seen.events > 0 && seen.calls > 0, "{name}: {seen:?}");
        all.parks += seen.parks;
    }
    assert!(all.parks > 30, "{all:?}");
}

#[track_caller]
fn every_case(name: &str) -> Seen {
    let wasm = fs::read(skill(name)).unwrap();
    let folder = root().join("skills").join(name);
    let manifest: cis_skill::Manifest = fs::read_to_string(folder.join("skill.toml")).unwrap().parse().unwrap();
    let cases = cases::parse(&fs::read_to_string(folder.join("tests/cases.json")).unwrap()).unwrap();
    let mut seen = Seen::default();
    for compiler in Compiler::ALL {
        let runtime = WasmRuntime::builder().compiler(*compiler).build().unwrap();
        for case in &cases {
            let load = || {
                let stage = Stage::of(&case.host, &manifest.name, true);
                let options = narrowed::options(case).recordable(true).park_after(Duration::ZERO);
                let builder = WasmSkillBuilder::new().wasm_bytes(wasm.clone()).host(&stage.host).runtime(&runtime);
                (builder.options(options).build().unwrap(), stage)
            };
            let ((holds, held_stage), (parks, parked_stage)) = (load(), load());
            let held = recordings(case, &holds, |event| drop(holds.run(event)));
            let parked = recordings(case, &parks, |event| drop(pollster::block_on(parks.handle(event))));
            assert_eq!(held.len(), parked.len(), "{}", case.name);
            for (held, parked) in held.iter().zip(&parked) {
                let which = format!("{name}, {}, on {}", case.name, compiler.name());
                assert_eq!(parked.ending(), held.ending(), "{which}");
                assert_eq!(parked.calls(), held.calls(), "{which}");
                assert_eq!((parked.init_calls(), held.rests()), (held.init_calls(), &[][..]), "{which}");
                seen.events += 1;
                seen.calls += parked.calls().len();
                seen.parks += parked.rests().len();
                for compiler in Compiler::ALL {
                    let replayed = parked.replay(&Replay::new().compiler(*compiler)).unwrap();
                    assert_eq!(replayed.verdict, Verdict::Same, "{which}, replayed on {}", compiler.name());
                    assert_eq!(&replayed.ending, held.ending(), "{which}, replayed on {}", compiler.name());
                }
            }
            assert_eq!(parked_stage.memory(), held_stage.memory(), "{}", case.name);
            assert_eq!(parked_stage.prompts(), held_stage.prompts(), "{}", case.name);
            assert_eq!(parked_stage.requests(), held_stage.requests(), "{}", case.name);
        }
    }
    seen
}

/// Runs a case's events, and records them. Of a kept skill only the first one can be.
fn recordings(case: &Case, skill: &WasmSkill, run: impl Fn(Event)) -> Vec<Recording> {
    assert_eq!(skill.manifest().state == State::Kept, case.host.state == CaseState::Kept);
    let recorder = Recorder::new();
    for event in &case.events {
        run(Event::new(&event.kind, event.bytes()).recorded_by(&recorder));
    }
    let mut taken = recorder.take();
    if case.host.state == CaseState::Kept {
        taken.truncate(1);
    }
    taken.into_iter().map(|recording| recording.unwrap()).collect()
}

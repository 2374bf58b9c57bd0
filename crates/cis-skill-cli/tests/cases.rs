//! The skills' own cases, which their authors' tests run natively, in wasm: built modules, on every compiler.

#[path = "support/narrowed.rs"]
mod narrowed;
#[path = "support/script.rs"]
mod script;
mod support;

use std::fs;

use cis_skill::wasm::State;
use cis_skill::{Access, Compiler, Error, ErrorKind, Manifest, SkillName, WasmRuntime, WasmSkillBuilder};
use cis_skill::{Event, LogLine};
use cis_skill_sdk::native::Access as CaseAccess;
use cis_skill_sdk::native::cases::{self, Case, CaseGrants, CaseState};
use narrowed::{options, rules};
use script::Stage;
use support::{clang, root, skill};

#[test]
fn counter() {
    every_case("counter");
}

#[test]
fn notes() {
    every_case("notes");
}

#[test]
fn summarize() {
    every_case("summarize");
}

#[test]
fn webhook() {
    every_case("webhook");
}

#[test]
fn c_example() {
    if clang() {
        every_case("c-example");
    }
}

/// A folder with cases that no test above names would be one that is not tested.
#[test]
fn every_skill_is_tested() {
    let folders = fs::read_dir(root().join("skills")).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = folders
        .filter(|folder| folder.join("skill.toml").is_file())
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["c-example", "counter", "notes", "summarize", "webhook"]);
}

#[track_caller]
fn every_case(name: &str) {
    let wasm = fs::read(skill(name)).unwrap();
    let manifest = fs::read_to_string(root().join("skills").join(name).join("skill.toml")).unwrap().parse().unwrap();
    let cases = fs::read_to_string(root().join("skills").join(name).join("tests/cases.json")).unwrap();
    let cases = cases::parse(&cases).unwrap();
    assert!(!cases.is_empty(), "a file without cases tests nothing");
    let mut wrong = Vec::new();
    for compiler in Compiler::ALL {
        let [reused, alone] =
            [true, false].map(|reuse| WasmRuntime::builder().compiler(*compiler).reuse(reuse).build().unwrap());
        for case in &cases {
            // An event on an instance that saw others costs what it costs on one of its own.
            let same = outcome(&reused, &wasm, &manifest, case)
                .and_then(|used| same("what was used", &used, &outcome(&alone, &wasm, &manifest, case)?));
            wrong.extend(same.err().map(|why| format!("{} on {}: {why}", case.name, compiler.name())));
        }
        println!("{name}: {} cases on {}", cases.len(), compiler.name());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs a case, and says how much fuel and memory each event used, or what came out differently.
fn outcome(
    runtime: &WasmRuntime,
    wasm: &[u8],
    manifest: &Manifest,
    case: &Case,
) -> Result<Vec<Option<(u64, u64)>>, String> {
    let state = if case.host.state == CaseState::Kept { State::Kept } else { State::Fresh };
    same("the state", &state, &manifest.state)?;
    let stage = Stage::of(&case.host, &manifest.name, false);
    let options = options(case);
    let builder = WasmSkillBuilder::new().wasm_bytes(wasm.to_vec()).host(&stage.host).runtime(runtime).options(options);
    let skill = builder.build().map_err(|error| format!("it was not loaded: {error}"))?;
    granted(&case.host.grants, &skill.scope().grants)?;

    let mut log: Vec<LogLine> = skill.init_log().to_vec();
    let mut used = Vec::new();
    for event in &case.events {
        let result = skill.run(Event::new(&event.kind, event.bytes()));
        let receipt = result.as_ref().map_or_else(Error::receipt, |response| response.receipt());
        used.push(receipt.map(|receipt| (receipt.fuel, receipt.memory_bytes)));
        log.extend_from_slice(result.as_ref().map_or_else(Error::log, |response| response.log()));
        let said = result.as_ref().err().map(said);
        let got = match (&result, &said) {
            (Ok(response), _) => Ok(Some(&response.body()[..]).filter(|body| !body.is_empty())),
            (Err(_), said) => Err(said.as_ref().map(|(code, text)| (*code, text.as_str())).expect("an error says so")),
        };
        if let Some(why) = event.mismatch(got) {
            return Err(why);
        }
    }
    let log: Vec<String> = log.iter().map(|line| format!("{}: {}", line.level.name(), line.message)).collect();
    let after = &case.after;
    after.memory.as_ref().map_or(Ok(()), |wanted| same("memory", wanted, &stage.memory()))?;
    after.log.as_ref().map_or(Ok(()), |wanted| same("the log", wanted, &log))?;
    after.ai.as_ref().map_or(Ok(()), |wanted| same("the prompts", wanted, &stage.prompts()))?;
    after.http.as_ref().map_or(Ok(()), |wanted| same("the requests", wanted, &stage.requests()))?;
    Ok(used)
}

/// What holds is what the case says: its manifest grants that much, and could be narrowed to no more.
fn granted(case: &CaseGrants, got: &cis_skill::Grants) -> Result<(), String> {
    let access = |access: CaseAccess| match access {
        CaseAccess::None => Access::None,
        CaseAccess::Read => Access::Read,
        CaseAccess::ReadWrite => Access::ReadWrite,
    };
    same("the grant of memory", &access(case.memory), &got.memory)?;
    let shared =
        case.shared_memory.iter().map(|(name, granted)| (name.parse::<SkillName>().unwrap(), access(*granted)));
    same("the grants of shared memory", &shared.collect(), &got.shared_memory)?;
    same("the grant of the AI", &case.ai, &got.ai)?;
    same("the grants of HTTP", &rules(&case.http), &got.http.rules)
}

/// The status that an event ended with, and the skill's own words.
fn said(error: &Error) -> (Option<i32>, String) {
    if let ErrorKind::Runtime(error) = error.kind()
        && let cis_wasm_runtime::ErrorKind::SkillFailed { status, text, .. } = error.kind()
    {
        return (Some(*status), text.clone().unwrap_or_default());
    }
    (None, error.to_string())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, got: &T) -> Result<(), String> {
    if wanted == got { Ok(()) } else { Err(format!("{what}: expected {wanted:?}, got {got:?}")) }
}

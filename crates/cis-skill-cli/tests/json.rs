//! `--json`: one object on stdout, whatever happened.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use support::server::{Server, wait_for_close};
use support::{COMPILERS, Ran, folder, root, run, skill, wat};

const FIELDS: [&str; 7] = ["skill", "status", "response", "error", "log", "cache", "usage"];
const ERROR: [&str; 3] = ["kind", "fault", "message"];
const LINE: [&str; 2] = ["level", "message"];
const USAGE: [&str; 8] =
    ["host_calls", "bytes_in", "bytes_out", "memory_bytes", "fuel", "ai_tokens", "http_requests", "wall_us"];

/// The object has its documented fields and no others, says one thing only, and the program ended as it says.
#[track_caller]
fn report(ran: &Ran) -> Json {
    let report = ran.json();
    has(&report, &FIELDS);
    has(&report["usage"], &USAGE);
    for (name, amount) in report["usage"].as_object().unwrap() {
        assert!(amount.is_u64(), "{name}: {report}");
    }
    for line in report["log"].as_array().unwrap() {
        has(line, &LINE);
    }
    assert!(report["skill"].is_string(), "{report}");
    match report["status"].as_str() {
        Some("ok") => assert_eq!((ran.code, &report["error"]), (Some(0), &Json::Null), "{report}"),
        Some("error") => {
            assert_eq!((ran.code, &report["response"]), (Some(1), &Json::Null), "{report}");
            has(&report["error"], &ERROR);
            let fault = report["error"]["fault"].as_str().unwrap();
            assert!(["backend", "bug", "caller", "guest"].contains(&fault), "{report}");
        }
        _ => panic!("neither ok nor error: {report}"),
    }
    assert_eq!(ran.stderr, "", "all there is to say is in the object");
    report
}

#[track_caller]
fn has(object: &Json, names: &[&str]) {
    let found: BTreeSet<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, names.iter().copied().collect(), "{object}");
}

#[test]
fn the_readme_shows_the_object_as_it_is() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let shown = readme.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let shown: Json = serde_json::from_str(shown).unwrap();
    has(&shown, &FIELDS);
    has(&shown["usage"], &USAGE);
    has(&shown["log"][0], &LINE);
    assert!(readme.contains(&format!("`error` is `{{\"{}\"}}`", ERROR.join("\",\""))));
}

/// Sends an event on each compiler, and gives the one report that all of them made.
#[track_caller]
fn sent(skill: &Path, name: &str, args: &[&str]) -> Json {
    let mut reports: Vec<Json> = Vec::new();
    for compiler in COMPILERS {
        let data = folder(&format!("json-{name}-{compiler}")).join("data");
        let ran = Ran::of(run(skill, &data).args(["--json", "--compiler", compiler]).args(args));
        reports.push(report(&ran));
    }
    let mut reports = reports.into_iter();
    let first = reports.next().unwrap();
    for mut other in reports {
        // The one number that is not the same for the same event.
        other["usage"]["wall_us"] = first["usage"]["wall_us"].clone();
        assert_eq!(other, first);
    }
    first
}

/// The same for an error, with its kind and fault and a part of its message.
#[track_caller]
fn fails(skill: &Path, name: &str, args: &[&str], kind: &str, fault: &str, message: &str) -> Json {
    let report = sent(skill, name, args);
    assert_eq!((&report["error"]["kind"], &report["error"]["fault"]), (&json!(kind), &json!(fault)), "{report}");
    assert!(report["error"]["message"].as_str().unwrap().contains(message), "{report}");
    report
}

/// A skill with this handler, called `small`.
fn small(name: &str, handler: &str) -> PathBuf {
    let folder = folder(&format!("json-module-{name}"));
    let text = format!(
        r#"(module
            (@custom "cis.skill.manifest" "name = \"small\"\nversion = \"1.0.0\"\npermissions.ai = true")
            (import "env" "host_log" (func $log (param i32 i32 i32)))
            (import "env" "host_set_error" (func $set_error (param i32 i32)))
            (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
            (memory (export "memory") 1)
            (data (i32.const 16) "\"quoted\" \01 {{}} text")
            (func $handler (export "skill_on_event") (param i32 i32 i32 i32) (result i64) {handler}))"#
    );
    wat(&folder, "module", &text)
}

/// A packed response: where it lies and how long it is.
fn at(ptr: u64, len: u64) -> String {
    format!("(i64.const {})", ptr << 32 | len)
}

#[test]
fn a_response() {
    let ok = sent(&skill("notes"), "ok", &["--event", "note.add", "--data", r#"{"text":"buy milk"}"#]);
    assert_eq!((&ok["skill"], &ok["status"]), (&json!("notes"), &json!("ok")));
    assert_eq!(ok["response"], json!({ "id": 1, "text": "buy milk" }));
    assert_eq!(ok["log"], json!([{ "level": "info", "message": "note 1 added" }]));
    let usage = &ok["usage"];
    assert_eq!((&usage["host_calls"], &usage["ai_tokens"], &usage["http_requests"]), (&json!(4), &json!(0), &json!(0)));
    for name in ["bytes_in", "memory_bytes", "fuel"] {
        assert!(usage[name].as_u64() > Some(0), "{name}: {usage}");
    }
}

#[test]
fn responses_that_are_no_json() {
    let response = |name: &str, handler: &str| sent(&small(name, handler), name, &["--event", "x"])["response"].clone();
    assert_eq!(response("text", &at(16, 18)), json!("\"quoted\" \u{1} {} text"));
    assert_eq!(response("none", "(i64.const 0)"), Json::Null);
    assert_eq!(response("empty", &at(16, 0)), Json::Null);
    let bytes = format!("(i32.store8 (i32.const 16) (i32.const 255)) {}", at(16, 2));
    assert_eq!(response("bytes", &bytes), json!([255, 113]));
}

#[test]
fn an_error_of_the_skill() {
    let data = ["--event", "note.add", "--data", r#"{"text":" "}"#];
    let failed = fails(&skill("notes"), "failed", &data, "skill_failed", "guest", "`text` is empty");
    assert_eq!(failed["skill"], "notes");
    assert!(failed["usage"]["fuel"].as_u64() > Some(0));
}

#[test]
fn a_skill_that_cannot_be_loaded() {
    let folder = folder("json-load");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let event = ["--event", "x"];
    let text = file("Notes, by me.txt", b"# Not a skill\n");
    let report = fails(&text, "text", &event, "invalid_module", "guest", "this is not a WebAssembly binary");
    assert_eq!(report["skill"], text.to_str().unwrap(), "what has no name goes by its file's");
    assert_eq!(report["usage"]["fuel"], 0);

    let whole = fs::read(skill("notes")).unwrap();
    let cut = file("cut.wasm", &whole[..whole.len() / 2]);
    fails(&cut, "cut", &event, "invalid_module", "guest", "unexpected end");
    let unknown = wat(&folder, "unknown", r#"(module (import "wasi" "fd_write" (func)) (memory (export "memory") 1))"#);
    let report = fails(&unknown, "unknown", &event, "unknown_import", "guest", "`wasi.fd_write`");
    assert_eq!(report["skill"], "unknown", "a module without a manifest goes by its file's name");
    let manifest = wat(&folder, "bad", r#"(module (@custom "cis.skill.manifest" "name = \"bad\"\nversoin = \"1\""))"#);
    fails(
        &manifest,
        "manifest",
        &event,
        "bad_manifest",
        "guest",
        "line 2: unknown key `versoin`; did you mean `version`?",
    );
    let config = ["--event", "x", "--config", "colour=red"];
    fails(&skill("notes"), "config", &config, "bad_config", "caller", "no setting `colour`");
}

#[test]
fn a_trap() {
    let logs = "(call $log (i32.const 2) (i32.const 17) (i32.const 6))";
    let trap = small("trap", &format!("{logs} (call $set_error (i32.const 17) (i32.const 6)) unreachable"));
    let report = fails(&trap, "trap", &["--event", "x"], "trap_unreachable", "guest", "quoted (in handler)");
    assert_eq!(
        (&report["skill"], &report["log"]),
        (&json!("small"), &json!([{ "level": "warn", "message": "quoted" }]))
    );
    assert_eq!(report["usage"]["host_calls"], 2);
}

#[test]
fn what_is_logged_while_loading() {
    let folder = folder("json-init");
    let init = |name: &str, then: &str| {
        let text = format!(
            r#"(module
                (import "env" "host_log" (func $log (param i32 i32 i32)))
                (memory (export "memory") 1)
                (data (i32.const 16) "starting")
                (func (export "skill_init") (result i32)
                    (call $log (i32.const 0) (i32.const 16) (i32.const 8)) {then})
                (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
                    (call $log (i32.const 3) (i32.const 16) (i32.const 5)) (i64.const 0)))"#
        );
        wat(&folder, name, &text)
    };
    let (first, second) =
        (json!({ "level": "debug", "message": "starting" }), json!({ "level": "error", "message": "start" }));
    let started = sent(&init("starts", "(i32.const 0)"), "init", &["--event", "x"]);
    assert_eq!(started["log"], json!([first, second]));
    let refused = init("refuses", "(i32.const -100)");
    let report = fails(&refused, "init-refuses", &["--event", "x"], "init_failed", "guest", "skill_init returned -100");
    assert_eq!(report["log"], json!([first]));
}

/// The same error on each compiler, after a run of which they made more or less.
#[track_caller]
fn fails_sooner_or_later(skill: &Path, name: &str, args: &[&str], kind: &str, message: &str) {
    for compiler in COMPILERS {
        let data = folder(&format!("json-{name}-{compiler}")).join("data");
        let ran = Ran::of(run(skill, &data).args(["--event", "x", "--json", "--compiler", compiler]).args(args));
        let error = json!({ "kind": kind, "fault": "guest", "message": message });
        assert_eq!(report(&ran)["error"], error);
    }
}

#[test]
fn a_recursion_without_end() {
    let recursion = small("recursion", "(call $handler (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))");
    let message = "the skill trapped: the call stack is exhausted";
    fails_sooner_or_later(&recursion, "recursion", &[], "trap_stack_overflow", message);
}

#[test]
fn limits() {
    let forever = small("forever", "(loop (br 0)) unreachable");
    let fuel = fails(&forever, "fuel", &["--event", "x", "--fuel", "50000"], "out_of_fuel", "guest", "50000 units");
    assert!(fuel["usage"]["fuel"].as_u64() >= Some(50_000));

    let message = "the event took longer than its deadline of 50 ms and was stopped in guest code (the options that the \
                   skill was loaded with set this limit; the skill's own is 5000 ms)";
    fails_sooner_or_later(&forever, "deadline", &["--deadline-ms", "50"], "deadline_exceeded", message);

    // Notes begins with a little more than one MiB.
    let mib = ["--event", "note.list", "--memory-mib", "1"];
    fails(&skill("notes"), "memory", &mib, "out_of_memory", "guest", "the limit is 1048576");
    let grows =
        small("grows", "(if (i32.eq (memory.grow (i32.const 32)) (i32.const -1)) (then unreachable)) (i64.const 0)");
    fails(
        &grows,
        "grow",
        &["--event", "x", "--memory-mib", "2"],
        "trap_unreachable",
        "guest",
        "it panicked or aborted",
    );
    let grown = sent(&grows, "grown", &["--event", "x", "--memory-mib", "3"]);
    // A page of its own, one that the host put the event in, and those that it grew by.
    assert_eq!(grown["usage"]["memory_bytes"], 34 << 16);
}

#[test]
fn the_deadline_covers_waiting_for_a_backend() {
    let silent = Server::start(|_, stream| wait_for_close(stream));
    let asks = small("asks", "(call $chat (i32.const 17) (i32.const 6))");
    let (url, event) = (silent.url("/v1"), ["--event", "x", "--deadline-ms", "100", "--ai-model", "none", "--ai-url"]);
    let late = fails(&asks, "waiting", &[&event[..], &[&url]].concat(), "deadline_exceeded", "backend", "host_ai_chat");
    assert_eq!(late["usage"]["host_calls"], 1);
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let notes = skill("notes");
    for (name, args, message) in [
        ("flag", &["--evnt", "x"][..], "unexpected argument '--evnt' found; tip: a similar argument exists: '--event'"),
        ("data", &["--event", "x", "--data", "{text"], "this is not JSON"),
        ("event", &[], "--event <TYPE>"),
        ("secret", &["--event", "x", "--secret", "TOKEN"], "the secrets in its manifest: none"),
    ] {
        let report = fails(&notes, name, args, "usage", "caller", message);
        let known = if name == "secret" { "notes" } else { notes.to_str().unwrap() };
        assert_eq!(report["skill"], known);
        assert!(!report["error"]["message"].as_str().unwrap().contains('\n'), "{report}");
    }
    let nothing = folder("json-nothing").join("there.wasm");
    fails(&nothing, "nothing", &["--event", "x"], "usage", "caller", "there is no such file");
}

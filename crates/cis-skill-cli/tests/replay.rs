//! Events of the sample skills, recorded on the command line and replayed there, on each compiler and with every backend gone.

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use cis_skill::recording::{Recording, replay_folder};
use serde_json::{Value as Json, json};
use support::server::{Server, response};
use support::{COMPILERS, Ran, clang, folder, run, skill, wat};

const CANARY: &str = "canary-7f3a91c4e2";

/// `cis-skill replay FILE`, to be added to.
fn replay(recording: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cis-skill"));
    command.arg("replay").arg(recording).current_dir(recording.parent().unwrap());
    command
}

/// Runs an event with `--record`, and replays it on each compiler: the same object each time, but for the time it took.
#[track_caller]
fn recorded(name: &str, skill: &Path, args: &[&str]) -> PathBuf {
    let folder = folder(&format!("replay-{name}"));
    for compiler in COMPILERS {
        let file = folder.join(format!("{compiler}.cisrec"));
        let mut command = run(skill, &folder.join("data"));
        command.args(args).args(["--json", "--no-cache", "--compiler", compiler]).arg("--record").arg(&file);
        let ran = Ran::of(command.env("WEBHOOK_TOKEN", CANARY));
        assert!(file.is_file(), "{ran:?}");
        let mut then = ran.json();
        drop(fs::remove_dir_all(folder.join("data")));

        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{name}");
        for compiler in COMPILERS {
            let ran = Ran::of(replay(&file).args(["--json", "--compiler", compiler]));
            assert_eq!(ran.code, Some(0), "{ran:?}");
            let mut now = ran.json();
            let replay = now.as_object_mut().unwrap().remove("replay").unwrap();
            assert_eq!((&replay["verdict"], &replay["compiler"]), (&json!("the same as recorded"), &json!(compiler)));
            then["usage"]["wall_us"] = Json::Null;
            now["usage"]["wall_us"] = Json::Null;
            assert_eq!(now.to_string(), then.to_string());
        }
    }
    // What a `#[test]` of a project would do with them.
    replay_folder(&folder, None);
    folder.join("cranelift.cisrec")
}

#[test]
fn a_skill_that_keeps_notes() {
    let add = ["--event", "note.add", "--data", r#"{"text":"buy milk"}"#];
    let file = recorded("notes", &skill("notes"), &add);
    let ran = Ran::of(&mut replay(&file));
    assert!(
        ran.stderr.contains("\nreplay: the same as recorded (on cranelift, 4 host calls answered)"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.answer(), "{\"id\":1,\"text\":\"buy milk\"}\n");
    // An event that fails is one too.
    recorded("notes-fails", &skill("notes"), &["--event", "note.nothing"]);
    recorded("counter", &skill("counter"), &["--event", "count"]);
}

#[test]
fn a_skill_in_c() {
    if clang() {
        recorded("c", &skill("c-example"), &["--event", "example"]);
    }
}

#[test]
fn a_skill_with_a_secret() {
    let server = Server::start(|request, stream| {
        let token = request.header("authorization").unwrap_or("no token").to_owned();
        stream.write_all(&response("200 OK", "content-type: text/plain\r\n", format!("you sent: {token}").as_bytes()))
    });
    let url = format!("url={}", server.url("/hook"));
    let data = r#"{"payload":{"door":"open"},"path":"/1"}"#;
    let allow = ["--secret", "WEBHOOK_TOKEN", "--allow-http", &server.authority(), "--config", &url];
    let args = [&["--event", "webhook.send", "--data", data], &allow[..]].concat();
    recorded("webhook", &skill("webhook"), &args);
    assert_eq!(server.connections(), COMPILERS.len(), "a replay reaches nobody");

    // Told to the skill by the event, a secret would be in the recording: there is none.
    let folder = folder("replay-told");
    let told = format!(r#"{{"payload":{{"said":"{CANARY}"}},"path":"/1"}}"#);
    let mut command = run(&skill("webhook"), &folder.join("data"));
    command.args(["--event", "webhook.send", "--data", &told]).args(allow).env("WEBHOOK_TOKEN", CANARY);
    let ran = Ran::of(command.arg("--record").arg(folder.join("told.cisrec")));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("the secret `WEBHOOK_TOKEN` would be in the recording: it is in the event"), "{ran:?}");
    assert!(!folder.join("told.cisrec").exists() && !ran.shows(CANARY));
}

/// A skill that asks an AI, recorded.
fn summary(name: &str) -> PathBuf {
    let completion = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "tiny",
        "choices": [{
            "index": 0, "message": { "role": "assistant", "content": " Cats sleep.\n" }, "finish_reason": "stop",
        }],
        "usage": { "prompt_tokens": 21, "completion_tokens": 5, "total_tokens": 26 },
    });
    let server = Server::start(move |_, stream| {
        stream.write_all(&response("200 OK", "content-type: application/json\r\n", completion.to_string().as_bytes()))
    });
    let folder = folder(&format!("replay-{name}"));
    let data = folder.join("data");
    let document = json!({ "key": "doc/cats", "text": "Cats sleep for most of the day." }).to_string();
    Ran::of(run(&skill("summarize"), &data).args(["--event", "document.put", "--data", &document])).answer();
    let mut command = run(&skill("summarize"), &data);
    command.args(["--event", "document.summarize", "--data", r#"{"key":"doc/cats"}"#]);
    command.args(["--ai-url", &server.url("/v1"), "--ai-model", "tiny"]);
    let file = folder.join("cats.cisrec");
    Ran::of(command.arg("--record").arg(&file)).answer();
    file
}

/// The number of a recorded call.
fn number(recording: &Path, name: &str) -> usize {
    let recording = Recording::read(recording).unwrap();
    recording.calls().iter().position(|entry| entry.call.name() == name).unwrap()
}

#[test]
fn a_skill_that_asks_an_ai_is_stopped_and_told_otherwise() {
    let file = summary("summarize");
    replay_folder(file.parent().unwrap(), None);
    let ask = number(&file, "host_ai_chat");

    let until = Ran::of(replay(&file).args(["--until", &ask.to_string()]));
    assert_eq!(until.stdout, "");
    for said in [
        "host_memory_get(key \"doc/cats\") -> \"Cats sleep for most of the day.\"",
        "host_ai_chat(prompt \"Summarize the following text in at most 2 sentences.\\n\\nCats s\"… (85 bytes))   <- stopped here",
        &format!("replay: stopped before host call {ask} (on cranelift, {ask} host calls answered)"),
        "used: host_calls=",
    ] {
        assert!(until.stderr.contains(said), "`{said}` is not in: {}", until.stderr);
    }
    assert_eq!(until.code, Some(0));

    // Another answer, and the skill stores and returns that.
    let edit = format!("{ask}=Dogs do not.");
    let edited = Ran::of(replay(&file).args(["--edit", &edit]));
    assert!(edited.stdout.contains("\"summary\":\"Dogs do not.\""), "{edited:?}");
    assert!(edited.stderr.contains("host_memory_set with another value"), "{edited:?}");

    // No answer, and it says so.
    let late = Ran::of(replay(&file).args(["--edit", &format!("{ask}=!timed_out")]));
    assert!(late.stderr.contains("error[timed_out]"), "{late:?}");
    assert_eq!(late.code, Some(0), "it was asked for");

    let refusal = Ran::of(replay(&file).args(["--edit", "99=x"])).refusal();
    assert!(refusal.contains("there is no host call 99 to edit"), "{refusal}");
    let refusal = Ran::of(replay(&file).args(["--edit", "x"])).refusal();
    assert!(refusal.contains("write it as CALL=REPLY"), "{refusal}");
}

#[test]
fn a_changed_module_fails_at_the_first_call_that_differs() {
    let folder = folder("replay-changed");
    let text = |key: &str| {
        format!(
            r#"(module
                (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
                (memory (export "memory") 1)
                (data (i32.const 16) "first{key}")
                (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32)
                    (drop (call $get (i32.const 16) (i32.const 5)))
                    (drop (call $get (i32.const 21) (i32.const 5)))
                    (i32.const 0)))"#
        )
    };
    let file = folder.join("it.cisrec");
    let module = wat(&folder, "was", &text("other"));
    Ran::of(run(&module, &folder.join("data")).args(["--event", "x"]).arg("--record").arg(&file)).answer();
    let with = |text: &str| Ran::of(replay(&file).arg("--wasm").arg(wat(&folder, "is", text)));
    assert_eq!(with(&text("other")).code, Some(0));
    let changed = with(&text("third"));
    assert_eq!(changed.code, Some(1));
    let said = "replay: not as recorded (on cranelift, 1 host calls answered)\n  host call 1 is not the one in the journal: \
                host_memory_get with another key";
    assert!(changed.stderr.contains(said) && !changed.stderr.contains("error["), "{}", changed.stderr);
}

#[test]
fn what_is_no_recording_is_refused() {
    let folder = folder("replay-none");
    let file = folder.join("none.cisrec");
    let refusal = Ran::of(&mut replay(&file)).refusal();
    assert!(refusal.contains("none.cisrec: No such file"), "{refusal}");
    fs::write(&file, "hello").unwrap();
    let refusal = Ran::of(&mut replay(&file)).refusal();
    assert!(refusal.contains("none.cisrec: this is not a recording"), "{refusal}");
    let report = Ran::of(replay(&file).arg("--json")).json();
    assert_eq!((&report["error"]["kind"], &report["status"]), (&json!("bad_recording"), &json!("error")));
}

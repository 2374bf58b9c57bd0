//! Notes that outlive the process that took them.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::json;
use support::server::{Server, wait_for_close};
use support::{COMPILERS, Ran, eventually, folder, run, skill, wat};

#[track_caller]
fn list(data: &Path, compiler: &str) -> String {
    let mut list = run(&skill("notes"), data);
    Ran::of(list.args(["--event", "note.list", "--compiler", compiler])).answer()
}

#[test]
fn a_note_is_listed_after_the_process_that_added_it_was_killed() {
    for compiler in COMPILERS {
        let data = folder(&format!("notes-{compiler}")).join("data");
        let mut add = run(&skill("notes"), &data);
        add.args(["--event", "note.add", "--data", r#"{"text":"buy milk"}"#, "--compiler", compiler]);
        let mut adding = add.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut response = String::new();
        BufReader::new(adding.stdout.take().unwrap()).read_line(&mut response).unwrap();
        adding.kill().unwrap();
        assert_eq!(response, "{\"id\":1,\"text\":\"buy milk\"}\n");
        adding.wait().unwrap();
        // What one compiler's skill wrote, every compiler's reads.
        for compiler in COMPILERS {
            assert_eq!(list(&data, compiler), "{\"notes\":[{\"id\":1,\"text\":\"buy milk\"}]}\n");
        }
    }
}

/// A skill that goes by the same name, writes one note, and waits for an AI.
const WRITES_AND_WAITS: &str = r#"(module
    (@custom "cis.skill.manifest" "name = \"notes\"\nversion = \"0.1.0\"\npermissions.ai = true\nlimits.deadline_ms = 3600000")
    (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
    (memory (export "memory") 1)
    (data (i32.const 16) "note/0000000007buy bread")
    (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
        (if (i32.eqz (call $set (i32.const 16) (i32.const 15) (i32.const 31) (i32.const 9)))
            (then (drop (call $chat (i32.const 16) (i32.const 24)))))
        (i64.const 0)))"#;

/// A process that has written and waits, with its data open.
struct Waiting {
    process: Child,
    data: PathBuf,
}

impl Waiting {
    fn start(name: &str) -> Waiting {
        let folder = folder(name);
        let data = folder.join("data");
        let silent = Server::start(|_, stream| wait_for_close(stream));
        let mut command = run(&wat(&folder, "waits", WRITES_AND_WAITS), &data);
        command.args(["--event", "x", "--ai-url", &silent.url("/v1"), "--ai-model", "none"]);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // It asks the AI after its write was acknowledged, and not before.
        eventually(|| {
            let ended = process.try_wait().unwrap();
            assert_eq!(ended, None, "it ended before it asked");
            !silent.seen().is_empty()
        });
        Waiting { process, data }
    }

    /// Kills it as `kill -9` does.
    #[track_caller]
    fn kill(&mut self) {
        self.process.kill().unwrap();
        let status = self.process.wait().unwrap();
        #[cfg(unix)]
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        assert!(!status.success());
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // After a failed assertion: it would wait for an hour.
        drop(self.process.kill());
    }
}

#[test]
fn an_acknowledged_write_survives_a_kill_in_the_middle_of_its_event() {
    let mut waiting = Waiting::start("notes-killed");
    waiting.kill();
    assert_eq!(list(&waiting.data, "cranelift"), "{\"notes\":[{\"id\":7,\"text\":\"buy bread\"}]}\n");
}

#[test]
fn a_second_process_on_the_same_data_is_told_so() {
    let mut waiting = Waiting::start("notes-shared");
    let second = Ran::of(run(&skill("notes"), &waiting.data).args(["--event", "note.list"])).refusal();
    for said in ["--data-dir", "memory.redb", "another process has this file open", "stop it, or choose another path"] {
        assert!(second.contains(said), "`{said}` is not in: {second}");
    }
    let second = Ran::of(run(&skill("notes"), &waiting.data).args(["--event", "note.list", "--json"]));
    assert_eq!(second.json()["error"]["fault"], "caller");
    // Whoever dies lets go of the file.
    waiting.kill();
    let ran = Ran::of(run(&skill("notes"), &waiting.data).args(["--event", "note.list", "--json"]));
    assert_eq!(ran.json()["response"], json!({ "notes": [{ "id": 7, "text": "buy bread" }] }));
}

#[test]
fn notes_are_added_listed_and_deleted() {
    for compiler in COMPILERS {
        let data = folder(&format!("notes-all-{compiler}")).join("data");
        let send = |event: &str, data_in: &str| {
            let mut command = run(&skill("notes"), &data);
            Ran::of(command.args(["--event", event, "--data", data_in, "--compiler", compiler]))
        };
        assert_eq!(send("note.add", r#"{"text":"one"}"#).answer(), "{\"id\":1,\"text\":\"one\"}\n");
        let added = send("note.add", r#"{"text":"zwei ü"}"#);
        assert!(added.stderr.starts_with("[info] note 2 added\nused: host_calls=4 "), "{}", added.stderr);
        assert_eq!(added.answer(), "{\"id\":2,\"text\":\"zwei ü\"}\n");
        assert_eq!(send("note.delete", r#"{"id":1}"#).answer(), "{\"deleted\":1}\n");
        assert_eq!(list(&data, compiler), "{\"notes\":[{\"id\":2,\"text\":\"zwei ü\"}]}\n");
        let refusal = send("note.delete", r#"{"id":1}"#).refusal();
        assert!(refusal.contains("error[skill_failed] (fault: guest): "), "{refusal}");
        assert!(refusal.contains("there is no note 1"), "{refusal}");
    }
}

//! A skill that asks an AI, against a small OpenAI-compatible endpoint on loopback.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};
use support::server::{Server, response};
use support::{COMPILERS, Ran, folder, run, skill};

const TEXT: &str = "Cats sleep for most of the day. They hunt at dusk.";

/// An endpoint that answers each prompt the same way.
fn endpoint(status: &'static str, answer: Json) -> Server {
    Server::start(move |_, stream| {
        stream.write_all(&response(status, "content-type: application/json\r\n", answer.to_string().as_bytes()))
    })
}

fn completion() -> Json {
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny",
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": " Cats sleep.\n" },
            "finish_reason": "stop",
        }],
        "usage": { "prompt_tokens": 21, "completion_tokens": 5, "total_tokens": 26 },
    })
}

/// Stores the document, in a process that needs no AI.
fn stored(data: &Path) {
    let document = json!({ "key": "doc/cats", "text": TEXT });
    let mut put = run(&skill("summarize"), data);
    let answer = Ran::of(put.args(["--event", "document.put", "--data", &document.to_string()])).answer();
    assert_eq!(answer, "{\"key\":\"doc/cats\",\"bytes\":50}\n");
}

fn summarize(data: &Path) -> Command {
    let mut command = run(&skill("summarize"), data);
    command.args(["--event", "document.summarize", "--data", r#"{"key":"doc/cats"}"#]);
    command
}

#[test]
fn the_reply_is_stored_and_its_tokens_are_counted() {
    for compiler in COMPILERS {
        let data = folder(&format!("summarize-{compiler}")).join("data");
        stored(&data);
        let server = endpoint("200 OK", completion());
        let mut command = summarize(&data);
        command.args(["--ai-url", &server.url("/v1"), "--ai-model", "tiny", "--compiler", compiler, "--json"]);
        let ran = Ran::of(command.env("CIS_AI_KEY", "key-that-stays-here"));
        let report = ran.json();
        let summary = json!({ "key": "doc/cats", "summary_key": "summary/cats", "summary": "Cats sleep." });
        assert_eq!(report["response"], summary, "{report}");
        assert_eq!(report["usage"]["ai_tokens"], 26);
        assert_eq!(report["log"], json!([{ "level": "info", "message": "doc/cats: 50 bytes to 11" }]));
        assert!(!ran.shows("key-that-stays-here"));

        let [request] = &server.seen()[..] else { panic!("one question, one request: {:?}", server.seen()) };
        assert_eq!(request.line(), "POST /v1/chat/completions");
        assert_eq!(request.header("authorization"), Some("Bearer key-that-stays-here"));
        let asked: Json = serde_json::from_slice(&request.body).unwrap();
        let prompt = format!("Summarize the following text in at most 2 sentences.\n\n{TEXT}");
        assert_eq!(asked["messages"], json!([{ "role": "user", "content": prompt }]));
        assert_eq!((&asked["model"], &asked["stream"]), (&json!("tiny"), &json!(false)));
    }
}

#[test]
fn a_setting_reaches_the_prompt() {
    let data = folder("summarize-setting").join("data");
    stored(&data);
    let server = endpoint("200 OK", completion());
    let mut command = summarize(&data);
    command.args(["--ai-url", &server.url("/v1"), "--ai-model", "tiny", "--config", "sentences=7"]);
    let ran = Ran::of(&mut command);
    assert!(ran.stderr.contains(" ai_calls=1 ai_tokens=26 "), "{}", ran.stderr);
    assert!(ran.answer().contains("\"summary\":\"Cats sleep.\""));
    let seen = server.seen();
    assert!(String::from_utf8_lossy(&seen[0].body).contains("in at most 7 sentences"));
    assert_eq!(seen[0].header("authorization"), None, "no key was given");
}

#[test]
fn without_an_ai_the_error_says_how_to_give_one() {
    let data = folder("summarize-none").join("data");
    stored(&data);
    let refusal = Ran::of(&mut summarize(&data)).refusal();
    for said in ["error[not_configured] (fault: caller)", "the host has no AI backend", "--ai-url", "--ai-model"] {
        assert!(refusal.contains(said), "`{said}` is not in: {refusal}");
    }
    let report = Ran::of(summarize(&data).arg("--json")).json();
    assert_eq!((&report["error"]["kind"], &report["error"]["fault"]), (&json!("not_configured"), &json!("caller")));
    assert_eq!(report["response"], Json::Null);
}

/// No answer is made up: the error names the endpoint's part in it.
#[track_caller]
fn fails(server: &Server, kind: &str, words: &str) {
    let data = folder(&format!("summarize-{kind}")).join("data");
    stored(&data);
    let mut command = summarize(&data);
    command.args(["--ai-url", &server.url("/v1"), "--ai-model", "tiny", "--json"]);
    let ran = Ran::of(command.env("CIS_AI_KEY", "key-that-stays-here"));
    let report = ran.json();
    assert_eq!(ran.code, Some(1));
    assert_eq!((&report["error"]["kind"], &report["error"]["fault"]), (&json!(kind), &json!("backend")), "{report}");
    assert!(report["error"]["message"].as_str().unwrap().contains(words), "{report}");
    assert!(!ran.shows("key-that-stays-here"));
    // The document is there as it was, and no summary.
    let put_again = Ran::of(&mut summarize(&data)).refusal();
    assert!(put_again.contains("not_configured"), "{put_again}");
}

#[test]
fn an_endpoint_that_refuses_is_named() {
    let error = json!({ "error": { "message": "no such model; you sent key-that-stays-here", "type": "invalid" } });
    fails(&endpoint("404 Not Found", error), "upstream_error", "no such model");
}

#[test]
fn an_answer_that_is_none_is_named() {
    fails(&endpoint("200 OK", json!({ "hello": "there" })), "backend_failed", "is not a chat completion");
}

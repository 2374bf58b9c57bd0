//! The AI backend asks an endpoint, and every way in which one can misbehave is an error of its own kind.
#![cfg(feature = "openai")]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use cis_wasm_abi::ceilings;
use cis_wasm_host::{
    AiBackend, AiReply, AiRequest, BackendError, BackendErrorKind, OpenAi, OpenAiConfig, ReplyLimit, SecretValue,
};
use serde_json::{Value, json};
use support::server::{Seen, Server, redirect, response, wait_for_close};
use support::{block_on, logs};

const KEY: &str = "sk-Canary-0123456789";

fn config(server: &Server) -> OpenAiConfig {
    let mut config = OpenAiConfig::new(server.url("/v1"), "small");
    config.api_key = Some(SecretValue::new(KEY).unwrap());
    config
}

fn ask(config: OpenAiConfig) -> Result<AiReply, BackendError> {
    let ai = OpenAi::new(config).unwrap();
    let answer = block_on(ai.chat(AiRequest { prompt: "why?".into(), max_reply_tokens: 50, idempotency_key: None }));
    silent(&format!("{ai:?} {answer:?}"));
    answer
}

#[track_caller]
fn silent(text: &str) {
    assert!(!text.to_lowercase().contains(&KEY.to_lowercase()), "the key shows: {text}");
}

fn completion() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "small-2",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "because" }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13 },
    })
}

fn ok(body: &Value) -> Vec<u8> {
    response("200 OK", "content-type: application/json\r\n", body.to_string().as_bytes())
}

#[track_caller]
fn answers(body: &Value, text: &str, prompt_tokens: u64, reply_tokens: u64) {
    let reply = ask(config(&Server::answering(ok(body)))).unwrap();
    assert_eq!(reply, AiReply { text: text.into(), prompt_tokens, reply_tokens });
}

/// The error of a server that answers like this.
fn error(answer: impl Fn(&Seen, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> BackendError {
    ask(config(&Server::start(answer))).unwrap_err()
}

#[track_caller]
fn fails(response: Vec<u8>, kind: BackendErrorKind, why: &str) {
    let error = error(move |_, stream| stream.write_all(&response));
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.message().contains(why), "`{error}` does not say `{why}`");
}

#[test]
fn a_question_is_asked_and_answered() {
    let server = Server::answering(ok(&completion()));
    let reply = ask(config(&server)).unwrap();
    assert_eq!(reply, AiReply { text: "because".into(), prompt_tokens: 11, reply_tokens: 2 });
    let [seen] = &server.seen()[..] else { panic!("one request") };
    assert_eq!(seen.line(), "POST /v1/chat/completions");
    assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {KEY}")));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let messages = json!([{ "role": "user", "content": "why?" }]);
    assert_eq!(body, json!({ "model": "small", "messages": messages, "stream": false, "max_tokens": 50 }));
}

#[test]
fn the_reply_is_limited_by_the_budget_and_by_the_operator() {
    let server = Server::answering(ok(&completion()));
    let limit = |max_reply_tokens, reply_limit, field: &str| {
        let mut config = config(&server);
        config.max_reply_tokens = max_reply_tokens;
        config.reply_limit = reply_limit;
        ask(config).unwrap();
        let body: Value = serde_json::from_slice(&server.seen().pop().unwrap().body).unwrap();
        body[field].as_u64()
    };
    assert_eq!(limit(1000, ReplyLimit::MaxTokens, "max_tokens"), Some(50));
    assert_eq!(limit(7, ReplyLimit::MaxTokens, "max_tokens"), Some(7));
    assert_eq!(limit(7, ReplyLimit::MaxTokens, "max_completion_tokens"), None);
    assert_eq!(limit(7, ReplyLimit::MaxCompletionTokens, "max_completion_tokens"), Some(7));
    assert_eq!(limit(7, ReplyLimit::MaxCompletionTokens, "max_tokens"), None);
}

#[test]
fn without_a_key_there_is_no_authorization() {
    let server = Server::answering(ok(&completion()));
    let mut config = config(&server);
    config.api_key = None;
    config.base_url.push('/');
    ask(config).unwrap();
    assert_eq!(server.seen()[0].header("authorization"), None);
    assert_eq!(server.seen()[0].line(), "POST /v1/chat/completions");
}

#[test]
fn endpoints_may_leave_out_all_but_the_text() {
    let bare = |content: &str| json!({ "choices": [{ "message": { "content": content } }] });
    // The estimate: a token for every four bytes, and one.
    answers(&bare("because"), "because", 2, 2);
    answers(&bare(""), "", 2, 1);
    let mut odd = completion();
    odd["service_tier"] = "somebody's own".into();
    odd["choices"][0]["finish_reason"] = "somebody's own".into();
    odd["usage"]["completion_tokens"] = Value::Null;
    answers(&odd, "because", 11, 2);
    odd["usage"] = Value::Null;
    answers(&odd, "because", 2, 2);
}

#[test]
fn an_answer_without_text_is_an_error() {
    let mut empty = completion();
    empty["choices"] = json!([]);
    fails(ok(&empty), BackendErrorKind::Failed, "has no choices");
    let mut call = completion();
    call["choices"][0] = json!({ "message": { "content": null }, "finish_reason": "tool_calls" });
    fails(ok(&call), BackendErrorKind::Upstream, "ended with `tool_calls`");
    call["choices"][0]["message"]["refusal"] = "I had rather not".into();
    fails(ok(&call), BackendErrorKind::Upstream, "I had rather not");
    for other in [json!({}), json!([]), json!(null), json!({ "choices": [{}] }), json!({ "error": "x" })] {
        fails(ok(&other), BackendErrorKind::Failed, "is not a chat completion");
    }
}

#[test]
fn what_is_not_json_fails() {
    for garbage in [&b""[..], b"<html>", b"{\"choices\": [", b"\xFF\xFE"] {
        fails(response("200 OK", "", garbage), BackendErrorKind::Failed, "not JSON");
    }
    fails(b"SSH-2.0\r\n\r\n".to_vec(), BackendErrorKind::Failed, "cannot reach the AI");
    let broken = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}".to_vec();
    fails(broken, BackendErrorKind::Failed, "broke off");
}

#[test]
fn a_status_that_is_not_2xx_is_an_upstream_error() {
    let body = json!({ "error": { "message": "Incorrect key provided", "type": "x", "param": null, "code": 1 } });
    let with = |status: &str| response(status, "", body.to_string().as_bytes());
    fails(with("401 Unauthorized"), BackendErrorKind::Upstream, "401: Incorrect key provided; check the API key");
    fails(with("400 Bad"), BackendErrorKind::Upstream, "400: Incorrect key provided");
    let text = json!({ "error": "model not found" }).to_string();
    fails(response("404 Not", "", text.as_bytes()), BackendErrorKind::Upstream, "404: model not found; check the base");
    fails(
        response("418 Tea", "", b"<h1>short\n and\tstout</h1>"),
        BackendErrorKind::Upstream,
        "<h1>short and stout</h1>",
    );
    fails(response("500 Broken", "", b""), BackendErrorKind::Upstream, "HTTP status 500");
    let long = "x".repeat(ceilings::REPLY);
    let error = error(move |_, stream| stream.write_all(&response("400 Bad", "", long.as_bytes())));
    assert!(error.message().len() < 1000, "{}", error.message().len());
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Server::answering(ok(&completion()));
    let target = other.url("/v1/chat/completions");
    fails(redirect(307, &target), BackendErrorKind::Upstream, "redirects are not followed");
    assert_eq!(other.connections(), 0);
}

/// A server that answers like this a few times, and then with a completion.
fn busy(times: usize, response: Vec<u8>) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |_, stream| {
        let busy = asked.fetch_add(1, Ordering::SeqCst) < times;
        stream.write_all(&if busy { response.clone() } else { ok(&completion()) })
    })
}

#[test]
fn a_busy_endpoint_is_asked_again() {
    for status in ["429 Too Many", "500 Broken", "502 Bad", "503 Busy", "504 Late"] {
        let server = busy(1, response(status, "retry-after: 0\r\n", b""));
        assert_eq!(ask(config(&server)).unwrap().text, "because");
        assert_eq!(server.connections(), 2, "{status}");
    }
    let server = busy(2, response("503 Busy", "", b""));
    assert_eq!(ask(config(&server)).unwrap().text, "because");
    assert_eq!(server.connections(), 3);
}

#[test]
fn it_is_not_asked_for_ever() {
    let server = busy(usize::MAX, response("429 Too Many", "retry-after: 0\r\n", b"slow down"));
    let error = ask(config(&server)).unwrap_err();
    assert_eq!((error.kind(), server.connections()), (BackendErrorKind::Upstream, 3));
    assert!(error.message().contains("429: slow down"), "{error}");
}

#[test]
fn an_endpoint_that_wants_more_patience_than_there_is_gets_none() {
    for patience in [3600, u64::MAX] {
        let server = busy(1, response("429 Too Many", &format!("retry-after: {patience}\r\n"), b"come back later"));
        let error = ask(config(&server)).unwrap_err();
        assert_eq!((error.kind(), server.connections()), (BackendErrorKind::Upstream, 1));
        assert!(error.message().contains("come back later"), "{error}");
    }
}

#[test]
fn a_timeout_may_be_as_good_as_none() {
    let server = busy(1, response("503 Busy", "", b""));
    let mut config = config(&server);
    config.timeout = Duration::MAX;
    assert_eq!(ask(config).unwrap().text, "because");
}

#[test]
fn a_refusal_is_not_asked_again() {
    for status in ["400 Bad", "401 Unauthorized", "403 Forbidden", "404 Not Found", "422 Odd"] {
        let server = busy(1, response(status, "", b""));
        assert_eq!(ask(config(&server)).unwrap_err().kind(), BackendErrorKind::Upstream);
        assert_eq!(server.connections(), 1, "{status}");
    }
}

#[test]
fn an_endpoint_that_does_not_answer_is_late() {
    let late = |answer: fn(&Seen, &mut TcpStream) -> std::io::Result<()>| {
        let mut config = config(&Server::start(answer));
        config.timeout = Duration::from_millis(300);
        let error = ask(config).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::TimedOut, "{error}");
        assert!(error.message().contains("not answered within 300ms"), "{error}");
    };
    late(|_, stream| wait_for_close(stream));
    late(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")?;
        loop {
            stream.write_all(b" ")?;
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

#[test]
fn an_over_large_answer_is_cut_off() {
    let error = error(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n\"")?;
        loop {
            stream.write_all(&[b'x'; 1 << 16])?;
        }
    });
    assert_eq!(error.kind(), BackendErrorKind::TooLarge, "{error}");
}

#[test]
fn nobody_there_fails() {
    // Not a port that was free just now: the system may give that to another test's server.
    let error = ask(OpenAiConfig::new("http://127.0.0.1:9/v1", "small")).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Failed);
    assert!(error.message().contains("cannot reach the AI"), "{error}");
}

#[test]
fn the_key_stays_with_the_endpoint() {
    logs::catch();
    let echo = |seen: &Seen| format!("{} {KEY}", seen.head);
    for answer in [
        |seen: &str| response("200 OK", "", seen.as_bytes()),
        |seen: &str| ok(&json!({ "choices": seen })),
        |seen: &str| ok(&json!({ "choices": [{ "message": { "content": seen } }] })),
        |seen: &str| ok(&json!({ "choices": [{ "message": { "refusal": seen } }] })),
        |seen: &str| response("401 Unauthorized", "", seen.as_bytes()),
        |seen: &str| response("500 Broken", "retry-after: 0\r\n", seen.as_bytes()),
        |seen: &str| response("400 Bad", "", json!({ "error": { "message": seen } }).to_string().as_bytes()),
        |seen: &str| format!("HTTP/1.1 {seen}").into_bytes(),
        |_: &str| redirect(302, &format!("http://{KEY}.example/")),
    ] {
        let server = Server::start(move |seen, stream| stream.write_all(&answer(&echo(seen))));
        // `ask` looks at the answer and at what is shown of the backend.
        let _ = ask(config(&server));
        assert!(server.seen()[0].head.contains(KEY));
    }
    let caught = logs::caught();
    assert!(caught.contains("starting new connection"), "the log is caught: {caught}");
    silent(&caught);
}

#[test]
fn what_is_no_base_url_is_refused() {
    for (url, why) in [
        ("", "relative URL without a base"),
        ("api.example.com/v1", "relative URL without a base"),
        ("ftp://api.example.com", "neither http nor https"),
        ("https://user:password@api.example.com", "use the API key"),
        ("https://api.example.com/v1?key=1", "a query"),
        ("https://", "empty host"),
    ] {
        let error = OpenAi::new(OpenAiConfig::new(url, "small")).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidRequest);
        assert!(error.message().contains(why), "{error}");
        assert!(!error.message().contains("password@"), "{error}");
    }
}

#[test]
fn nothing_is_read_from_the_environment() {
    const URL: &str = "CIS_TEST_AI_URL";
    if let Ok(url) = std::env::var(URL) {
        let mut config = OpenAiConfig::new(url, "small");
        config.timeout = Duration::from_secs(60);
        ask(config).unwrap();
        return;
    }
    let server = Server::answering(ok(&completion()));
    let wrong = Server::answering(ok(&completion()));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_is_read_from_the_environment"])
        .env(URL, server.url("/v1"))
        .envs(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "OPENAI_BASE_URL"].map(|name| (name, wrong.url("/v1"))))
        .envs(["OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"].map(|name| (name, "from-the-environment")))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(child.success());
    assert_eq!((server.connections(), wrong.connections()), (1, 0));
    assert!(!server.seen()[0].head.contains("from-the-environment"), "{}", server.seen()[0].head);
}

#[test]
fn giving_up_a_question_closes_its_connection() {
    let (arrived, waiting) = mpsc::channel();
    let (closed, closing) = mpsc::channel();
    let server = Server::start(move |_, stream| {
        arrived.send(()).unwrap();
        wait_for_close(stream)?;
        closed.send(()).unwrap();
        Ok(())
    });
    let ai = OpenAi::new(config(&server)).unwrap();
    let mut question = ai.chat(AiRequest { prompt: "why?".into(), max_reply_tokens: 1, idempotency_key: None });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(question.as_mut().poll(&mut context).is_pending());
    waiting.recv_timeout(Duration::from_secs(60)).expect("the request arrives while nobody polls");
    drop(question);
    closing.recv_timeout(Duration::from_secs(60)).expect("the connection is closed when the question is given up");
}

#[test]
fn a_durable_event_says_which_question_it_is() {
    let server = Server::answering(ok(&completion()));
    let ai = OpenAi::new(config(&server)).unwrap();
    let idempotency_key = Some("store-7-3".into());
    block_on(ai.chat(AiRequest { prompt: "why?".into(), max_reply_tokens: 1, idempotency_key })).unwrap();
    let seen = server.seen().pop().unwrap();
    assert_eq!(seen.header("idempotency-key"), Some("store-7-3"));
    assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {KEY}")));
}

#[test]
fn a_backend_works_inside_another_runtime_and_goes_without_waiting() {
    let server = Server::answering(ok(&completion()));
    let ai = Arc::new(OpenAi::new(config(&server)).unwrap());
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let reply = tokio.block_on(async move {
        let reply = ai.chat(AiRequest { prompt: "why?".into(), max_reply_tokens: 1, idempotency_key: None }).await;
        drop(ai);
        reply
    });
    assert_eq!(reply.unwrap().text, "because");
}

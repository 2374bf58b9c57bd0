//! A skill that posts to a loopback server, with a secret that it never sees.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use support::server::{Server, redirect, response};
use support::{COMPILERS, Ran, folder, run, skill};

const CANARY: &str = "canary-7f3a91c4e2";

/// A server that tells everybody what it was told.
fn echoing(status: &'static str) -> Server {
    Server::start(move |request, stream| {
        let token = request.header("authorization").unwrap_or("no token").to_owned();
        stream.write_all(&response(status, "content-type: text/plain\r\n", format!("you sent: {token}").as_bytes()))
    })
}

/// An event for a server. The operator has not allowed it yet.
fn send(server: &Server, data: &Path) -> Command {
    let mut command = run(&skill("webhook"), data);
    let payload = json!({ "payload": { "door": "open" }, "path": "/1" });
    command.args(["--event", "webhook.send", "--data", &payload.to_string()]);
    command.arg("--config").arg(format!("url={}", server.url("/hook")));
    command.args(["--secret", "WEBHOOK_TOKEN"]).env("WEBHOOK_TOKEN", CANARY);
    command
}

#[test]
fn it_posts_where_the_operator_allows_with_the_secret() {
    for compiler in COMPILERS {
        let data = folder(&format!("webhook-{compiler}")).join("data");
        let server = echoing("200 OK");
        let mut command = send(&server, &data);
        command.args(["--allow-http", &server.authority(), "--compiler", compiler]);
        let ran = Ran::of(&mut command);
        assert!(!ran.shows(CANARY), "{ran:?}");
        assert!(ran.stderr.contains(" http_requests=1 "), "{}", ran.stderr);
        let response = json!({ "url": server.url("/hook/1"), "response": "you sent: Bearer [secret]" });
        assert_eq!(ran.json(), response);

        let ran = Ran::of(command.arg("--json"));
        assert!(!ran.shows(CANARY), "{ran:?}");
        let report = ran.json();
        assert_eq!((&report["response"], &report["usage"]["http_requests"]), (&response, &json!(1)), "{report}");

        let seen = server.seen();
        assert_eq!((seen.len(), server.connections()), (2, 2));
        for request in seen {
            assert_eq!(request.line(), "POST /hook/1");
            assert_eq!(request.header("authorization"), Some(format!("Bearer {CANARY}").as_str()));
            assert_eq!(request.body, br#"{"door":"open"}"#);
        }
    }
}

#[test]
fn what_the_operator_did_not_allow_is_denied_without_a_connection() {
    let server = echoing("200 OK");
    for (name, allowed) in [("nothing", None), ("port", Some("127.0.0.1:1")), ("host", Some("localhost"))] {
        let data = folder(&format!("webhook-denied-{name}")).join("data");
        let mut command = send(&server, &data);
        command.args(allowed.map(|allowed| format!("--allow-http={allowed}")));
        let ran = Ran::of(&mut command);
        assert!(!ran.shows(CANARY), "{ran:?}");
        let refusal = ran.refusal();
        assert!(refusal.contains("error[denied]") && refusal.contains("loopback"), "{refusal}");
    }
    // What the operator allows, the manifest has to allow too: it names 127.0.0.1, and this is another.
    let data = folder("webhook-denied-manifest").join("data");
    let mut command = send(&server, &data);
    command.args(["--allow-http", "127.0.0.2", "--config", &format!("url=http://127.0.0.2:{}/", server.port())]);
    let refusal = Ran::of(&mut command).refusal();
    assert!(refusal.contains("error[denied]") && refusal.contains("manifest"), "{refusal}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_server_that_refuses_tells_nobody_the_secret() {
    let data = folder("webhook-refused").join("data");
    let server = echoing("403 Forbidden");
    let mut command = send(&server, &data);
    let ran = Ran::of(command.args(["--allow-http", &server.authority()]));
    assert!(!ran.shows(CANARY), "{ran:?}");
    let refusal = ran.refusal();
    assert!(refusal.contains("error[upstream_error] (fault: backend)") && refusal.contains("403"), "{refusal}");
    assert_eq!(server.seen()[0].header("authorization"), Some(format!("Bearer {CANARY}").as_str()));
}

#[test]
fn a_redirect_leads_nowhere_that_was_not_allowed() {
    let data = folder("webhook-redirect").join("data");
    let target = echoing("200 OK");
    let location = target.url("/").replace("127.0.0.1", "localhost");
    let server = Server::start(move |_, stream| stream.write_all(&redirect(307, &location)));
    let mut command = send(&server, &data);
    let ran = Ran::of(command.args(["--allow-http", &server.authority()]));
    assert!(!ran.shows(CANARY), "{ran:?}");
    assert!(ran.refusal().contains("error[denied]"));
    assert_eq!((server.connections(), target.connections()), (1, 0));
}

#[test]
fn without_a_secret_there_is_no_header() {
    let data = folder("webhook-bare").join("data");
    let server = echoing("200 OK");
    let mut command = run(&skill("webhook"), &data);
    command.args(["--event", "webhook.send", "--data", r#"{"payload":{"a":"b"}}"#]).env("WEBHOOK_TOKEN", CANARY);
    command.args(["--config", &format!("url={}", server.url("/")), "--allow-http", &server.authority()]);
    assert_eq!(Ran::of(&mut command).json()["response"], "you sent: no token");
}

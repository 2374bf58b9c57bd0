//! Twenty canary secrets reach the server they are for, and nothing else: no reply, no log, no error, no `Debug`.
#![cfg(feature = "http")]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use cis_wasm_abi::Status;
use cis_wasm_host::{EgressClient, EgressPolicy, HostReply, HttpRequest, SecretGrant, Secrets};
use support::egress::{Names, Posted, Poster};
use support::logs;
use support::server::{Seen, Server, redirect, response, wait_for_close};

const CANARIES: usize = 20;

/// A canary's value. Some are words, some are what an encoder has to escape, one begins with another.
fn canary(number: usize) -> String {
    let kind = ["plain", "with space", "qu\"ote", "back\\slash", "sl/ash+=&%"][number % 5];
    if number == 19 { format!("{}-and-more", canary(0)) } else { format!("Canary-{number:02}-{kind}-chirp") }
}

fn header(number: usize) -> String {
    match number {
        0 => "authorization".into(),
        1 => "cookie".into(),
        _ => format!("x-canary-{number}"),
    }
}

fn secrets() -> Secrets {
    (0..CANARIES).fold(Secrets::new(), |secrets, number| secrets.with(format!("name-{number}"), canary(number)))
}

/// Every canary goes to this server, and to no other.
fn grants(server: &Server) -> Vec<SecretGrant> {
    let grant = |number| SecretGrant {
        name: format!("name-{number}"),
        rule: format!("http://{}", server.authority()).parse().unwrap(),
        header: header(number),
        prefix: if number == 0 { "Bearer ".into() } else { String::new() },
    };
    (0..CANARIES).map(grant).collect()
}

fn poster(server: &Server) -> Poster {
    let policy = EgressPolicy::deny_private().allow_network("127.0.0.0/8").unwrap();
    let client = EgressClient::with_resolver(policy.timeout(Duration::from_millis(500)), Names::default()).unwrap();
    Poster::with_client(client, &["http://127.0.0.1:*", "http://*.test:*"], secrets(), grants(server))
}

/// The ways in which a canary could show.
fn spellings(number: usize) -> Vec<String> {
    let canary = canary(number);
    let json = serde_json::Value::from(&*canary).to_string().trim_matches('"').to_owned();
    let query: String = url::form_urlencoded::byte_serialize(canary.as_bytes()).collect();
    let debug = format!("{canary:?}").trim_matches('"').to_owned();
    vec![json.replace('/', "\\/"), canary, json, query.replace('+', "%20"), query, debug]
}

#[track_caller]
fn silent(text: &str, place: &str) {
    let lower = text.to_lowercase();
    for number in 0..CANARIES {
        for spelling in spellings(number) {
            assert!(!lower.contains(&spelling.to_lowercase()), "canary {number} sings in {place}: {text}");
        }
    }
    // Also no part that a half-done replacement would leave.
    assert!(!lower.contains("chirp"), "a tail of a canary is in {place}: {text}");
}

#[track_caller]
fn keeps_quiet(posted: &Posted) {
    if let HostReply::Bytes(reply) = &posted.reply {
        silent(&String::from_utf8_lossy(reply), "the reply");
    }
    silent(&posted.why, "the error");
    silent(&format!("{:?} {:#?}", posted.event, posted.event), "the event");
    silent(&logs::caught(), "the log");
}

#[track_caller]
fn sang(seen: &Seen) {
    for number in 0..CANARIES {
        let prefix = if number == 0 { "Bearer " } else { "" };
        assert_eq!(seen.header(&header(number)), Some(&*format!("{prefix}{}", canary(number))));
    }
}

/// A server that was sent the canaries and gives them back in its own way.
fn given_back(answer: impl Fn(&Seen, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Posted {
    logs::catch();
    let server = Server::start(answer);
    let posted = poster(&server).post(&server.url("/"), b"body");
    sang(&server.seen()[0]);
    keeps_quiet(&posted);
    posted
}

fn everything(seen: &Seen) -> String {
    format!("{}{}", seen.head, String::from_utf8_lossy(&seen.body))
}

#[test]
fn a_server_that_echoes() {
    let posted = given_back(|seen, stream| stream.write_all(&response("200 OK", "", everything(seen).as_bytes())));
    let HostReply::Bytes(reply) = posted.reply else { panic!("{}", posted.why) };
    let reply = String::from_utf8(reply.to_vec()).unwrap();
    assert_eq!(reply.matches("[secret]").count(), CANARIES, "{reply}");
    assert!(reply.ends_with("body"), "the rest of the echo is there: {reply}");
}

#[test]
fn a_server_that_echoes_in_json_and_in_a_query() {
    let posted = given_back(|seen, stream| {
        let all = everything(seen);
        let json = serde_json::Value::from(&*all).to_string();
        let query: String = url::form_urlencoded::byte_serialize(all.as_bytes()).collect();
        let slashed = json.replace('/', "\\/");
        stream.write_all(&response("200 OK", "", format!("{json}\n{query}\n{slashed}").as_bytes()))
    });
    assert!(matches!(posted.reply, HostReply::Bytes(_)), "{}", posted.why);
}

#[test]
fn a_server_that_echoes_compressed_and_in_pieces() {
    let posted = given_back(|seen, stream| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(everything(seen).as_bytes())?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")?;
        for byte in gzip.finish()? {
            stream.write_all(&[b'1', b'\r', b'\n', byte, b'\r', b'\n'])?;
        }
        stream.write_all(b"0\r\n\r\n")
    });
    assert!(matches!(posted.reply, HostReply::Bytes(_)), "{}", posted.why);
}

#[test]
fn a_server_that_fails() {
    given_back(|seen, stream| stream.write_all(&response("500 Broken", "", everything(seen).as_bytes())))
        .failed(Status::UpstreamError, "500");
    given_back(|seen, stream| {
        let reason = seen.header("authorization").unwrap_or_default();
        stream.write_all(&response(&format!("403 {reason}"), "", b""))
    })
    .failed(Status::UpstreamError, "403");
}

#[test]
fn a_server_that_talks_nonsense() {
    given_back(|seen, stream| stream.write_all(everything(seen).as_bytes())).failed(Status::BackendFailed, "");
    given_back(|seen, stream| {
        let head = format!("HTTP/1.1 200 OK\r\n{}: x\r\n\r\n", seen.header("cookie").unwrap_or_default());
        stream.write_all(head.as_bytes())
    })
    .failed(Status::BackendFailed, "");
    given_back(|seen, stream| {
        let secret = seen.header("authorization").unwrap_or_default();
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {secret}\r\n\r\n").as_bytes())
    })
    .failed(Status::BackendFailed, "");
}

#[test]
fn a_server_that_breaks_off_or_stalls() {
    given_back(|_, _| Ok(())).failed(Status::BackendFailed, "");
    given_back(|seen, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")?;
        stream.write_all(everything(seen).as_bytes())
    })
    .failed(Status::BackendFailed, "");
    given_back(|_, stream| wait_for_close(stream)).failed(Status::TimedOut, "");
}

#[test]
fn a_redirect_elsewhere_takes_no_secret_along() {
    for status in [301, 302, 303, 307, 308] {
        logs::catch();
        let other =
            Server::start(|seen, stream| stream.write_all(&response("200 OK", "", everything(seen).as_bytes())));
        let server = Server::answering(redirect(status, &other.url("/")));
        let posted = poster(&server).post(&server.url("/"), b"body");
        sang(&server.seen()[0]);
        let [seen] = &other.seen()[..] else { panic!("one request") };
        silent(&seen.head, "the other server's headers");
        for number in 0..CANARIES {
            assert_eq!(seen.header(&header(number)), None);
        }
        keeps_quiet(&posted);
        assert!(matches!(posted.reply, HostReply::Bytes(_)), "{}", posted.why);
    }
}

#[test]
fn a_redirect_to_the_same_host_and_back_is_sent_the_secret_again() {
    logs::catch();
    let server = Server::start(|seen, stream| match seen.line() {
        "POST /" => stream.write_all(&redirect(307, "/again")),
        _ => stream.write_all(&response("200 OK", "", b"in")),
    });
    let posted = poster(&server).post(&server.url("/"), b"");
    posted.is(b"in");
    server.seen().iter().for_each(sang);
    keeps_quiet(&posted);
}

#[test]
fn a_redirect_whose_target_holds_the_secret() {
    let other = Server::answering(response("200 OK", "", b"heard"));
    for path in [
        "http://{}.denied.example/",
        "http://{}.test/",
        "{other}/{}",
        "{other}/?q={}",
        "{other}/#{}",
        "/{}",
        "{}:opaque",
    ] {
        for number in 2..CANARIES {
            let path = path.replace("{other}", &other.url(""));
            let secret = canary(number);
            let query: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            for spelling in [secret, query.replace('+', "%20"), query] {
                let path = path.replace("{}", &spelling);
                let posted = given_back(move |_, stream| stream.write_all(&redirect(307, &path)));
                // Some are no URLs at all.
                if posted.reply != HostReply::Status(Status::UpstreamError) {
                    posted.failed(Status::Denied, "redirects to a URL with a secret in it");
                }
            }
        }
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn nobody_there_to_be_told() {
    logs::catch();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::answering(response("200 OK", "", b""));
    let mut poster = poster(&server);
    for grant in &mut poster.grants.secrets {
        grant.rule = format!("http://{address}").parse().unwrap();
    }
    drop(listener);
    let posted = poster.post(&format!("http://{address}/"), b"");
    posted.failed(Status::BackendFailed, "");
    keeps_quiet(&posted);
}

#[test]
fn a_secret_in_a_header_that_is_not_the_skills_is_refused() {
    logs::catch();
    let server = Server::answering(response("200 OK", "", b""));
    for (name, prefix, why) in [
        ("host", "", "is not a skill's to set"),
        ("content-length", "", "is not a skill's to set"),
        ("transfer-encoding", "", "is not a skill's to set"),
        ("proxy-authorization", "", "is not a skill's to set"),
        ("two words", "", "is not the name of a header"),
        ("", "", "is not the name of a header"),
        ("x-ok", "line\r\nfeed: ", "has a value that no header can carry"),
    ] {
        let mut poster = poster(&server);
        poster.grants.secrets.truncate(1);
        poster.grants.secrets[0].header = name.into();
        poster.grants.secrets[0].prefix = prefix.into();
        let posted = poster.post(&server.url("/"), b"");
        posted.failed(Status::InvalidArgument, why);
        keeps_quiet(&posted);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn what_holds_the_secrets_does_not_show_them() {
    let server = Server::answering(response("200 OK", "", b""));
    let poster = poster(&server);
    let grants = std::sync::Arc::new(poster.grants.clone());
    let request =
        HttpRequest::new(server.url("/").parse().unwrap(), "body".into(), grants, std::sync::Arc::new(secrets()));
    let url = request.url.clone();
    let headers: Vec<_> = request.secret_headers(&url).collect();
    assert_eq!(headers.len(), CANARIES);
    silent(&format!("{request:?} {request:#?} {headers:?} {:?} {:?}", secrets(), poster.grants), "a `Debug`");
}

/// The log would show them: what is written while the canaries fly is really caught.
#[test]
fn the_log_is_caught() {
    logs::catch();
    let server = Server::answering(response("200 OK", "", b""));
    poster(&server).post("https://not.granted.example/", b"").failed(Status::Denied, "");
    poster(&server).post(&server.url("/"), b"").is(b"");
    let caught = logs::caught();
    assert!(caught.contains("permissions.http.allow"), "tracing: {caught}");
    assert!(caught.contains("starting new connection"), "log: {caught}");
}

//! The egress client does what a POST is: what goes out, what comes back, and how redirects are followed.
#![cfg(feature = "http")]

mod support;

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use cis_wasm_abi::Status;
use cis_wasm_host::{
    Amounts, BackendErrorKind, CallContext, EgressClient, EgressPolicy, HostCall, HostError, HostReply, HttpBackend,
    HttpGrant, HttpRequest, Resolver, Resource, SkillScope,
};
use support::egress::{Names, Poster};
use support::server::{Server, redirect, response, wait_for_close};
use support::{block_on, scope};

const RULES: &[&str] = &["http://127.0.0.1:*", "http://127.0.0.2:*", "http://*.test:*"];

fn policy() -> EgressPolicy {
    EgressPolicy::deny_private().allow_network("127.0.0.0/8").unwrap()
}

fn poster() -> Poster {
    Poster::new(policy(), RULES)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_post_goes_out_and_its_response_comes_back() {
    let server = Server::answering(response("200 OK", "", b"\0answer\xFF"));
    poster().post(&server.url("/a/b?c=d#e"), b"{\"n\": 1}").is(b"\0answer\xFF");
    let [seen] = &server.seen()[..] else { panic!("one request") };
    assert_eq!(seen.line(), "POST /a/b?c=d");
    assert_eq!(seen.body, b"{\"n\": 1}");
}

#[test]
fn what_was_checked_is_what_is_asked_for() {
    // Parsers disagree about where such a host ends. One parser reads it here, once.
    let server = Server::answering(response("200 OK", "", b"in"));
    let url = |tail: &str| format!("http://{}{tail}", server.authority());
    for (tail, line) in [
        ("\\@evil.test/", "POST /@evil.test/"),
        ("/@evil.test", "POST /@evil.test"),
        ("#@evil.test/", "POST /"),
        ("?@evil.test/", "POST /?@evil.test/"),
        ("/a/../b", "POST /b"),
        ("/%2e%2e/b", "POST /b"),
        ("/a\r\nx-evil: 1", "POST /ax-evil:%201"),
    ] {
        poster().post(&url(tail), b"").is(b"in");
        assert_eq!(server.seen().pop().unwrap().line(), line);
    }
}

#[test]
fn only_known_headers_go_out() {
    let server = Server::answering(response("200 OK", "set-cookie: a=b\r\n", b""));
    let poster = poster();
    for (body, kind) in [
        (&b"[1]"[..], "application/json"),
        (b"\"text\"", "application/json"),
        (b"{broken", "application/octet-stream"),
        (b"\xFF", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ] {
        poster.post(&server.url("/"), body).is(b"");
        let seen = server.seen().pop().unwrap();
        let mut names: Vec<_> =
            seen.head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_lowercase())).collect();
        names.sort();
        assert_eq!(names, ["accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"]);
        assert_eq!(seen.header("content-type"), Some(kind));
        assert_eq!(seen.header("host"), Some(&*server.authority()));
        assert_eq!(seen.header("user-agent"), Some(concat!("cis-skill/", env!("CARGO_PKG_VERSION"))));
    }
}

#[test]
fn a_compressed_response_is_decompressed() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"plain text").unwrap();
    let server = Server::answering(response("200 OK", "content-encoding: gzip\r\n", &gzip.finish().unwrap()));
    poster().post(&server.url("/"), b"").is(b"plain text");
}

#[test]
fn a_connection_is_used_again() {
    let keep = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let server = Server::start(move |_, stream| {
        stream.write_all(keep("one").as_bytes())?;
        support::server::read_one(stream)?;
        stream.write_all(keep("two").as_bytes())
    });
    let poster = poster();
    poster.post(&server.url("/"), b"").is(b"one");
    poster.post(&server.url("/"), b"").is(b"two");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_status_that_is_not_2xx_is_an_upstream_error() {
    for status in ["199 Odd", "301 Nowhere", "304 Same", "400 Bad", "503 Busy"] {
        let server = Server::answering(response(status, "", b""));
        let posted = poster().post(&server.url("/"), b"");
        if status.starts_with('1') {
            // An interim response without a final one.
            assert_eq!(posted.reply, HostReply::Status(Status::BackendFailed), "{}", posted.why);
        } else {
            posted.failed(Status::UpstreamError, &status[..3]);
        }
    }
}

#[test]
fn a_redirect_turns_a_post_into_a_get_or_keeps_it() {
    for (status, line, body) in [
        (301, "GET /there", &b""[..]),
        (302, "GET /there", b""),
        (303, "GET /there", b""),
        (307, "POST /there", b"body"),
        (308, "POST /there", b"body"),
    ] {
        let server = Server::start(move |seen, stream| match seen.line() {
            "POST /here" => stream.write_all(&redirect(status, "there")),
            _ => stream.write_all(&response("200 OK", "", b"arrived")),
        });
        let posted = poster().post(&server.url("/here"), b"body");
        posted.is(b"arrived");
        let seen = server.seen();
        assert_eq!((seen[1].line(), &seen[1].body[..]), (line, body), "{status}");
        assert_eq!(seen[1].header("content-type").is_some(), !body.is_empty());
        assert_eq!(seen[1].header("referer"), None);
        assert_eq!(posted.event.ledger.used().of(Resource::HttpRequests), 2);
    }
}

#[test]
fn a_redirect_goes_to_another_granted_host() {
    let target = Server::answering(response("200 OK", "", b"arrived"));
    let names = Names::default();
    names.answer("a.test", [vec![ip("127.0.0.1")]]);
    let url = format!("http://a.test:{}/x", target.port());
    let server = Server::answering(redirect(307, &url));
    Poster::resolving(policy(), &names, RULES).post(&server.url("/"), b"body").is(b"arrived");
    assert_eq!(target.seen()[0].header("host"), Some(&*format!("a.test:{}", target.port())));
}

#[test]
fn a_redirect_to_a_host_without_a_grant_is_refused() {
    let target = Server::answering(response("200 OK", "", b"arrived"));
    let server = Server::answering(redirect(307, &target.url("/")));
    let posted = Poster::new(policy(), &[&format!("http://{}", server.authority())]).post(&server.url("/"), b"");
    posted.failed(Status::Denied, "permissions.http.allow");
    assert_eq!(target.connections(), 0);
}

#[test]
fn a_redirect_to_something_else_is_an_upstream_error_or_denied() {
    for (location, status, why) in [
        ("http://", Status::UpstreamError, "not a URL"),
        ("http://[::1", Status::UpstreamError, "not a URL"),
        ("\u{e9}\u{ff}", Status::UpstreamError, "not a URL"),
        ("file:///etc/passwd", Status::Denied, "neither http nor https"),
        ("javascript:alert(1)", Status::Denied, "neither http nor https"),
        ("http://user:password@127.0.0.1/", Status::Denied, "permissions.http.allow"),
    ] {
        let server = Server::answering(redirect(302, location));
        poster().post(&server.url("/"), b"").failed(status, why);
        assert_eq!(server.connections(), 1, "{location}");
    }
    let long = format!("/{}", "x".repeat(cis_wasm_abi::ceilings::URL));
    let server = Server::answering(redirect(302, &long));
    poster().post(&server.url("/"), b"").failed(Status::TooLarge, "overlong URL");
}

#[test]
fn a_redirect_without_a_location_is_a_response() {
    let server = Server::answering(response("302 Found", "", b""));
    poster().post(&server.url("/"), b"").failed(Status::UpstreamError, "302");
}

#[test]
fn a_redirect_loop_ends_and_is_charged() {
    let server = Server::answering(redirect(307, "/again"));
    let posted = Poster::new(policy().max_redirects(4), RULES).post(&server.url("/"), b"");
    posted.failed(Status::UpstreamError, "redirects more than 4 times");
    assert_eq!(server.connections(), 5);
    assert_eq!(posted.event.ledger.used().of(Resource::HttpRequests), 5);
}

#[test]
fn redirects_can_be_switched_off() {
    let server = Server::answering(redirect(307, "/again"));
    Poster::new(policy().max_redirects(0), RULES).post(&server.url("/"), b"").failed(Status::UpstreamError, "307");
    assert_eq!(server.connections(), 1);
}

#[test]
fn redirects_end_with_the_budget() {
    let server = Server::answering(redirect(307, "/again"));
    let poster = poster();
    let budget = Amounts::DEFAULT_LIMITS.with(Resource::HttpRequests, 3);
    let event = CallContext::new(SkillScope { budget, ..scope("poster", poster.grants.clone()) }.into());
    let mut posted = poster.post_in(event, &server.url("/"), b"");
    posted.failed(Status::Denied, "more than the 3 requests that are left");
    assert_eq!(server.connections(), 3);
    assert_eq!(posted.event.ledger.left(Resource::HttpRequests), 0);
    let again = HostCall::HttpPost { url: server.url("/"), body: Bytes::new() };
    let error = block_on(poster.host.call(&mut posted.event, again)).unwrap_err();
    assert!(matches!(error, HostError::BudgetExhausted { resource: Resource::HttpRequests, .. }), "{error}");
}

#[test]
fn a_rebinding_name_is_caught_at_its_second_answer() {
    // 127.0.0.2 stands for an address that may be reached; 127.0.0.1 is the one a rebinding is after.
    let good = Server::start_at(ip("127.0.0.2"), 0, |_, stream| stream.write_all(&response("200 OK", "", b"good")));
    let trap =
        Server::start_at(ip("127.0.0.1"), good.port(), |_, stream| stream.write_all(&response("200 OK", "", b"bad")));
    let policy = EgressPolicy::deny_private().allow_network("127.0.0.2/32").unwrap();
    let names = Names::default();
    names.answer("rebind.test", [vec![ip("127.0.0.2")], vec![ip("127.0.0.1")]]);
    let poster = Poster::resolving(policy, &names, RULES);
    let url = format!("http://rebind.test:{}/", good.port());
    // A check by one answer and a connection by the next would land in the trap here already.
    poster.post(&url, b"").is(b"good");
    assert_eq!(names.asked().len(), 1, "one look-up for one connection");
    for _ in 0..3 {
        poster.post(&url, b"").failed(Status::Denied, "127.0.0.1 is a loopback address");
    }
    assert_eq!((good.connections(), trap.connections()), (1, 0));
    // The trap is one: with leave, the same answer leads into it.
    Poster::resolving(self::policy(), &names, RULES).post(&url, b"").is(b"bad");
    assert_eq!(trap.connections(), 1);
}

#[test]
fn one_forbidden_address_spoils_the_answer() {
    let good = Server::start_at(ip("127.0.0.2"), 0, |_, stream| stream.write_all(&response("200 OK", "", b"good")));
    let policy = || EgressPolicy::deny_private().allow_network("127.0.0.2/32").unwrap();
    let names = Names::default();
    let poster = Poster::resolving(policy(), &names, RULES);
    let url = format!("http://mixed.test:{}/", good.port());
    for answer in [["127.0.0.2", "10.0.0.1"], ["10.0.0.1", "127.0.0.2"], ["127.0.0.2", "::ffff:127.0.0.2"]] {
        names.answer("mixed.test", [answer.map(ip).to_vec()]);
        poster.post(&url, b"").failed(Status::Denied, "which the egress policy does not allow");
    }
    assert_eq!(good.connections(), 0);
    names.answer("mixed.test", [vec![ip("127.0.0.2"), ip("127.0.0.2")]]);
    poster.post(&url, b"").is(b"good");
}

#[test]
fn a_name_without_an_address_fails() {
    let names = Names::default();
    names.answer("empty.test", [vec![]]);
    let poster = Poster::resolving(policy(), &names, RULES);
    poster.post("http://empty.test/", b"").failed(Status::BackendFailed, "the name has no address");
    poster.post("http://unknown.test/", b"").failed(Status::BackendFailed, "no such name");
}

#[test]
fn a_resolver_that_panics_or_hangs_fails_its_own_call_only() {
    struct Bad(Names);
    #[async_trait::async_trait]
    impl Resolver for Bad {
        async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
            match host {
                "panic.test" => panic!("the resolver broke"),
                "hang.test" => std::future::pending().await,
                _ => self.0.resolve(host).await,
            }
        }
    }
    let server = Server::answering(response("200 OK", "", b"in"));
    let names = Names::default();
    names.answer("good.test", [vec![ip("127.0.0.1")]]);
    let policy = policy().timeout(Duration::from_millis(300));
    let client = EgressClient::with_resolver(policy, Bad(names)).unwrap();
    let poster = Poster::with_client(client, RULES, Default::default(), Vec::new());
    poster.post("http://panic.test/", b"").failed(Status::BackendFailed, "");
    poster.post("http://hang.test/", b"").failed(Status::TimedOut, "no complete response");
    poster.post(&format!("http://good.test:{}/", server.port()), b"").is(b"in");
}

#[test]
fn an_allowed_host_is_allowed_by_its_name_and_port() {
    let server = Server::answering(response("200 OK", "", b"in"));
    let names = Names::default();
    for name in ["in.test", "out.test"] {
        names.answer(name, [vec![ip("127.0.0.1")]]);
    }
    let by = |allowed: &str, url: &str, reached: bool| {
        let policy = EgressPolicy::deny_private().allow_host(allowed).unwrap();
        let posted =
            Poster::resolving(policy, &names, RULES).post(&url.replace("{port}", &server.port().to_string()), b"");
        if reached { posted.is(b"in") } else { posted.failed(Status::Denied, "127.0.0.1 is a loopback address") }
    };
    let port = server.port();
    by(&format!("127.0.0.1:{port}"), "http://127.0.0.1:{port}/", true);
    by("127.0.0.1", "http://127.0.0.1:{port}/", true);
    by("0x7f.1", "http://127.0.0.1:{port}/", true);
    by("127.0.0.1:1", "http://127.0.0.1:{port}/", false);
    by("127.0.0.2", "http://127.0.0.1:{port}/", false);
    by(&format!("in.test:{port}"), "http://in.test:{port}/", true);
    by("IN.test", "http://in.test:{port}/", true);
    by("in.test:1", "http://in.test:{port}/", false);
    by("in.test", "http://out.test:{port}/", false);
    by("127.0.0.1", "http://in.test:{port}/", false);
    by("in.test", "http://127.0.0.1:{port}/", false);
}

#[test]
fn a_connection_of_an_allowed_name_serves_no_other_policy() {
    // Same name and address, allowed on one port only: the port that is not must not profit.
    let (open, shut) = (Server::answering(response("200 OK", "", b"")), Server::answering(response("200 OK", "", b"")));
    let names = Names::default();
    names.answer("in.test", [vec![ip("127.0.0.1")]]);
    let policy = EgressPolicy::deny_private().allow_host(&format!("in.test:{}", open.port())).unwrap();
    let poster = Poster::resolving(policy, &names, RULES);
    poster.post(&format!("http://in.test:{}/", open.port()), b"").is(b"");
    poster.post(&format!("http://in.test:{}/", shut.port()), b"").failed(Status::Denied, "loopback");
    assert_eq!(shut.connections(), 0);
}

#[test]
fn an_allowed_name_does_not_lead_to_a_metadata_service() {
    let names = Names::default();
    let policy = EgressPolicy::deny_private().allow_host("in.test").unwrap();
    let poster = Poster::resolving(policy, &names, RULES);
    for address in ["169.254.169.254", "fe80::1", "168.63.129.16", "0.0.0.0", "::ffff:127.0.0.1", "224.0.0.1"] {
        names.answer("in.test", [vec![ip(address)]]);
        poster.post("http://in.test/", b"").failed(Status::Denied, "does not allow");
    }
}

#[test]
fn what_is_no_host_or_network_is_refused() {
    let policy = EgressPolicy::deny_private;
    for host in ["", "a b", "http://a", "a/b", "user@a", "a:b", "a:70000", "*.a", "[::1", "a?b", "a#b", "a\\b"] {
        let error = policy().allow_host(host).unwrap_err().to_string();
        assert!(error.contains(&format!("`{host}` is not a host")), "{error}");
    }
    for network in ["", "10.0.0.0", "10.0.0.0/33", "a/8", "::/129"] {
        let error = policy().allow_network(network).unwrap_err().to_string();
        assert!(error.contains(&format!("`{network}` is not a network")), "{error}");
    }
    assert!(EgressClient::new(policy().trust_root(b"no certificate".to_vec())).is_err());
}

#[test]
fn no_proxy_of_the_environment_is_used() {
    const URL: &str = "CIS_TEST_PROXIED";
    if let Ok(url) = std::env::var(URL) {
        return poster().post(&url, b"").is(b"direct");
    }
    let proxy = Server::answering(response("200 OK", "", b"proxied"));
    let server = Server::answering(response("200 OK", "", b"direct"));
    let proxies =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"].map(|name| (name, proxy.url("")));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "no_proxy_of_the_environment_is_used"])
        .env(URL, server.url("/"))
        .envs(proxies)
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(child.success());
    assert_eq!((server.connections(), proxy.connections()), (1, 0));
}

fn request(url: &str) -> HttpRequest {
    let http = HttpGrant { rules: RULES.iter().map(|rule| rule.parse().unwrap()).collect() };
    let grants = cis_wasm_host::Grants { http, ..Default::default() };
    HttpRequest::new(url.parse().unwrap(), Bytes::new(), grants.into(), Default::default())
}

#[test]
fn a_durable_event_says_which_request_it_is() {
    let server = Server::answering(response("200 OK", "", b""));
    let client = EgressClient::new(policy()).unwrap();
    let mut keyed = request(&server.url("/"));
    keyed.idempotency_key = Some("store-7-3".into());
    block_on(client.post(keyed)).unwrap();
    assert_eq!(server.seen().pop().unwrap().header("idempotency-key"), Some("store-7-3"));
}

#[test]
fn giving_up_a_call_closes_its_connection() {
    let (arrived, waiting) = mpsc::channel();
    let (closed, closing) = mpsc::channel();
    let server = Server::start(move |_, stream| {
        arrived.send(()).unwrap();
        wait_for_close(stream)?;
        closed.send(()).unwrap();
        Ok(())
    });
    let client = EgressClient::new(policy()).unwrap();
    let mut call = client.post(request(&server.url("/")));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    let patience = Duration::from_secs(60);
    waiting.recv_timeout(patience).expect("the request arrives while nobody polls");
    drop(call);
    closing.recv_timeout(patience).expect("the connection is closed when the call is given up");
}

#[test]
fn a_client_works_in_any_executor_and_goes_without_waiting() {
    let server = Server::answering(response("200 OK", "", b"in"));
    let url = server.url("/");
    let post = |client: EgressClient| {
        let request = request(&url);
        async move {
            let reply = client.post(request).await.unwrap();
            // Inside the executor, where a runtime that waits for its threads would panic.
            drop(client);
            reply.body
        }
    };
    let client = || EgressClient::new(policy()).unwrap();
    assert_eq!(block_on(post(client())), "in");
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(tokio.block_on(post(client())), "in");
    tokio.block_on(async { drop(client()) });
}

#[test]
fn many_calls_share_the_thread() {
    let server = Server::start(|seen, stream| stream.write_all(&response("200 OK", "", &seen.body)));
    let poster = poster();
    std::thread::scope(|threads| {
        for thread in 0..8 {
            let (poster, server) = (&poster, &server);
            threads.spawn(move || {
                for n in 0..10 {
                    let body = format!("{thread} {n}");
                    poster.post(&server.url("/"), body.as_bytes()).is(body.as_bytes());
                }
            });
        }
    });
    assert_eq!(server.seen().len(), 80);
}

#[test]
fn an_over_large_request_is_refused_by_the_client_too() {
    let mut request = request("http://127.0.0.1:1/");
    request.body = vec![0; cis_wasm_abi::ceilings::HTTP_BODY + 1].into();
    let error = block_on(EgressClient::new(policy()).unwrap().post(request)).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::TooLarge);
}

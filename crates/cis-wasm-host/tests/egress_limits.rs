//! A server that sends too much, too slowly or garbage is an error of its own kind, and holds nobody up.
#![cfg(feature = "http")]

mod support;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use cis_wasm_abi::{Status, ceilings};
use cis_wasm_host::{Amounts, CallContext, EgressPolicy, Resource, SkillScope};
use support::egress::{Posted, Poster};
use support::scope;
use support::server::{Seen, Server, response, wait_for_close};

fn poster(timeout: Duration) -> Poster {
    let policy = EgressPolicy::deny_private().allow_network("127.0.0.0/8").unwrap().timeout(timeout);
    Poster::new(policy, &["http://127.0.0.1:*"])
}

/// Far from what any test here takes, so that only a real hang runs into it.
const PATIENCE: Duration = Duration::from_secs(120);
/// For servers that never finish.
const IMPATIENCE: Duration = Duration::from_millis(300);

fn answer(
    timeout: Duration,
    answer: impl Fn(&Seen, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> Posted {
    poster(timeout).post(&Server::start(answer).url("/"), b"")
}

fn gzip(len: usize) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..len >> 20 {
        gzip.write_all(&zeros).unwrap();
    }
    gzip.finish().unwrap()
}

#[test]
fn a_response_of_exactly_the_ceiling_is_fine() {
    let posted = answer(PATIENCE, |_, stream| stream.write_all(&response("200 OK", "", &vec![b'x'; ceilings::REPLY])));
    posted.is(&vec![b'x'; ceilings::REPLY]);
}

#[test]
fn a_response_that_announces_too_much_is_not_read() {
    let posted = answer(PATIENCE, |_, stream| {
        let length = ceilings::REPLY + 1;
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes())?;
        wait_for_close(stream)
    });
    posted.failed(Status::TooLarge, "more than 8388608 bytes");
    assert_eq!(posted.event.ledger.used().of(Resource::HttpBytes), 0);
}

#[test]
fn a_response_that_does_not_end_is_cut_off() {
    let posted = answer(PATIENCE, |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let chunk = [b"10000\r\n", &[b'x'; 0x10000][..], b"\r\n"].concat();
        loop {
            stream.write_all(&chunk)?;
        }
    });
    posted.failed(Status::TooLarge, "more than 8388608 bytes");
    let charged = posted.event.ledger.used().of(Resource::HttpBytes);
    assert!(charged >= ceilings::REPLY as u64, "{charged}");
}

#[test]
fn a_response_is_measured_after_decompression() {
    let bomb = response("200 OK", "content-encoding: gzip\r\n", &gzip(256 << 20));
    assert!(bomb.len() < 1 << 20, "the bomb itself would pass");
    let posted = answer(PATIENCE, move |_, stream| stream.write_all(&bomb));
    posted.failed(Status::TooLarge, "more than 8388608 bytes");
    let charged = posted.event.ledger.used().of(Resource::HttpBytes);
    assert!(charged < (ceilings::REPLY + (1 << 20)) as u64, "{charged} bytes were decompressed");
}

#[test]
fn a_response_fits_what_is_left_of_the_budget() {
    let poster = poster(PATIENCE);
    let server = Server::answering(response("200 OK", "", &[b'x'; 100]));
    let post = |bytes| {
        let budget = Amounts::DEFAULT_LIMITS.with(Resource::HttpBytes, bytes);
        let event = CallContext::new(SkillScope { budget, ..scope("poster", poster.grants.clone()) }.into());
        poster.post_in(event, &server.url("/"), b"body")
    };
    post(104).is(&[b'x'; 100]);
    post(103).failed(Status::TooLarge, "more than 99 bytes");
}

#[test]
fn a_server_that_says_nothing_is_late() {
    let posted = answer(IMPATIENCE, |_, stream| wait_for_close(stream));
    posted.failed(Status::TimedOut, "no complete response within 300ms");
}

#[test]
fn a_server_that_does_not_take_the_request_is_late() {
    // Accepted by the system, never read: a body larger than all buffers stays stuck.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    poster(IMPATIENCE).post(&url, &vec![0; ceilings::HTTP_BODY]).failed(Status::TimedOut, "no complete response");
}

#[test]
fn a_body_that_drips_is_late() {
    let posted = answer(IMPATIENCE, |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")?;
        loop {
            stream.write_all(b"x")?;
            thread::sleep(Duration::from_millis(10));
        }
    });
    posted.failed(Status::TimedOut, "no complete response");
    assert!(posted.event.ledger.used().of(Resource::HttpBytes) > 0, "what dripped in is charged");
}

#[test]
fn a_head_that_drips_is_late() {
    let posted = answer(IMPATIENCE, |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            stream.write_all(b"x: y\r\n")?;
            thread::sleep(Duration::from_millis(10));
        }
    });
    posted.failed(Status::TimedOut, "no complete response");
}

#[test]
fn interim_responses_do_not_keep_a_call_alive() {
    let posted = answer(IMPATIENCE, |_, stream| {
        loop {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")?;
            thread::sleep(Duration::from_millis(10));
        }
    });
    posted.failed(Status::TimedOut, "no complete response");
}

#[test]
fn redirects_do_not_keep_a_call_alive() {
    let policy = EgressPolicy::deny_private().allow_network("127.0.0.0/8").unwrap();
    let policy = policy.timeout(IMPATIENCE).max_redirects(u32::MAX);
    let server = Server::start(|_, stream| {
        thread::sleep(Duration::from_millis(50));
        stream.write_all(&support::server::redirect(307, "/again"))
    });
    let posted = Poster::new(policy, &["http://127.0.0.1:*"]).post(&server.url("/"), b"");
    posted.failed(Status::TimedOut, "no complete response");
    assert!(posted.event.ledger.used().of(Resource::HttpRequests) > 1, "every hop is charged");
}

#[test]
fn a_head_that_is_too_large_fails() {
    let huge = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(2 << 20));
    answer(PATIENCE, move |_, stream| stream.write_all(huge.as_bytes())).failed(Status::BackendFailed, "too large");
    let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(5000));
    answer(PATIENCE, move |_, stream| stream.write_all(many.as_bytes())).failed(Status::BackendFailed, "too large");
}

#[test]
fn garbage_fails() {
    for garbage in [
        &b""[..],
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.7\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
    ] {
        let posted = answer(PATIENCE, move |_, stream| stream.write_all(garbage));
        posted.failed(Status::BackendFailed, "http://127.0.0.1");
    }
}

#[test]
fn nobody_there_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/path-of-the-guest", listener.local_addr().unwrap());
    drop(listener);
    let posted = poster(PATIENCE).post(&url, b"");
    posted.failed(Status::BackendFailed, "refused");
    assert!(!posted.why.contains("path-of-the-guest"), "{}", posted.why);
}

//! https: only to servers that someone trusted vouches for, and never down to http.
#![cfg(feature = "http")]

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use cis_wasm_abi::Status;
use cis_wasm_host::EgressPolicy;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::egress::{Names, Poster};
use support::server::{Seen, Server, read_one, redirect, response};

/// An https server, and the root that vouches for it.
struct TlsServer {
    url: String,
    root: Vec<u8>,
    handshakes: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl TlsServer {
    /// A server whose certificate is for `name`.
    fn answering(name: &str, response: Vec<u8>) -> TlsServer {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &root).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(leaf.der().to_vec())], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = TlsServer {
            url: format!("https://{}/", listener.local_addr().unwrap()),
            root: root.der().to_vec(),
            handshakes: Arc::default(),
            seen: Arc::default(),
        };
        let (config, response) = (Arc::new(config), Arc::new(response));
        let (handshakes, seen) = (server.handshakes.clone(), server.seen.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let (handshakes, seen, response) = (handshakes.clone(), seen.clone(), response.clone());
                thread::spawn(move || {
                    let mut stream = StreamOwned::new(connection, stream?);
                    handshakes.fetch_add(1, Ordering::SeqCst);
                    seen.lock().unwrap().push(read_one(&mut stream)?);
                    stream.write_all(&response)?;
                    stream.conn.send_close_notify();
                    stream.flush()
                });
            }
        });
        server
    }

    fn seen(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn policy() -> EgressPolicy {
    EgressPolicy::deny_private().allow_network("127.0.0.0/8").unwrap()
}

const RULES: &[&str] = &["127.0.0.1:*", "a.test:*", "http://127.0.0.1:*"];

#[test]
fn a_trusted_server_is_talked_to() {
    let server = TlsServer::answering("127.0.0.1", response("200 OK", "", b"in"));
    let poster = Poster::new(policy().trust_root(server.root.clone()), RULES);
    poster.post(&server.url, b"body").is(b"in");
    assert_eq!(server.seen.lock().unwrap()[0].body, b"body");
}

#[test]
fn a_server_that_nobody_vouches_for_is_told_nothing() {
    let server = TlsServer::answering("127.0.0.1", response("200 OK", "", b"in"));
    let posted = Poster::new(policy(), RULES).post(&server.url, b"body");
    posted.failed(Status::BackendFailed, "certificate");
    assert_eq!((server.handshakes.load(Ordering::SeqCst), server.seen()), (1, 0));
}

#[test]
fn a_certificate_for_another_name_does_not_do() {
    let server = TlsServer::answering("b.test", response("200 OK", "", b"in"));
    let names = Names::default();
    names.answer("a.test", [vec!["127.0.0.1".parse().unwrap()]]);
    let poster = Poster::resolving(policy().trust_root(server.root.clone()), &names, RULES);
    let url = server.url.replace("127.0.0.1", "a.test");
    poster.post(&url, b"body").failed(Status::BackendFailed, "certificate");
    assert_eq!(server.seen(), 0);
    let server = TlsServer::answering("a.test", response("200 OK", "", b"in"));
    let poster = Poster::resolving(policy().trust_root(server.root.clone()), &names, RULES);
    poster.post(&server.url.replace("127.0.0.1", "a.test"), b"body").is(b"in");
}

#[test]
fn a_redirect_does_not_lead_down_to_http() {
    let plain = Server::answering(response("200 OK", "", b"plain"));
    let server = TlsServer::answering("127.0.0.1", redirect(307, &plain.url("/")));
    let poster = Poster::new(policy().trust_root(server.root.clone()), RULES);
    poster.post(&server.url, b"body").failed(Status::Denied, "from https to http");
    assert_eq!(plain.connections(), 0);
    // Up is fine.
    let server = TlsServer::answering("127.0.0.1", response("200 OK", "", b"in"));
    let plain = Server::answering(redirect(307, &server.url));
    Poster::new(policy().trust_root(server.root.clone()), RULES).post(&plain.url("/"), b"body").is(b"in");
}

#[test]
fn plain_http_on_a_tls_port_and_tls_on_a_plain_one_fail() {
    let server = TlsServer::answering("127.0.0.1", response("200 OK", "", b"in"));
    let poster = Poster::new(policy().trust_root(server.root.clone()), RULES);
    poster.post(&server.url.replace("https", "http"), b"body").failed(Status::BackendFailed, "");
    // A server that reads no request in what it was sent hangs up.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", plain.local_addr().unwrap());
    thread::spawn(move || plain.incoming().for_each(drop));
    poster.post(&url, b"body").failed(Status::BackendFailed, "");
}

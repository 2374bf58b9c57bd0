//! The HTTP backend.
//!
//! Nothing of a request is the guest's but its URL and its body: no header, no cookie, no proxy, no referer. Secrets are
//! taken anew for every hop, for that hop's own host.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_abi::ceilings;
use reqwest::header::{self, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, Response, StatusCode, redirect};
use serde::de::IgnoredAny;
use url::{Host, Url};

use super::policy::Limits;
use super::resolver::{Forbidden, Guard};
use super::{EgressPolicy, Resolver, SystemResolver};
use crate::io_thread::IoThread;
use crate::{BackendError, BackendErrorKind, HttpBackend, HttpRequest, HttpResponse, SecretValue, tls};

/// What a server reads about who is asking.
const USER_AGENT: &str = concat!("cis-skill/", env!("CARGO_PKG_VERSION"));

/// An [`HttpBackend`] on reqwest and rustls that reaches only what its [`EgressPolicy`] allows.
///
/// It works from any executor, and from none: it does its work on a thread of its own, which starts with the first
/// request and ends when the client is dropped.
///
/// ```no_run
/// use cis_wasm_host::{EgressClient, EgressPolicy, Host};
///
/// let http = EgressClient::new(EgressPolicy::deny_private())?;
/// let host = Host::builder().http(http).build();
/// # Ok::<(), cis_wasm_host::BackendError>(())
/// ```
pub struct EgressClient {
    thread: IoThread,
    sender: Arc<Sender>,
}

impl EgressClient {
    /// A client with the system's resolver.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up, for one because a certificate of the policy is none.
    pub fn new(policy: EgressPolicy) -> Result<Self, BackendError> {
        EgressClient::with_resolver(policy, SystemResolver)
    }

    /// A client that resolves names its own way. The policy is held against whatever the resolver answers.
    ///
    /// # Errors
    ///
    /// As [`EgressClient::new`].
    pub fn with_resolver(policy: EgressPolicy, resolver: impl Resolver) -> Result<Self, BackendError> {
        let policy = Arc::new(policy);
        let resolver: Arc<dyn Resolver> = Arc::new(resolver);
        let tls = tls::client_config(policy.roots())?;
        let client = |named| {
            let guard = Guard { resolver: resolver.clone(), policy: policy.clone(), named };
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(guard)
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .referer(false)
                .user_agent(USER_AGENT)
                .connect_timeout(policy.limits().connect)
                .build()
                .map_err(|error| BackendError::failed("cannot set up the HTTP client", &error))
        };
        let (guarded, named) = (client(false)?, client(true)?);
        let sender = Arc::new(Sender { policy, guarded, named });
        Ok(EgressClient { thread: IoThread::new("cis-egress"), sender })
    }
}

impl fmt::Debug for EgressClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressClient").field("policy", &self.sender.policy).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpBackend for EgressClient {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, BackendError> {
        let sender = self.sender.clone();
        self.thread.run(async move { sender.post(&request).await }).await
    }
}

/// What works on the thread.
struct Sender {
    policy: Arc<EgressPolicy>,
    /// For hosts that the operator did not allow by name.
    guarded: Client,
    /// For hosts that the operator did. A client of its own, so that it has connections of its own: one opened for an
    /// allowed name is never used for another.
    named: Client,
}

/// One request of a chain of redirects.
struct Hop {
    url: Url,
    /// `None` is a GET, which a redirect can turn a POST into.
    body: Option<Bytes>,
}

impl Sender {
    async fn post(&self, request: &HttpRequest) -> Result<HttpResponse, BackendError> {
        let total = self.policy.limits().total;
        let answer = tokio::time::timeout(total, self.follow(request)).await;
        let late = || fail(BackendErrorKind::TimedOut, format!("no complete response within {total:?}"));
        // A server can put a secret it was sent into whatever an error tells: the target of a redirect, for one.
        answer
            .unwrap_or_else(|_| Err(late()))
            .map_err(|error| BackendError::new(error.kind(), request.scrub_text(error.message())))
    }

    async fn follow(&self, request: &HttpRequest) -> Result<HttpResponse, BackendError> {
        if request.body.len() > ceilings::HTTP_BODY {
            let why = format!("the request body has more than {} bytes", ceilings::HTTP_BODY);
            return Err(fail(BackendErrorKind::TooLarge, why));
        }
        let Limits { redirects, .. } = self.policy.limits();
        let mut hop = Hop { url: request.url.clone(), body: Some(request.body.clone()) };
        let mut requests = 0;
        loop {
            let client = self.admit(request, &hop.url)?;
            if requests == request.max_requests {
                let why = format!("the redirects take more than the {requests} requests that are left");
                return Err(fail(BackendErrorKind::Denied, why));
            }
            request.note_request();
            requests += 1;
            let response = send(client, request, &hop).await?;
            match redirected(request, &hop, &response)? {
                Some(next) if redirects > 0 => {
                    if requests > u64::from(redirects) {
                        let why = format!("{} redirects more than {redirects} times", origin(&request.url));
                        return Err(fail(BackendErrorKind::Upstream, why));
                    }
                    hop = next;
                }
                _ => {
                    let status = response.status().as_u16();
                    let body = read(response, request, &hop.url).await?;
                    return Ok(HttpResponse { status, body, requests });
                }
            }
        }
    }

    /// Says with which client a hop may be sent, if with any.
    fn admit(&self, request: &HttpRequest, url: &Url) -> Result<&Client, BackendError> {
        let denied = |why: &str| fail(BackendErrorKind::Denied, format!("{}: {why}", origin(url)));
        if !matches!(url.scheme(), "http" | "https") {
            return Err(denied("the scheme is neither http nor https"));
        }
        if !request.permits(url) {
            return Err(denied("the manifest's `permissions.http.allow` does not match it"));
        }
        let host = url.host().ok_or_else(|| denied("the host is missing"))?;
        let named = self.policy.names(&host, url.port_or_known_default());
        // An address is connected to without a resolver, so it is judged here.
        let address = match host {
            Host::Domain(_) => return Ok(if named { &self.named } else { &self.guarded }),
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        match self.policy.judge(address, false) {
            Err(class) if !named => Err(denied(&Forbidden { address, class }.to_string())),
            _ => Ok(&self.guarded),
        }
    }
}

async fn send(client: &Client, request: &HttpRequest, hop: &Hop) -> Result<Response, BackendError> {
    let mut headers = HeaderMap::new();
    for (name, value) in request.secret_headers(&hop.url) {
        let (name, value) = secret_header(name, &value)?;
        headers.insert(name, value);
    }
    if let Some(key) = request.idempotency_key.as_deref().filter(|_| hop.body.is_some()) {
        let value = HeaderValue::from_str(key)
            .map_err(|_| fail(BackendErrorKind::InvalidRequest, "the idempotency key is not printable ASCII"))?;
        headers.insert(HeaderName::from_static("idempotency-key"), value);
    }
    let sending = match &hop.body {
        None => client.request(Method::GET, hop.url.clone()),
        Some(body) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(body)));
            if body.is_empty() {
                // Servers may insist on a length, and hyper leaves out that of nothing.
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            client.request(Method::POST, hop.url.clone()).body(body.clone())
        }
    };
    sending.headers(headers).send().await.map_err(|error| failure(error, &hop.url))
}

/// A skill names the header that a secret goes into, but not one that steers the connection.
fn secret_header(name: &str, value: &SecretValue) -> Result<(HeaderName, HeaderValue), BackendError> {
    const STEERING: [HeaderName; 11] = [
        header::ACCEPT_ENCODING,
        header::CONNECTION,
        header::CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        header::EXPECT,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    let refuse = |why: &str| fail(BackendErrorKind::InvalidRequest, format!("the secret header `{name}` {why}"));
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse("is not the name of a header"))?;
    if STEERING.contains(&header) || header.as_str().starts_with("proxy-") {
        return Err(refuse("is not a skill's to set"));
    }
    let mut value =
        HeaderValue::from_str(value.expose()).map_err(|_| refuse("has a value that no header can carry"))?;
    value.set_sensitive(true);
    Ok((header, value))
}

fn content_type(body: &[u8]) -> &'static str {
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => "application/json",
        Err(_) => "application/octet-stream",
    }
}

/// Where a response sends its request on to, when it does.
fn redirected(request: &HttpRequest, hop: &Hop, response: &Response) -> Result<Option<Hop>, BackendError> {
    let body = match response.status() {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => None,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => hop.body.clone(),
        _ => return Ok(None),
    };
    let Some(location) = response.headers().get(LOCATION) else { return Ok(None) };
    let from = origin(&hop.url);
    let bad = || fail(BackendErrorKind::Upstream, format!("{from} redirects to something that is not a URL"));
    let location = location.to_str().map_err(|_| bad())?;
    let url = hop.url.join(location).map_err(|_| bad())?;
    if url.as_str().len() > ceilings::URL {
        return Err(fail(BackendErrorKind::TooLarge, format!("{from} redirects to an overlong URL")));
    }
    // A server that was sent a secret must not have it passed on: to a name server, another host, or a library's log.
    if [location, url.as_str()].iter().any(|text| request.scrub_text(text) != *text) {
        return Err(fail(BackendErrorKind::Denied, format!("{from} redirects to a URL with a secret in it")));
    }
    if hop.url.scheme() == "https" && url.scheme() != "https" {
        return Err(fail(BackendErrorKind::Denied, format!("{from} redirects from https to {}", url.scheme())));
    }
    Ok(Some(Hop { url, body }))
}

/// Reads a body as far as the cap. What is counted is what a decompressor has put out.
async fn read(mut response: Response, request: &HttpRequest, url: &Url) -> Result<Bytes, BackendError> {
    let cap = request.max_response_bytes.min(ceilings::REPLY);
    let too_large =
        || fail(BackendErrorKind::TooLarge, format!("{}: the response has more than {cap} bytes", origin(url)));
    let announced = response.content_length().unwrap_or(0);
    if announced > cap as u64 {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(announced as usize);
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(error, url))? {
        request.note_received(chunk.len());
        if chunk.len() > cap - body.len() {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// What reqwest says, without the URL: its path and query may be anyone's secret.
fn failure(error: reqwest::Error, url: &Url) -> BackendError {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref::<Forbidden>() {
            return fail(BackendErrorKind::Denied, format!("{}: {forbidden}", origin(url)));
        }
        cause = error.source();
    }
    if error.is_timeout() {
        return fail(BackendErrorKind::TimedOut, format!("{}: no connection in time", origin(url)));
    }
    BackendError::failed(&origin(url), &error.without_url())
}

/// Scheme, host and port: what of a URL may stand in a log.
fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or("no host");
    match url.port() {
        None => format!("{}://{host}", url.scheme()),
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
    }
}

fn fail(kind: BackendErrorKind, message: impl Into<String>) -> BackendError {
    BackendError::new(kind, message)
}

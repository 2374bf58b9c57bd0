//! How a skill reaches the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use url::Url;

use crate::unwired::{Limit, unwired};
use crate::{BackendError, Grants, SecretValue, Secrets};

/// One POST of a skill.
///
/// It carries the skill's grants, because the first URL is not the last: a backend that follows redirects asks
/// [`permits`](HttpRequest::permits) for every hop and takes each hop's secrets from
/// [`secret_headers`](HttpRequest::secret_headers).
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Where to. The grant was checked.
    pub url: Url,
    /// The request body.
    pub body: Bytes,
    /// The most bytes the response's body may have, after decompression.
    pub max_response_bytes: usize,
    /// The most requests this call may make, each hop of a redirect among them. At least 1.
    pub max_requests: u64,
    /// For a durable event: a text that is this request's alone, and the same when it is sent again because the process
    /// ended before the response was kept. Printable ASCII; goes into the header `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) spent: Arc<Spent>,
}

/// What a call has cost so far, also when it fails. Clones of a request share it.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    requests: AtomicU64,
    response_bytes: AtomicU64,
}

impl Spent {
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn response_bytes(&self) -> u64 {
        self.response_bytes.load(Ordering::Relaxed)
    }
}

impl HttpRequest {
    /// A request outside of any skill, for testing a backend.
    pub fn new(url: Url, body: Bytes, grants: Arc<Grants>, secrets: Arc<Secrets>) -> Self {
        let max_response_bytes = cis_wasm_abi::ceilings::REPLY;
        HttpRequest {
            url,
            body,
            max_response_bytes,
            max_requests: 8,
            idempotency_key: None,
            grants,
            secrets,
            spent: Arc::default(),
        }
    }

    /// Whether the skill may send a request to this URL.
    pub fn permits(&self, url: &Url) -> bool {
        self.grants.http.permits(url) || unwired(Limit::Grants)
    }

    /// The headers with secrets that go with a request to this URL, and to no other.
    pub fn secret_headers<'a>(&'a self, url: &'a Url) -> impl Iterator<Item = (&'a str, SecretValue)> + 'a {
        self.grants.secret_headers(url, &self.secrets)
    }

    /// Notes that a request is about to be sent, so that the skill is charged for it even when the call fails then.
    pub fn note_request(&self) {
        self.spent.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that bytes of a response's body have come, so that the skill is charged for them even when the call fails.
    pub fn note_received(&self, bytes: usize) {
        self.spent.response_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Takes the host's secrets out of bytes that will reach a skill.
    pub fn scrub(&self, bytes: Bytes) -> Bytes {
        self.secrets.scrub_bytes(bytes)
    }

    /// Takes the host's secrets out of a text that will reach an error or a log.
    pub fn scrub_text(&self, text: &str) -> String {
        self.secrets.scrub(text).into_owned()
    }
}

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The HTTP status. The guest gets the body of a 2xx only.
    pub status: u16,
    /// The body, decompressed.
    pub body: Bytes,
    /// How many requests it took.
    pub requests: u64,
}

/// Sends requests.
///
/// A call must not block its thread: a poll is not interrupted, and holds the worker it runs on.
#[async_trait]
pub trait HttpBackend: Send + Sync + 'static {
    /// Sends one POST and follows its redirects.
    ///
    /// # Errors
    ///
    /// [`BackendErrorKind::Denied`](crate::BackendErrorKind::Denied) when a rule forbids a hop; otherwise what went wrong.
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, BackendError>;
}

#[async_trait]
impl<B: HttpBackend + ?Sized> HttpBackend for Arc<B> {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, BackendError> {
        (**self).post(request).await
    }
}

#[async_trait]
impl<B: HttpBackend + ?Sized> HttpBackend for Box<B> {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, BackendError> {
        (**self).post(request).await
    }
}

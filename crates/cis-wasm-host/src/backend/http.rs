//! How a skill reaches the network.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use url::Url;

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
    pub(crate) grants: Arc<Grants>,
    pub(crate) secrets: Arc<Secrets>,
}

impl HttpRequest {
    /// A request outside of any skill, for testing a backend.
    pub fn new(url: Url, body: Bytes, grants: Arc<Grants>, secrets: Arc<Secrets>) -> Self {
        let max_response_bytes = cis_wasm_abi::ceilings::REPLY;
        HttpRequest { url, body, max_response_bytes, max_requests: 8, grants, secrets }
    }

    /// Whether the skill may send a request to this URL.
    pub fn permits(&self, url: &Url) -> bool {
        self.grants.http.permits(url)
    }

    /// The headers with secrets that go with a request to this URL, and to no other.
    pub fn secret_headers<'a>(&'a self, url: &'a Url) -> impl Iterator<Item = (&'a str, SecretValue)> + 'a {
        self.grants.secret_headers(url, &self.secrets)
    }

    /// Takes the secrets that the skill was granted out of bytes that will reach it.
    pub fn scrub(&self, bytes: Bytes) -> Bytes {
        self.secrets.scrub_bytes(bytes)
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
#[async_trait]
pub trait HttpBackend: Send + Sync + 'static {
    /// Sends one POST and follows its redirects.
    ///
    /// # Errors
    ///
    /// [`BackendErrorKind::Denied`](crate::BackendErrorKind::Denied) when a rule forbids a hop; otherwise what went wrong.
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, BackendError>;
}

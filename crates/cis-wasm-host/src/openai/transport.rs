//! How a question gets to the endpoint and its answer back.
//!
//! A body is read only as far as a cap, retries are few and end with the deadline, a redirect is not followed (it would
//! take the prompt and the key elsewhere), and the key is taken out of everything that comes back before anyone can log
//! it.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use cis_wasm_abi::ceilings;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, redirect};
use secrecy::SecretString;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::time::Instant;
use tower_service::Service;

use super::{fail, quote};
use crate::{BackendError, BackendErrorKind, SecretValue, Secrets, tls};

/// How often a request is sent again after the endpoint was busy, broken or not there.
const RETRIES: u32 = 2;
/// The wait before the first retry; each one after it waits twice as long.
const RETRY_WAIT: Duration = Duration::from_millis(250);
/// How much is read of an error's body, in bytes.
const ERROR_BODY: usize = 16 << 10;

/// Who is asked, in async-openai's terms.
pub(super) struct Endpoint {
    base: String,
    authorization: Option<HeaderValue>,
    /// async-openai wants to be able to ask for a key; only the header is used.
    no_key: SecretString,
}

impl Endpoint {
    /// An endpoint by what stands before the paths, without a slash at its end.
    pub(super) fn new(base: String, key: Option<&SecretValue>) -> Self {
        let authorization = key.map(|key| {
            let header = key.prefixed("Bearer ");
            let mut header = HeaderValue::from_str(header.expose()).expect("a secret's value is printable ASCII");
            header.set_sensitive(true);
            header
        });
        Endpoint { base, authorization, no_key: SecretString::default() }
    }
}

impl Config for Endpoint {
    fn headers(&self) -> HeaderMap {
        self.authorization.iter().map(|value| (AUTHORIZATION, value.clone())).collect()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base
    }

    fn api_key(&self) -> &SecretString {
        &self.no_key
    }
}

/// Sends async-openai's requests. See the module for what it adds.
#[derive(Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
    secrets: Arc<Secrets>,
    timeout: Duration,
}

impl Service<HttpRequestFactory> for Transport {
    type Response = Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move {
            transport.send(&request).await.map_err(|error| OpenAIError::Boxed(Box::new(transport.scrubbed(error))))
        })
    }
}

/// What came of one attempt that failed.
struct Attempt {
    error: BackendError,
    /// Whether another attempt may help, and the wait that the endpoint asked for.
    again: Option<Option<Duration>>,
}

impl From<BackendError> for Attempt {
    fn from(error: BackendError) -> Self {
        Attempt { error, again: None }
    }
}

impl Transport {
    /// A transport that lets the key come back nowhere.
    pub(super) fn new(key: Option<&SecretValue>, timeout: Duration) -> Result<Self, BackendError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(&[])?)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .map_err(|error| BackendError::failed("cannot set up the AI's HTTP client", &error))?;
        let mut secrets = Secrets::new();
        if let Some(key) = key {
            secrets.insert("api_key", key.expose()).expect("a secret's value was checked when it was made");
        }
        Ok(Transport { http, secrets: Arc::new(secrets), timeout })
    }

    /// The client that requests are built with.
    pub(super) fn http(&self) -> reqwest::Client {
        self.http.clone()
    }

    async fn send(&self, request: &HttpRequestFactory) -> Result<Response, BackendError> {
        let start = Instant::now();
        let mut wait = RETRY_WAIT;
        let mut retries = 0;
        loop {
            let Attempt { error, again } = match self.attempt(request).await {
                Ok(response) => return Ok(response),
                Err(attempt) => attempt,
            };
            // An endpoint that wants more patience than is left gets none: its own error says more than a timeout.
            let patience = self.timeout.saturating_sub(start.elapsed());
            match again.map(|asked| asked.unwrap_or(wait)) {
                Some(pause) if retries < RETRIES && pause < patience => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
            retries += 1;
            wait *= 2;
        }
    }

    async fn attempt(&self, request: &HttpRequestFactory) -> Result<Response, Attempt> {
        let request = request.build().await.map_err(unwrap)?;
        let response = self.http.execute(request).await.map_err(|error| {
            let again = error.is_connect().then_some(None);
            Attempt { error: failed("cannot reach the AI", error), again }
        })?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let response: http::Response<reqwest::Body> = response.into();
        let (head, body) = response.into_parts();
        let (body, whole) = read(http::Response::new(body).into(), ceilings::REPLY).await?;
        if !whole {
            let why = format!("the AI's answer has more than {} bytes", ceilings::REPLY);
            return Err(fail(BackendErrorKind::TooLarge, why).into());
        }
        let body = self.secrets.scrub_bytes(body);
        // async-openai would write what it cannot parse into the log, all of it.
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(&body) {
            return Err(fail(BackendErrorKind::Failed, format!("the AI's answer is not JSON: {error}")).into());
        }
        Ok(http::Response::from_parts(head, body).into())
    }

    fn scrubbed(&self, error: BackendError) -> BackendError {
        fail(error.kind(), self.secrets.scrub(error.message()))
    }
}

/// The error of a status that is not 2xx.
async fn refused(response: Response) -> Attempt {
    let status = response.status();
    let patience = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let again = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    let text = match read(response, ERROR_BODY).await {
        Ok((body, _)) => error_text(&body),
        Err(_) => String::new(),
    };
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; check the API key",
        StatusCode::NOT_FOUND => "; check the base URL and the model",
        _ if status.is_redirection() => "; redirects are not followed, set the base URL to the target",
        _ => "",
    };
    let colon = if text.is_empty() { "" } else { ": " };
    let message = format!("the AI answered HTTP status {}{colon}{text}{hint}", status.as_u16());
    Attempt {
        error: fail(BackendErrorKind::Upstream, message),
        again: again.then_some(patience.map(Duration::from_secs)),
    }
}

/// What an error's body says: the message of OpenAI's form, or its beginning.
fn error_text(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| {
        let error = json.get("error")?;
        error.get("message").unwrap_or(error).as_str()
    });
    quote(message.unwrap_or(&String::from_utf8_lossy(body)))
}

/// Reads a body as far as a cap, and says whether that was all of it.
async fn read(mut response: Response, cap: usize) -> Result<(Bytes, bool), BackendError> {
    let mut body = Vec::new();
    let lost = |error| failed("the AI's answer broke off", error);
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        let room = cap - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok((body.into(), false));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body.into(), true))
}

/// Takes our own error out of async-openai's.
pub(super) fn unwrap(error: OpenAIError) -> BackendError {
    match error {
        OpenAIError::Boxed(ours) => match ours.downcast::<BackendError>() {
            Ok(ours) => *ours,
            Err(other) => fail(BackendErrorKind::Failed, format!("the AI's client: {other}")),
        },
        other => BackendError::failed("the AI's client", &other),
    }
}

fn failed(what: &str, error: reqwest::Error) -> BackendError {
    let error: &(dyn Error + 'static) = &error.without_url();
    BackendError::failed(what, error)
}

//! HTTP requests.

use alloc_crate::vec::Vec;

use crate::{Error, door};

/// HTTP, to the hosts that the manifest's `permissions.http.allow` names.
///
/// A skill sets no headers. A secret that the manifest names is put in by the host, on the request's way out.
pub struct Http;

impl Http {
    /// Sends a POST and waits for the body of the response.
    ///
    /// # Errors
    ///
    /// [`Status::Denied`](crate::Status::Denied) when the manifest or the operator does not allow the URL or a redirect
    /// from it, `InvalidArgument` for a URL that does not parse, `NotConfigured` when the host has no HTTP, `TooLarge`
    /// above [`ceilings::HTTP_BODY`](crate::ceilings::HTTP_BODY) bytes of request or
    /// [`ceilings::REPLY`](crate::ceilings::REPLY) of response, `UpstreamError` for an HTTP status that is not 2xx, and
    /// `BackendFailed` or `TimedOut` when there was no response.
    pub fn post(url: &str, body: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        door::http_post(url, body.as_ref())
    }

    /// Sends a value as JSON and waits for the body of the response.
    ///
    /// # Errors
    ///
    /// As [`Http::post`]; and [`Error::failed`] when the value has no form in JSON.
    #[cfg(feature = "json")]
    pub fn post_json<T: serde::Serialize + ?Sized>(url: &str, value: &T) -> Result<Vec<u8>, Error> {
        Http::post(url, crate::json::write(value)?)
    }
}

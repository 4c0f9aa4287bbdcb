//! Requests and responses.

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

/// A request of an API.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Sent as JSON.
    pub(crate) body: Option<Value>,
    /// Headers of this request alone.
    pub(crate) headers: HeaderMap,
}

impl Request {
    pub(crate) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, body: None, headers: HeaderMap::new() }
    }

    /// A request that may change something on the server.
    pub(crate) fn change(method: Method, url: Url, body: Option<Value>) -> Self {
        Self { method, url, body, headers: HeaderMap::new() }
    }

    pub(super) fn is_read(&self) -> bool {
        self.method == Method::GET
    }
}

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct Response {
    /// The requested address after all redirects.
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// A header as text; `None` if it is absent or not text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let name = HeaderName::try_from(name).ok()?;
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }
}

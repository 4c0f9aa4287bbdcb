//! GET requests with their redirects, read to the end of a bounded body.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, LOCATION};
use reqwest::{StatusCode, Url};

use super::base_url::BaseUrl;
use super::credentials::Credentials;
use super::excerpt::excerpt;
use super::retry::{Failure, Retry};
use super::transport::{Transport, root_cause};
use crate::error::ForgeError;

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

/// An API with the headers that every request to it has, the token among them.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) transport: Transport,
    pub(crate) base: BaseUrl,
    pub(crate) credentials: Credentials,
    pub(crate) headers: HeaderMap,
}

impl Endpoint {
    /// Sends a GET request to `url`, which is below the base, and returns the response whatever its status.
    ///
    /// Redirects are followed as long as they keep the origin of the base, because the headers contain the token.
    ///
    /// # Errors
    /// [`ForgeError::Moved`] for a redirect to another origin; also if the server cannot be reached, the time limit is
    /// up, or the body is too large.
    pub(crate) async fn fetch(&self, url: Url, limit: Duration) -> Result<Response, Failure> {
        let request = self.describe(&url);
        match tokio::time::timeout(limit, self.follow(url, &request)).await {
            Ok(response) => response,
            Err(_) => Err(Failure::permanent(ForgeError::Timeout { server: self.server(), request, limit })),
        }
    }

    /// How errors name a request for `url`.
    pub(crate) fn describe(&self, url: &Url) -> String {
        self.credentials.mask(&self.base.describe(url))
    }

    /// How errors name the server.
    pub(crate) fn server(&self) -> String {
        self.base.as_str().to_owned()
    }

    async fn follow(&self, mut url: Url, request: &str) -> Result<Response, Failure> {
        let limits = self.transport.limits();
        for _ in 0..=limits.redirects {
            if !self.base.is_same_origin(&url) {
                let location = excerpt(&self.credentials.mask(&url.origin().ascii_serialization()));
                return Err(Failure::permanent(ForgeError::Moved { server: self.server(), location }));
            }
            let sent = self.transport.client.get(url.clone()).headers(self.headers.clone()).send().await;
            let response = sent.map_err(|error| self.transfer_failure(&error, request))?;
            match redirect_target(&response, &url) {
                Some(next) => url = next,
                None => return self.read(response, url, request).await,
            }
        }
        let reason = format!("more than {} redirects", limits.redirects);
        Err(Failure::permanent(ForgeError::Unexpected { server: self.server(), request: request.to_owned(), reason }))
    }

    async fn read(&self, mut response: reqwest::Response, url: Url, request: &str) -> Result<Response, Failure> {
        let limit = self.transport.limits().body;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transfer_failure(&error, request))? {
            if body.len() + chunk.len() > limit {
                let (server, request) = (self.server(), request.to_owned());
                return Err(Failure::permanent(ForgeError::TooLarge { server, request, limit }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { url, status: response.status(), headers: std::mem::take(response.headers_mut()), body })
    }

    /// A transfer that failed below HTTP.
    fn transfer_failure(&self, error: &reqwest::Error, request: &str) -> Failure {
        let server = self.server();
        let reason = excerpt(&root_cause(error));
        if is_tls(error) {
            return Failure::permanent(ForgeError::Tls { server, reason });
        }
        if error.is_timeout() {
            let (request, limit) = (request.to_owned(), self.transport.limits().connect);
            return Failure::permanent(ForgeError::Timeout { server, request, limit });
        }
        Failure { error: ForgeError::Unreachable { server, reason }, retry: Retry::Backoff }
    }
}

fn redirect_target(response: &reqwest::Response, from: &Url) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    from.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()
}

/// Whether TLS failed, however deep in the chain of sources. An `io::Error` is not a link of that chain: it is a wrapper
/// around another error, which `source` skips.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let inner = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
        None => error.source(),
    };
    error.is::<rustls::Error>() || inner.is_some_and(is_tls)
}

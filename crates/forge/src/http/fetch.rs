//! Requests with their redirects, read to the end of a bounded body.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::base_url::BaseUrl;
use super::credentials::Credentials;
use super::excerpt::excerpt;
use super::message::{Request, Response};
use super::retry::{Failure, Retry};
use super::transport::{Transport, root_cause};
use crate::error::ForgeError;

/// An API with the headers that every request to it has, the token among them.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) transport: Transport,
    pub(crate) base: BaseUrl,
    pub(crate) credentials: Credentials,
    pub(crate) headers: HeaderMap,
    /// Statuses that refuse a request, besides those of all kinds of servers.
    pub(crate) refusals: &'static [u16],
}

impl Endpoint {
    /// Sends a request to an address below the base, and returns the response whatever its status.
    ///
    /// Redirects are followed as long as they keep the origin of the base, because the headers contain the token. A request
    /// that changes something is sent again with its method and body, as GitHub asks for after a repository was renamed.
    ///
    /// # Errors
    /// [`ForgeError::Moved`] for a redirect to another origin; also if the server cannot be reached, the time limit is
    /// up, or the body is too large.
    pub(crate) async fn fetch(&self, request: &Request, limit: Duration) -> Result<Response, Failure> {
        let name = self.describe(&request.method, &request.url);
        match tokio::time::timeout(limit, self.follow(request, &name)).await {
            Ok(response) => response,
            Err(_) => Err(Failure::permanent(ForgeError::Timeout { server: self.server(), request: name, limit })),
        }
    }

    /// How errors name a request for `url`.
    pub(crate) fn describe(&self, method: &Method, url: &Url) -> String {
        self.credentials.mask(&self.base.describe(method, url))
    }

    /// How errors name the server.
    pub(crate) fn server(&self) -> String {
        self.base.as_str().to_owned()
    }

    async fn follow(&self, request: &Request, name: &str) -> Result<Response, Failure> {
        let limits = self.transport.limits();
        let mut url = request.url.clone();
        for _ in 0..=limits.redirects {
            if !self.base.is_same_origin(&url) {
                let location = excerpt(&self.credentials.mask(&url.origin().ascii_serialization()));
                return Err(Failure::permanent(ForgeError::Moved { server: self.server(), location }));
            }
            let mut sent = self.transport.client.request(request.method.clone(), url.clone());
            sent = sent.headers(self.headers.clone()).headers(request.headers.clone());
            if let Some(body) = &request.body {
                sent = sent.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.to_string());
            }
            let response = sent.send().await.map_err(|error| self.not_sent(&error, request, name))?;
            match redirect_target(&response, &url) {
                // After 303 the server has carried out the request, and names a page about it.
                Some(next) if response.status() != StatusCode::SEE_OTHER || request.is_read() => url = next,
                _ => {
                    let read = self.read(response, url, name).await;
                    // The server has answered: the change may have been made.
                    return read.map_err(|failure| match request.is_read() {
                        true => failure,
                        false => Failure { retry: Retry::Never, ..failure },
                    });
                }
            }
        }
        let reason = format!("more than {} redirects", limits.redirects);
        Err(Failure::permanent(ForgeError::Unexpected { server: self.server(), request: name.to_owned(), reason }))
    }

    /// Gets the end of a text, at most `max` bytes, and follows a redirect to another origin without the token.
    pub(crate) async fn download(&self, url: &Url, limit: Duration, max: usize) -> Result<Response, Failure> {
        let name = self.describe(&Method::GET, url);
        let download = async {
            let (mut url, mut headers) = (url.clone(), self.headers.clone());
            for _ in 0..=self.transport.limits().redirects {
                if !self.base.is_same_origin(&url) {
                    headers = HeaderMap::new();
                }
                let sent = self.transport.client.get(url.clone()).headers(headers.clone()).send().await;
                let response = sent.map_err(|error| self.transfer_failure(&error, &name))?;
                match redirect_target(&response, &url) {
                    // Nothing on this machine or in plain text, unless the API is.
                    Some(next) if next.scheme() == self.base.scheme() || next.scheme() == "https" => url = next,
                    Some(next) => {
                        let location = excerpt(&next.origin().ascii_serialization());
                        return Err(Failure::permanent(ForgeError::Moved { server: self.server(), location }));
                    }
                    None => return self.read_end(response, url, &name, max).await,
                }
            }
            let reason = format!("more than {} redirects", self.transport.limits().redirects);
            Err(Failure::permanent(ForgeError::Unexpected { server: self.server(), request: name.clone(), reason }))
        };
        match tokio::time::timeout(limit, download).await {
            Ok(response) => response,
            Err(_) => {
                Err(Failure::permanent(ForgeError::Timeout { server: self.server(), request: name.clone(), limit }))
            }
        }
    }

    async fn read_end(
        &self,
        mut response: reqwest::Response,
        url: Url,
        name: &str,
        max: usize,
    ) -> Result<Response, Failure> {
        let mut end = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transfer_failure(&error, name))? {
            end.extend_from_slice(&chunk);
            if end.len() > 2 * max {
                end.drain(..end.len() - max);
            }
        }
        end.drain(..end.len().saturating_sub(max));
        Ok(Response { url, status: response.status(), headers: std::mem::take(response.headers_mut()), body: end })
    }

    /// A request without a response. One that may have changed something is sent again only if it cannot have arrived.
    fn not_sent(&self, error: &reqwest::Error, request: &Request, name: &str) -> Failure {
        let failure = self.transfer_failure(error, name);
        match request.is_read() || error.is_connect() {
            true => failure,
            false => Failure { retry: Retry::Never, ..failure },
        }
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

//! Requests to one server with one token: JSON in, errors for people out.

use reqwest::Url;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;

use super::base_url::BaseUrl;
use super::credentials::Credentials;
use super::excerpt::excerpt;
use super::fetch::{Endpoint, Response};
use super::limits::Limits;
use super::paging::{self, Paging};
use super::rate_limit;
use super::retry::with_retry;
use super::status::check_status;
use super::transport::Transport;
use crate::error::ForgeError;

/// HTTP details that differ between kinds of forges.
#[derive(Debug)]
pub(crate) struct HttpDialect {
    /// The header that carries the token, in lower case.
    pub(crate) token_header: &'static str,
    /// The text before the token in that header.
    pub(crate) token_prefix: &'static str,
    /// Value of `Accept`.
    pub(crate) accept: &'static str,
    /// Header that pins a version of the API, in lower case, and its value.
    pub(crate) version: Option<(&'static str, &'static str)>,
    pub(crate) paging: Paging,
}

/// An API of one server, with the token to use for it.
#[derive(Debug)]
pub(crate) struct Client {
    endpoint: Endpoint,
    paging: Paging,
}

/// A value, and the server's time when it sent it.
#[derive(Debug)]
pub(crate) struct Dated<T> {
    pub(crate) value: T,
    pub(crate) now: jiff::Timestamp,
}

impl Client {
    pub(crate) fn new(
        transport: &Transport,
        base: BaseUrl,
        credentials: Credentials,
        dialect: &'static HttpDialect,
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(dialect.accept));
        if let Some((name, value)) = dialect.version {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if let Some(token) = credentials.header(dialect.token_prefix) {
            headers.insert(HeaderName::from_static(dialect.token_header), token);
        }
        let endpoint = Endpoint { transport: transport.clone(), base, credentials, headers };
        Self { endpoint, paging: dialect.paging }
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.endpoint.transport.limits()
    }

    /// Gets one object.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ForgeError> {
        self.get_dated(path).await.map(|dated| dated.value)
    }

    /// Gets one object and the server's time.
    pub(crate) async fn get_dated<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Dated<T>, ForgeError> {
        let response = self.send(&self.endpoint.base.join(path, &[])).await?;
        Ok(Dated { value: self.deserialize(&response)?, now: rate_limit::now(&response) })
    }

    /// Gets the entries of a list, over at most [`Limits::pages`] pages, for which `filter_map` returns a value.
    pub(crate) async fn list<T: DeserializeOwned, U>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        mut filter_map: impl FnMut(T) -> Option<U>,
    ) -> Result<Vec<U>, ForgeError> {
        let mut kept = Vec::new();
        let mut seen = 0;
        let mut next = Some(self.endpoint.base.join(path, query));
        for _ in 0..self.limits().pages {
            let Some(url) = next else { return Ok(kept) };
            let response = self.send(&url).await?;
            // Forgejo lists null for an entry that it failed to load.
            let entries: Vec<Option<T>> = self.deserialize(&response)?;
            next = paging::next(self.paging, &self.endpoint.base, &response, entries.len(), seen);
            seen += entries.len();
            kept.extend(entries.into_iter().flatten().filter_map(&mut filter_map));
        }
        if next.is_some() {
            tracing::debug!(server = self.endpoint.server(), seen, "the list has more pages than are read");
        }
        Ok(kept)
    }

    async fn send(&self, url: &Url) -> Result<Response, ForgeError> {
        let request = self.endpoint.describe(url);
        let limits = self.limits();
        let attempt = || async {
            let response = self.endpoint.fetch(url.clone(), limits.request).await?;
            let status = response.status.as_u16();
            tracing::debug!(server = self.endpoint.server(), request, status, "response");
            check_status(response, &self.endpoint, &request)
        };
        with_retry(limits, attempt).await
    }

    fn deserialize<T: DeserializeOwned>(&self, response: &Response) -> Result<T, ForgeError> {
        serde_json::from_slice(&response.body).map_err(|error| {
            let (server, request) = (self.endpoint.server(), self.endpoint.describe(&response.url));
            let reason = format!("it is not the expected JSON: {error}");
            let reason = excerpt(&self.endpoint.credentials.mask(&reason));
            ForgeError::Unexpected { server, request, reason }
        })
    }
}

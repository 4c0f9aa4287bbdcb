//! Questions to one server with one login: the answer as a structure, the failure as an error for people.

use reqwest::Url;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;

use super::answer::Answer;
use super::base_url::BaseUrl;
use super::credentials::Credentials;
use super::excerpt::excerpt;
use super::fetch::fetch;
use super::limits::Limits;
use super::paging::{self, Paging};
use super::rate_limit;
use super::retry::{Failure, with_retry};
use super::status::check_status;
use super::transport::Transport;
use crate::api::error::ForgeError;

/// What the kinds of servers do differently on the level of HTTP.
#[derive(Debug)]
pub(in crate::api) struct HttpDialect {
    /// The header that carries the token, and what stands before it there.
    pub(in crate::api) token: (HeaderName, &'static str),
    /// What is accepted as an answer.
    pub(in crate::api) accept: &'static str,
    /// The header that pins a version of the API.
    pub(in crate::api) version: Option<(&'static str, &'static str)>,
    pub(in crate::api) paging: Paging,
}

/// A server, ready to be asked.
#[derive(Debug)]
pub(in crate::api) struct Client {
    transport: Transport,
    base_url: BaseUrl,
    credentials: Credentials,
    headers: HeaderMap,
    paging: Paging,
}

/// An answer, and the server's time when it gave it.
#[derive(Debug)]
pub(in crate::api) struct Dated<T> {
    pub(in crate::api) value: T,
    pub(in crate::api) now: jiff::Timestamp,
}

impl Client {
    pub(in crate::api) fn new(
        transport: &Transport,
        base_url: BaseUrl,
        credentials: Credentials,
        dialect: HttpDialect,
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(dialect.accept));
        if let Some((name, value)) = dialect.version {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let (name, before) = dialect.token;
        if let Some(token) = credentials.header(before) {
            headers.insert(name, token);
        }
        Self { transport: transport.clone(), base_url, credentials, headers, paging: dialect.paging }
    }

    pub(in crate::api) fn limits(&self) -> &Limits {
        self.transport.limits()
    }

    /// One thing.
    ///
    /// # Errors
    /// The server cannot be asked, refuses, or answers with something else.
    pub(in crate::api) async fn get<T: DeserializeOwned>(&self, parts: &[&str]) -> Result<T, ForgeError> {
        self.get_dated(parts).await.map(|told| told.value)
    }

    /// One thing, with the server's time.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(in crate::api) async fn get_dated<T: DeserializeOwned>(&self, parts: &[&str]) -> Result<Dated<T>, ForgeError> {
        let answer = self.ask(&self.base_url.at(parts, &[])).await?;
        Ok(Dated { value: self.read(&answer)?, now: rate_limit::now(&answer) })
    }

    /// A list over all its pages, up to [`Limits::pages`]: what `keep` makes of its entries.
    ///
    /// # Errors
    /// As [`get`](Self::get), for any page.
    pub(in crate::api) async fn list<T: DeserializeOwned, U>(
        &self,
        parts: &[&str],
        query: &[(&str, &str)],
        mut keep: impl FnMut(T) -> Option<U>,
    ) -> Result<Vec<U>, ForgeError> {
        let mut kept = Vec::new();
        let mut seen = 0;
        let mut next = Some(self.base_url.at(parts, query));
        for _ in 0..self.transport.limits.pages {
            let Some(url) = next else { return Ok(kept) };
            let answer = self.ask(&url).await?;
            // Forgejo writes null for what it could not read itself.
            let entries: Vec<Option<T>> = self.read(&answer)?;
            next = paging::next(self.paging, &self.base_url, &answer, entries.len(), seen);
            seen += entries.len();
            kept.extend(entries.into_iter().flatten().filter_map(&mut keep));
        }
        if next.is_some() {
            tracing::debug!(server = self.base_url.name(), seen, "a list is longer than what is read of one");
        }
        Ok(kept)
    }

    async fn ask(&self, url: &Url) -> Result<Answer, ForgeError> {
        let what = self.credentials.masked(&self.base_url.request(url));
        let limits = &self.transport.limits;
        let ask = || async {
            let answer = self.fetch(url).await?;
            tracing::debug!(server = self.base_url.name(), what, status = answer.status.as_u16(), "asked");
            check_status(answer, &self.base_url, &self.credentials, &what)
        };
        with_retry(limits, ask).await
    }

    async fn fetch(&self, url: &Url) -> Result<Answer, Failure> {
        let limit = self.transport.limits.request;
        fetch(&self.transport, &self.base_url, &self.credentials, url.clone(), &self.headers, limit).await
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ForgeError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let server = self.base_url.name().to_owned();
            let what = self.credentials.masked(&self.base_url.request(&answer.url));
            let why = excerpt(&self.credentials.masked(&format!("it is not the JSON that was expected: {error}")));
            ForgeError::Unexpected { server, what, why }
        })
    }
}

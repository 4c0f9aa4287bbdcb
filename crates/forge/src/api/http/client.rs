//! Questions to one server with one login: the answer as a structure, the failure as an error for people.

use reqwest::Url;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;

use super::answer::Answer;
use super::connector::Connector;
use super::exchange::exchange;
use super::limits::Limits;
use super::login::Login;
use super::paging::{self, Paging};
use super::pause;
use super::retry::{Failed, persist};
use super::site::Site;
use super::verdict::judged;
use super::words::shown;
use crate::api::error::ForgeError;

/// What the kinds of servers do differently on the level of HTTP.
#[derive(Debug)]
pub(in crate::api) struct Manner {
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
    connector: Connector,
    site: Site,
    login: Login,
    headers: HeaderMap,
    paging: Paging,
}

/// An answer, and the server's time when it gave it.
#[derive(Debug)]
pub(in crate::api) struct Told<T> {
    pub(in crate::api) value: T,
    pub(in crate::api) now: jiff::Timestamp,
}

impl Client {
    pub(in crate::api) fn new(connector: &Connector, site: Site, login: Login, manner: Manner) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(manner.accept));
        if let Some((name, value)) = manner.version {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let (name, before) = manner.token;
        if let Some(token) = login.header(before) {
            headers.insert(name, token);
        }
        Self { connector: connector.clone(), site, login, headers, paging: manner.paging }
    }

    pub(in crate::api) fn limits(&self) -> &Limits {
        self.connector.limits()
    }

    /// One thing.
    ///
    /// # Errors
    /// The server cannot be asked, refuses, or answers with something else.
    pub(in crate::api) async fn get<T: DeserializeOwned>(&self, parts: &[&str]) -> Result<T, ForgeError> {
        self.get_told(parts).await.map(|told| told.value)
    }

    /// One thing, with the server's time.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(in crate::api) async fn get_told<T: DeserializeOwned>(&self, parts: &[&str]) -> Result<Told<T>, ForgeError> {
        let answer = self.ask(&self.site.at(parts, &[])).await?;
        Ok(Told { value: self.read(&answer)?, now: pause::now(&answer) })
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
        let mut next = Some(self.site.at(parts, query));
        for _ in 0..self.connector.limits.pages {
            let Some(url) = next else { return Ok(kept) };
            let answer = self.ask(&url).await?;
            // Forgejo writes null for what it could not read itself.
            let entries: Vec<Option<T>> = self.read(&answer)?;
            next = paging::next(self.paging, &self.site, &answer, entries.len(), seen);
            seen += entries.len();
            kept.extend(entries.into_iter().flatten().filter_map(&mut keep));
        }
        if next.is_some() {
            tracing::debug!(server = self.site.name(), seen, "a list is longer than what is read of one");
        }
        Ok(kept)
    }

    async fn ask(&self, url: &Url) -> Result<Answer, ForgeError> {
        let what = self.login.masked(&self.site.request(url));
        let limits = &self.connector.limits;
        let ask = || async {
            let answer = self.exchange(url).await?;
            tracing::debug!(server = self.site.name(), what, status = answer.status.as_u16(), "asked");
            judged(answer, &self.site, &self.login, &what)
        };
        persist(limits, ask).await
    }

    async fn exchange(&self, url: &Url) -> Result<Answer, Failed> {
        let limit = self.connector.limits.request;
        exchange(&self.connector, &self.site, &self.login, url.clone(), &self.headers, limit).await
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ForgeError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let server = self.site.name().to_owned();
            let what = self.login.masked(&self.site.request(&answer.url));
            let why = shown(&self.login.masked(&format!("it is not the JSON that was expected: {error}")));
            ForgeError::Unexpected { server, what, why }
        })
    }
}

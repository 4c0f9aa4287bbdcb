//! Requests to one server with one token: JSON in, errors for people out.

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::base_url::BaseUrl;
use super::budget::Purpose;
use super::cache::Key;
use super::credentials::Credentials;
use super::excerpt::excerpt;
use super::fetch::Endpoint;
use super::graphql::Answer;
use super::limits::Limits;
use super::message::{Request, Response};
use super::paging::{self, PER_PAGE, Paging, SMALLER_PAGES};
use super::rate_limit;
use super::retry::{Failure, with_retry};
use super::status::check_status;
use super::transport::Transport;
use crate::error::ForgeError;
use crate::issue::Listed;

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
    /// Statuses with which this kind refuses a request, besides those of all kinds.
    pub(crate) refusals: &'static [u16],
}

/// An API of one server, with the token to use for it.
#[derive(Debug)]
pub(crate) struct Client {
    endpoint: Endpoint,
    paging: Paging,
    purpose: Purpose,
    /// Of the budget.
    key: Key,
    /// The header with the token.
    token: Option<HeaderValue>,
}

/// An object by its number.
#[derive(Deserialize)]
struct Numbered {
    id: u64,
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
        purpose: Purpose,
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(dialect.accept));
        if let Some((name, value)) = dialect.version {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let token = credentials.header(dialect.token_prefix);
        if let Some(token) = &token {
            headers.insert(HeaderName::from_static(dialect.token_header), token.clone());
        }
        let key = Key::new(base.as_str(), token.as_ref().map(HeaderValue::as_bytes).unwrap_or_default());
        let endpoint =
            Endpoint { transport: transport.clone(), base, credentials, headers, refusals: dialect.refusals };
        Self { endpoint, paging: dialect.paging, purpose, key, token }
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
        let response = self.get_response(path, &[]).await?;
        Ok(Dated { value: self.deserialize(&Method::GET, &response)?, now: rate_limit::now(&response) })
    }

    /// Gets one object by a query.
    pub(crate) async fn get_by<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, ForgeError> {
        let response = self.get_response(path, query).await?;
        self.deserialize(&Method::GET, &response)
    }

    /// Gets a response with its headers.
    pub(crate) async fn get_response(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Response, ForgeError> {
        self.send(&Request::get(self.endpoint.base.join(path, query))).await
    }

    /// Sends a request that changes something, and returns the object in the response.
    ///
    /// # Errors
    /// As for the others; [`ForgeError::Refused`] if the state of the object does not allow it. After an error that
    /// [is transient](ForgeError::is_transient) the change may have been made: look before it is tried again.
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Value,
    ) -> Result<T, ForgeError> {
        let response = self.send_change(method.clone(), path, Some(body)).await?;
        self.deserialize(&method, &response)
    }

    /// The same, whatever the response contains.
    pub(crate) async fn change_only(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<(), ForgeError> {
        self.send_change(method, path, body).await.map(drop)
    }

    async fn send_change(&self, method: Method, path: &[&str], body: Option<Value>) -> Result<Response, ForgeError> {
        let request = |path: &[&str]| Request::change(method.clone(), self.endpoint.base.join(path, &[]), body.clone());
        let sent = self.send(&request(path)).await;
        match (&sent, path) {
            // GitLab redirects only those who read.
            (Err(ForgeError::Refused { status: 405, message, .. }), ["projects", project, rest @ ..])
                if message.contains("moved projects") =>
            {
                let found: Numbered = self.get(&["projects", project]).await?;
                let id = found.id.to_string();
                let path: Vec<&str> = ["projects", &id].into_iter().chain(rest.iter().copied()).collect();
                self.send(&request(&path)).await
            }
            _ => sent,
        }
    }

    /// Gets the entries of a list for which `filter_map` returns a value.
    ///
    /// # Errors
    /// As for the others; [`ForgeError::TooLong`] if the list has more than [`Limits::pages_of_all`] pages.
    pub(crate) async fn list<T: DeserializeOwned, U>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        filter_map: impl FnMut(T) -> Option<U>,
    ) -> Result<Vec<U>, ForgeError> {
        self.list_dated(path, query, filter_map).await.map(|(entries, _)| entries)
    }

    /// The same with the server's time when it sent the first page; `None` if it did not say.
    pub(crate) async fn list_dated<T: DeserializeOwned, U>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        filter_map: impl FnMut(T) -> Option<U>,
    ) -> Result<(Vec<U>, Option<jiff::Timestamp>), ForgeError> {
        let pages = self.limits().pages_of_all;
        let listed = self.pages(path, query, pages, filter_map, |response| self.parse(response)).await?;
        let date = listed.date;
        Ok((self.complete(path, listed)?, date))
    }

    /// The same for a list in the field `name` of an object.
    pub(crate) async fn list_in<T: DeserializeOwned, U>(
        &self,
        name: &str,
        path: &[&str],
        query: &[(&str, &str)],
        filter_map: impl FnMut(T) -> Option<U>,
    ) -> Result<Vec<U>, ForgeError> {
        let entries = |response: &Response| self.entries_in(name, response);
        let listed = self.pages(path, query, self.limits().pages_of_all, filter_map, entries).await?;
        self.complete(path, listed)
    }

    /// Gets issues in the order of their changes. A list that is not complete continues with the next request.
    pub(crate) async fn list_issues<T: DeserializeOwned, U>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        filter_map: impl FnMut(T) -> Option<U>,
    ) -> Result<Listed<U>, ForgeError> {
        let pages = self.limits().pages_of_all;
        self.pages(path, query, pages, filter_map, |response| self.parse(response)).await
    }

    /// Gets the entries of the first [`Limits::pages`] pages.
    pub(crate) async fn list_first<T: DeserializeOwned, U>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        filter_map: impl FnMut(T) -> Option<U>,
    ) -> Result<Listed<U>, ForgeError> {
        let pages = self.limits().pages;
        self.pages(path, query, pages, filter_map, |response| self.parse(response)).await
    }

    /// The same for a list in the field `name` of an object.
    pub(crate) async fn list_first_in<T: DeserializeOwned, U>(
        &self,
        name: &str,
        path: &[&str],
        query: &[(&str, &str)],
        filter_map: impl FnMut(T) -> Option<U>,
    ) -> Result<Listed<U>, ForgeError> {
        let entries = |response: &Response| self.entries_in(name, response);
        self.pages(path, query, self.limits().pages, filter_map, entries).await
    }

    fn entries_in<T: DeserializeOwned>(
        &self,
        name: &str,
        response: &Response,
    ) -> Result<Option<Vec<Option<T>>>, ForgeError> {
        let entries = match self.parse(response)? {
            Value::Object(mut object) => object.remove(name).unwrap_or_default(),
            // Forgejo lists the jobs of a run without an object around them.
            list @ Value::Array(_) => list,
            other => self.convert::<Map<String, Value>>(&Method::GET, response, serde_json::from_value(other))?.into(),
        };
        self.convert(&Method::GET, response, serde_json::from_value(entries))
    }

    fn complete<U>(&self, path: &[&str], listed: Listed<U>) -> Result<Vec<U>, ForgeError> {
        if listed.is_complete {
            return Ok(listed.entries);
        }
        let (server, request) = (self.endpoint.server(), self.describe(&Method::GET, path));
        Err(ForgeError::TooLong { server, request, pages: self.limits().pages_of_all })
    }

    /// Gets at most `pages` pages of a list. If one of them is too large, the list is read again with fewer entries per page: anyone can
    /// write large comments.
    async fn pages<T, U>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        pages: usize,
        mut filter_map: impl FnMut(T) -> Option<U>,
        // Forgejo lists null for an entry that it failed to load.
        entries: impl Fn(&Response) -> Result<Option<Vec<Option<T>>>, ForgeError>,
    ) -> Result<Listed<U>, ForgeError> {
        let mut listed = self.pages_of(PER_PAGE, path, query, pages, &mut filter_map, &entries).await;
        for size in SMALLER_PAGES {
            if !matches!(&listed, Err(ForgeError::TooLarge { .. })) {
                break;
            }
            let text = size.to_string();
            let Some(query) = paging::with_size(query, &text) else { break };
            let pages = pages.saturating_mul(PER_PAGE / size);
            listed = self.pages_of(size, path, &query, pages, &mut filter_map, &entries).await;
        }
        listed
    }

    async fn pages_of<T, U>(
        &self,
        size: usize,
        path: &[&str],
        query: &[(&str, &str)],
        pages: usize,
        mut filter_map: impl FnMut(T) -> Option<U>,
        entries: impl Fn(&Response) -> Result<Option<Vec<Option<T>>>, ForgeError>,
    ) -> Result<Listed<U>, ForgeError> {
        let mut kept = Vec::new();
        let (mut seen, mut date) = (0, None);
        let mut next = Some(self.endpoint.base.join(path, query));
        for _ in 0..pages {
            let Some(url) = next else { return Ok(Listed { entries: kept, is_complete: true, date }) };
            let response = self.send(&Request::get(url)).await?;
            date = date.or_else(|| rate_limit::sent_at(&response));
            let entries = entries(&response)?.unwrap_or_default();
            next = paging::next(self.paging, &self.endpoint.base, &response, (entries.len(), size), seen);
            seen += entries.len();
            kept.extend(entries.into_iter().flatten().filter_map(&mut filter_map));
        }
        if next.is_some() {
            tracing::debug!(server = self.endpoint.server(), seen, "the list has more pages than are read");
        }
        Ok(Listed { entries: kept, is_complete: next.is_none(), date })
    }

    /// Gets the end of a text, at most `max` bytes. The server may serve it from another origin, which gets no token.
    pub(crate) async fn download(&self, path: &[&str], max: usize) -> Result<String, ForgeError> {
        let url = self.endpoint.base.join(path, &[]);
        let name = self.endpoint.describe(&Method::GET, &url);
        let limits = self.limits();
        with_retry(limits, || async {
            self.check_budget()?;
            let response = self.endpoint.download(&url, limits.request, max).await?;
            check_status(response, &self.endpoint, &name)
        })
        .await
        .map(|response| String::from_utf8_lossy(&response.body).into_owned())
    }

    /// Sends a GraphQL request, and returns its data.
    ///
    /// # Errors
    /// [`ForgeError::Refused`] with the server's message if the operation failed, and [`ForgeError::Unexpected`] without data.
    pub(crate) async fn graphql<T: DeserializeOwned>(&self, query: &str, variables: Value) -> Result<T, ForgeError> {
        let url = self.endpoint.base.graphql();
        let request = Request::change(Method::POST, url, Some(json!({ "query": query, "variables": variables })));
        let response = self.send(&request).await?;
        let answer: Answer = self.deserialize(&Method::POST, &response)?;
        let data = answer.data(&self.endpoint, &response)?;
        self.convert(&Method::POST, &response, serde_json::from_value(data))
    }

    /// The refusal of a change that the client does not request, because the server would make it.
    pub(crate) fn refusal(&self, method: &Method, path: &[&str], message: &str) -> ForgeError {
        let (server, request) = (self.endpoint.server(), self.describe(method, path));
        ForgeError::Refused { server, request, status: 409, message: message.to_owned() }
    }

    /// An accepted change that the server did not make.
    pub(crate) fn unexpected(&self, method: &Method, path: &[&str], reason: &str) -> ForgeError {
        let (server, request) = (self.endpoint.server(), self.describe(method, path));
        ForgeError::Unexpected { server, request, reason: reason.to_owned() }
    }

    fn describe(&self, method: &Method, path: &[&str]) -> String {
        self.endpoint.describe(method, &self.endpoint.base.join(path, &[]))
    }

    /// Reads the object in a response to a GET request.
    pub(crate) fn parse<T: DeserializeOwned>(&self, response: &Response) -> Result<T, ForgeError> {
        self.deserialize(&Method::GET, response)
    }

    async fn send(&self, request: &Request) -> Result<Response, ForgeError> {
        let name = self.endpoint.describe(&request.method, &request.url);
        let limits = self.limits();
        let attempt = || async {
            self.check_budget()?;
            let response = match request.is_read() {
                true => self.fetch_if_changed(request).await?,
                false => self.endpoint.fetch(request, limits.request).await?,
            };
            self.endpoint.transport.budgets.learn(self.key, &response);
            let status = response.status.as_u16();
            tracing::debug!(server = self.endpoint.server(), request = name, status, "response");
            let checked = check_status(response, &self.endpoint, &name);
            checked.map_err(|failure| if request.is_read() { failure } else { failure.unless_it_may_be_done() })
        };
        with_retry(limits, attempt).await
    }

    /// Background work does not wait for the end of the window.
    fn check_budget(&self) -> Result<(), Failure> {
        self.endpoint.transport.budgets.check(self.key, self.purpose).map_err(|exhausted| {
            let error = ForgeError::RateLimited { server: self.endpoint.server(), until: Some(exhausted.until) };
            match self.purpose {
                Purpose::Interactive => Failure::after(exhausted.wait, error),
                Purpose::Background => Failure::permanent(error),
            }
        })
    }

    /// Sends a GET request, with the validator of the response that is known.
    async fn fetch_if_changed(&self, request: &Request) -> Result<Response, Failure> {
        let (cache, limit) = (&self.endpoint.transport.cache, self.limits().request);
        let token = self.token.as_ref().map(HeaderValue::as_bytes).unwrap_or_default();
        let key = Key::new(request.url.as_str(), token);
        let Some(etag) = cache.etag(key) else {
            let response = self.endpoint.fetch(request, limit).await?;
            cache.keep(key, &response);
            return Ok(response);
        };
        let mut conditional = request.clone();
        conditional.headers.insert(IF_NONE_MATCH, etag.clone());
        let response = self.endpoint.fetch(&conditional, limit).await?;
        if response.status != StatusCode::NOT_MODIFIED {
            cache.keep(key, &response);
            return Ok(response);
        }
        match cache.confirmed(key, &etag, &response) {
            Some(confirmed) => Ok(confirmed),
            // It was dropped while the request was on its way.
            None => self.endpoint.fetch(request, limit).await,
        }
    }

    fn deserialize<T: DeserializeOwned>(&self, method: &Method, response: &Response) -> Result<T, ForgeError> {
        self.convert(method, response, serde_json::from_slice(&response.body))
    }

    fn convert<T>(
        &self,
        method: &Method,
        response: &Response,
        read: Result<T, serde_json::Error>,
    ) -> Result<T, ForgeError> {
        read.map_err(|error| {
            let (server, request) = (self.endpoint.server(), self.endpoint.describe(method, &response.url));
            let reason = format!("it is not the expected JSON: {error}");
            let reason = excerpt(&self.endpoint.credentials.mask(&reason));
            ForgeError::Unexpected { server, request, reason }
        })
    }
}

//! Endpoints of the daemon, declared once for client and server: path, request and response.
//!
//! A request is a struct. Fields that the path names in braces fill it; the others travel in the query of a `GET` and in
//! the JSON body of a `POST`.

use std::fmt::Display;
use std::marker::PhantomData;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// A request that is answered with one JSON value.
#[derive(Debug)]
pub struct Endpoint<Request, Response> {
    pub route: Route<Request>,
    response: PhantomData<fn() -> Response>,
}

/// A `GET` request that is answered with a stream of lines, each a JSON value.
#[derive(Debug)]
pub struct StreamEndpoint<Request, Item> {
    pub route: Route<Request>,
    item: PhantomData<fn() -> Item>,
}

/// A `GET` request that is answered with a JSON array that is too long to be held in memory.
///
/// Each line of the body is a part of the array: `[`, an item, `,` and a further item, `]`. A reader needs one line at a
/// time, and one that wants the whole array gets valid JSON.
#[derive(Debug)]
pub struct ListEndpoint<Request, Item> {
    pub route: Route<Request>,
    item: PhantomData<fn() -> Item>,
}

impl<Request, Response> Endpoint<Request, Response> {
    pub(crate) const fn get(path: &'static str) -> Self {
        Self { route: Route::new(Method::Get, path), response: PhantomData }
    }

    pub(crate) const fn post(path: &'static str) -> Self {
        Self { route: Route::new(Method::Post, path), response: PhantomData }
    }
}

impl<Request, Item> StreamEndpoint<Request, Item> {
    pub(crate) const fn new(path: &'static str) -> Self {
        Self { route: Route::new(Method::Get, path), item: PhantomData }
    }
}

impl<Request, Item> ListEndpoint<Request, Item> {
    pub(crate) const fn new(path: &'static str) -> Self {
        Self { route: Route::new(Method::Get, path), item: PhantomData }
    }
}

#[derive(Debug)]
pub struct Route<Request> {
    pub method: Method,
    /// Has names of fields of the request in braces.
    pub path: &'static str,
    request: PhantomData<fn(Request)>,
}

// A derive would require that the request is `Clone`.
impl<Request> Clone for Route<Request> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Request> Copy for Route<Request> {}

/// A request as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Path and query.
    pub target: String,
    /// Empty for a `GET`.
    pub body: Vec<u8>,
}

/// A request without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoFields {}

impl<Request> Route<Request> {
    const fn new(method: Method, path: &'static str) -> Self {
        Self { method, path, request: PhantomData }
    }
}

impl<Request: Serialize> Route<Request> {
    /// Fails if the declaration is wrong: the request is not a struct, or lacks a field that the path names.
    pub fn encode(&self, request: &Request) -> serde_json::Result<Encoded> {
        let Value::Object(mut fields) = serde_json::to_value(request)? else {
            return Err(serde_json::Error::custom("a request is a struct"));
        };
        let mut target = fill(self.path, &mut fields)?;
        let body = match self.method {
            Method::Post => serde_json::to_vec(&fields)?,
            Method::Get => {
                let pairs = fields.iter().filter_map(|(name, value)| Some((name, text(value)?)));
                let query: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", escape(&value))).collect();
                if !query.is_empty() {
                    target.push('?');
                    target.push_str(&query.join("&"));
                }
                Vec::new()
            }
        };
        Ok(Encoded { target, body })
    }
}

impl<Request: DeserializeOwned> Route<Request> {
    /// Reads a request from the fields in the path, the query and the body. A `POST` of version 0.1 has fields in its query,
    /// too. Returns the message of the error for the client.
    pub fn decode(&self, path_fields: &[(String, String)], query: &str, body: &[u8]) -> Result<Request, String> {
        let from_path = serde_urlencoded::to_string(path_fields).map_err(|error| error.to_string())?;
        let parts: Vec<&str> = [from_path.as_str(), query].into_iter().filter(|part| !part.is_empty()).collect();
        let query = parts.join("&");
        if self.method == Method::Get {
            // Numbers and flags are text in a query.
            return serde_urlencoded::from_str(&query).map_err(|error| error.to_string());
        }
        let body: Option<Map<String, Value>> = match body {
            [] => None,
            body => serde_json::from_slice(body).map_err(|error| error.to_string())?,
        };
        let mut fields = body.unwrap_or_default();
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(&query).map_err(|error| error.to_string())?;
        fields.extend(pairs.into_iter().map(|(name, value)| (name, Value::String(value))));
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
    }
}

/// Moves fields into the path.
fn fill(path: &str, fields: &mut Map<String, Value>) -> serde_json::Result<String> {
    let (mut filled, mut rest) = (String::new(), path);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let value = fields.remove(name).as_ref().and_then(text);
        let value = value.ok_or_else(|| serde_json::Error::custom(format!("{path} needs the field {name}")))?;
        filled.push_str(before);
        filled.push_str(&escape(&value).to_string());
        rest = after;
    }
    Ok(filled + rest)
}

/// Returns a value as text for a path or a query; `None` if it is omitted there.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Bool(false) => None,
        other => Some(other.to_string()),
    }
}

/// Percent-encodes everything but letters, digits, `-`, `.`, `_` and `~` (RFC 3986, section 2.3).
fn escape(value: &str) -> impl Display {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(value, ESCAPED)
}

/// Reads a flag of a query. Version 0.1 sends `1` for `true`.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Flag {
        Bool(bool),
        Text(String),
    }
    match Flag::deserialize(deserializer)? {
        Flag::Bool(flag) => Ok(flag),
        Flag::Text(text) => match text.as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            other => Err(D::Error::custom(format!("{other:?} is neither `true` nor `false`"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Example {
        task: String,
        #[serde(default)]
        cwd: String,
        #[serde(default)]
        after: i64,
        since: Option<String>,
        #[serde(default, deserialize_with = "flag")]
        follow: bool,
    }

    const GET: Route<Example> = Route::new(Method::Get, "/v1/tasks/{task}");
    const POST: Route<Example> = Route::new(Method::Post, "/v1/tasks/{task}/cancel");

    fn example() -> Example {
        Example { task: "a/../b#1&x=y".to_owned(), cwd: "/home/ä b".to_owned(), after: 3, since: None, follow: true }
    }

    /// A server splits the target, and its router decodes the fields of the path.
    fn round_trip(route: &Route<Example>, request: &Example) -> Example {
        let encoded = route.encode(request).unwrap();
        let (_, query) = encoded.target.split_once('?').unwrap_or((&encoded.target, ""));
        let task = ("task".to_owned(), request.task.clone());
        route.decode(&[task], query, &encoded.body).unwrap()
    }

    #[test]
    fn a_request_arrives_unchanged() {
        let encoded = GET.encode(&example()).unwrap();
        let (path, query) = encoded.target.split_once('?').unwrap();
        assert_eq!(path, "/v1/tasks/a%2F..%2Fb%231%26x%3Dy");
        let mut pairs: Vec<&str> = query.split('&').collect();
        pairs.sort_unstable();
        assert_eq!(pairs, ["after=3", "cwd=%2Fhome%2F%C3%A4%20b", "follow=true"]);
        assert_eq!(encoded.body, b"");
        assert_eq!(round_trip(&GET, &example()), example());
        let encoded = POST.encode(&example()).unwrap();
        assert_eq!(encoded.target, "/v1/tasks/a%2F..%2Fb%231%26x%3Dy/cancel");
        assert_eq!(round_trip(&POST, &example()), example());
    }

    #[test]
    fn requests_of_version_0_1_are_accepted() {
        let task = [("task".to_owned(), "x".to_owned())];
        let request = POST.decode(&task, "cwd=%2Fw", b"null").unwrap();
        assert_eq!((request.task.as_str(), request.cwd.as_str()), ("x", "/w"));
        assert!(GET.decode(&task, "follow=1", b"").unwrap().follow);
        let nothing: Route<NoFields> = Route::new(Method::Post, "/v1/stop");
        assert_eq!(nothing.decode(&[], "", b""), Ok(NoFields {}));
    }

    #[test]
    fn an_invalid_request_is_refused() {
        assert!(GET.decode(&[], "", b"").unwrap_err().contains("task"));
        assert!(POST.decode(&[], "", b"[1]").is_err());
        assert!(GET.decode(&[], "task=x&follow=maybe", b"").unwrap_err().contains("neither"));
    }
}

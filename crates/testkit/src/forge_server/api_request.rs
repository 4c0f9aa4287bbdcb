//! A parsed API request.

use percent_encoding::percent_decode_str;

/// A `GET` request of the API.
#[derive(Debug)]
pub(super) struct ApiRequest {
    /// The decoded segments of the path below the API's prefix.
    pub(super) parts: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    /// The user of the token.
    pub(super) login: Option<String>,
    /// Start of the addresses in the answer.
    pub(super) base: String,
    /// Path and query as they were sent.
    pub(super) target: String,
}

impl ApiRequest {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }
}

/// The segments of a path, decoded one by one: `%2F` is not a separator.
pub(super) fn parts(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty()).map(decoded).collect()
}

pub(super) fn query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " "))))
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

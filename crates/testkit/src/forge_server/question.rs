//! A request as the flavors read it.

use percent_encoding::percent_decode_str;

/// A GET of the API.
#[derive(Debug)]
pub(super) struct Question {
    /// The decoded parts of the path below the API's prefix.
    pub(super) parts: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    /// Who asks, by the token.
    pub(super) login: Option<String>,
    /// What the addresses in the answer begin with.
    pub(super) base: String,
    /// Path and query as they came.
    pub(super) target: String,
}

impl Question {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }
}

/// The parts of a path, each decoded for itself: `%2F` does not divide.
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

//! A parsed API request.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// A request of the API.
#[derive(Debug)]
pub(super) struct ApiRequest {
    pub(super) method: String,
    /// The decoded segments of the path below the API's prefix.
    pub(super) parts: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    /// The JSON that was sent; `Null` if it was none.
    pub(super) body: Value,
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

    /// A text of the body.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.body.get(name).and_then(Value::as_bool) == Some(true)
    }

    /// The texts of a list in the body; `None` if there is no such list.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let list = self.body.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Names of a list, or of a text with commas between them; `None` if there is no such field.
    pub(super) fn names(&self, name: &str) -> Option<Vec<String>> {
        let text = self.text(name).map(|text| text.split(',').map(str::trim).map(str::to_owned).collect());
        let names: Vec<String> = text.or_else(|| self.texts(name))?;
        Some(names.into_iter().filter(|name| !name.is_empty()).collect())
    }

    /// The numbers of a list in the body; `None` if there is no such list.
    pub(super) fn ids(&self, name: &str) -> Option<Vec<u64>> {
        Some(self.body.get(name)?.as_array()?.iter().filter_map(Value::as_u64).collect())
    }

    /// The user of the token; empty for requests without one.
    pub(super) fn actor(&self) -> &str {
        self.login.as_deref().unwrap_or_default()
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

/// Adds the parameters of the query that the body does not have: GitLab takes them from either.
pub(super) fn add_query(body: &mut Value, query: &[(String, String)]) {
    if body.is_null() {
        *body = Value::Object(Map::new());
    }
    let Some(fields) = body.as_object_mut() else { return };
    for (name, value) in query {
        let value = value.parse::<bool>().map_or_else(|_| Value::from(value.as_str()), Value::from);
        fields.entry(name.as_str()).or_insert(value);
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

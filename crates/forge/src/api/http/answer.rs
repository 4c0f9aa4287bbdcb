//! An answer, read whole.

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{StatusCode, Url};

/// Status, headers and body of an answer.
#[derive(Debug)]
pub(in crate::api) struct Answer {
    /// What was asked in the end, behind all redirects.
    pub(in crate::api) url: Url,
    pub(in crate::api) status: StatusCode,
    pub(in crate::api) headers: HeaderMap,
    pub(in crate::api) body: Vec<u8>,
}

impl Answer {
    /// A header as text; none where it is absent or no text.
    pub(in crate::api) fn header(&self, name: &str) -> Option<&str> {
        let name = HeaderName::try_from(name).ok()?;
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }
}

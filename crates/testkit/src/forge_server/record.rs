//! What a forge server remembers of the requests it got.

/// One HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgeRequest {
    /// For instance `GET`.
    pub method: String,
    /// Path and query as they came, for instance `/api/v4/projects/a%2Fb/issues/1`.
    pub target: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Who asked, by the token; none without one, or with one that is not known.
    pub login: Option<String>,
    /// Status of the answer, once it is known.
    pub status: Option<u16>,
}

impl ForgeRequest {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether it brought any kind of credentials.
    pub fn has_credentials(&self) -> bool {
        ["authorization", "private-token", "job-token", "cookie"].iter().any(|name| self.header(name).is_some())
    }

    /// Whether `text` is anywhere in it.
    pub fn holds(&self, text: &str) -> bool {
        self.target.contains(text) || self.headers.iter().any(|(_, value)| value.contains(text))
    }
}

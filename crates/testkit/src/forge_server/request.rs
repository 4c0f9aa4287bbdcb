//! The recorded requests of a forge server.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgeRequest {
    pub method: String,
    /// Path and query as they were sent, for example `/api/v4/projects/a%2Fb/issues/1`.
    pub target: String,
    /// Names are in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The user of the token, if it is known.
    pub login: Option<String>,
    /// Status of the answer; `None` while the request is in progress.
    pub status: Option<u16>,
}

impl ForgeRequest {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a header carries credentials of any kind.
    pub fn has_credentials(&self) -> bool {
        ["authorization", "private-token", "job-token", "cookie"].iter().any(|name| self.header(name).is_some())
    }

    /// Whether `text` occurs in the target or in a header.
    pub fn contains(&self, text: &str) -> bool {
        self.target.contains(text) || self.headers.iter().any(|(_, value)| value.contains(text))
    }
}

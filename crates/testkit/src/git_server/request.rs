//! The recorded requests of a git server.

use std::time::SystemTime;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRequest {
    /// Time of arrival.
    pub at: SystemTime,
    pub method: String,
    /// Path and query, for example `/owner/repo.git/info/refs?service=git-upload-pack`.
    pub target: String,
    /// Whether it had the valid token.
    pub authorized: bool,
    /// Value of the header `git-protocol`, for example `version=2`.
    pub protocol: Option<String>,
    /// Value of the header `content-encoding`, for example `gzip`.
    pub encoding: Option<String>,
    /// Status of the answer; `None` while the request is in progress.
    pub status: Option<u16>,
}

impl GitRequest {
    /// Whether it transfers commits to the server.
    pub fn is_push(&self) -> bool {
        self.method == "POST" && self.target.ends_with("/git-receive-pack")
    }

    /// Whether it fetches commits or lists references.
    pub fn is_fetch(&self) -> bool {
        self.method == "POST" && self.target.ends_with("/git-upload-pack")
    }
}

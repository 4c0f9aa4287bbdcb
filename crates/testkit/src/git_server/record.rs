//! What a git server remembers of the requests it got.

use std::time::SystemTime;

/// One HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRequest {
    /// When it came in.
    pub at: SystemTime,
    /// For instance `POST`.
    pub method: String,
    /// Path and query, for instance `/owner/repo.git/info/refs?service=git-upload-pack`.
    pub target: String,
    /// Whether it brought the right token.
    pub authorized: bool,
    /// Value of the header `git-protocol`, for instance `version=2`.
    pub protocol: Option<String>,
    /// Value of the header `content-encoding`, for instance `gzip`.
    pub encoding: Option<String>,
    /// Status of the answer, once it is known.
    pub status: Option<u16>,
}

impl GitRequest {
    /// Whether it transfers commits to the server.
    pub fn is_push(&self) -> bool {
        self.method == "POST" && self.target.ends_with("/git-receive-pack")
    }

    /// Whether it asks for commits, or for what there is to ask for.
    pub fn is_fetch(&self) -> bool {
        self.method == "POST" && self.target.ends_with("/git-upload-pack")
    }
}

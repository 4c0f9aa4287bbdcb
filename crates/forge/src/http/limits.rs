//! Limits of the conversation with a server.

use std::time::Duration;

/// The defaults suit servers on the internet; tests use smaller ones.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Timeout of name lookup, connection and TLS handshake together.
    pub connect: Duration,
    /// Timeout of one request, to the last byte of its response.
    pub request: Duration,
    /// Timeout of one request while detecting what serves an address.
    pub detect: Duration,
    /// Maximum size of a response in bytes. Fifty pull requests with descriptions need less than a tenth of the default.
    pub body: usize,
    /// Maximum number of pages of a list whose first entries are enough.
    pub pages: usize,
    /// Maximum number of pages of the other lists. That is more comments than GitHub and GitLab accept on one issue. A longer list
    /// is an error, or continues with the next request.
    pub pages_of_all: usize,
    /// Maximum number of redirects of one request.
    pub redirects: usize,
    /// Maximum number of times a request is sent.
    pub attempts: u32,
    /// Pause before the second attempt, unless the server names one. It doubles with each attempt.
    pub first_backoff: Duration,
    /// Maximum sum of all pauses of one call. If a server asks for more, the call fails at once.
    pub max_wait: Duration,
    /// Pause before a Gitea server gets a second request for whether a pull request conflicts.
    pub conflict_recheck: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            detect: Duration::from_secs(5),
            body: 32 << 20,
            pages: 20,
            pages_of_all: 200,
            redirects: 4,
            attempts: 4,
            first_backoff: Duration::from_millis(250),
            max_wait: Duration::from_secs(60),
            conflict_recheck: Duration::from_secs(1),
        }
    }
}

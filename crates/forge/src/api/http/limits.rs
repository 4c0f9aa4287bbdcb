//! How long and how much: every bound of a conversation with a server.

use std::time::Duration;

/// The bounds. The defaults suit servers on the internet; tests take smaller ones.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For name lookup, connection and TLS together.
    pub connect: Duration,
    /// For one request from its beginning to the last byte of its answer.
    pub request: Duration,
    /// The same while it is found out what serves an address.
    pub detect: Duration,
    /// Bytes of one answer. A page of fifty changes with their descriptions stays below a tenth of the default.
    pub body: usize,
    /// Pages of one list; what is on later ones is not seen.
    pub pages: usize,
    /// Redirects of one request.
    pub redirects: usize,
    /// How often a request is sent at most.
    pub tries: u32,
    /// The pause before the second try, where the server does not name one; it doubles from try to try.
    pub first_pause: Duration,
    /// All pauses of one call together. A server that asks for more is told of instead of waited for.
    pub patience: Duration,
    /// The pause before a Gitea server is asked a second time whether a change can be merged.
    pub second_look: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            detect: Duration::from_secs(5),
            body: 32 << 20,
            pages: 20,
            redirects: 4,
            tries: 4,
            first_pause: Duration::from_millis(250),
            patience: Duration::from_secs(60),
            second_look: Duration::from_secs(1),
        }
    }
}

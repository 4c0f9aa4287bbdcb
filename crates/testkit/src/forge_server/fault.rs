//! Faults that a forge server can inject.

use std::time::Duration;

use tokio::sync::watch::Receiver;

/// A fault that replaces or delays an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A status with the API's body for errors.
    Status(u16),
    /// A custom answer.
    Answer {
        status: u16,
        /// Additional headers.
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The correct answer after this time.
    Late(Duration),
    /// The correct answer after the sender has sent something or is gone.
    Held(Receiver<()>),
    /// The request is carried out, and then this fault replaces the answer.
    Done(Box<Fault>),
    /// The connection breaks in the middle of the body.
    Cut,
    /// An HTML page with status 200, like a login page in front of the server.
    Page,
    /// A redirect: status and address.
    Redirect(u16, String),
    /// A body of this many bytes without `content-length`.
    Large(usize),
}

impl Fault {
    /// A rate limit that ends after this many seconds.
    pub fn rate_limit(seconds: u64) -> Self {
        let headers = vec![("retry-after", seconds.to_string())];
        Self::Answer { status: 429, headers, body: r#"{"message":"Too Many Requests"}"#.to_owned() }
    }
}

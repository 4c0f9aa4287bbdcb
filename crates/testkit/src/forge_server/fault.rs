//! What a forge server can do wrong.

use std::time::Duration;

/// One fault, made instead of an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A status with the body that the API has for errors.
    Status(u16),
    /// An answer of the test's own.
    Answer {
        /// The status.
        status: u16,
        /// More headers.
        headers: Vec<(&'static str, String)>,
        /// The body, whatever it is.
        body: String,
    },
    /// The right answer, after this time.
    Late(Duration),
    /// The connection breaks in the middle of the body.
    Cut,
    /// A page for people, with status 200: what a login in front of the server shows.
    Page,
    /// Go elsewhere: status and address.
    Redirect(u16, String),
    /// A body of this many bytes, sent without saying how long it will be.
    Large(usize),
}

impl Fault {
    /// Too many requests; the next is welcome after these seconds.
    pub fn limited(seconds: u64) -> Self {
        let headers = vec![("retry-after", seconds.to_string())];
        Self::Answer { status: 429, headers, body: r#"{"message":"Too Many Requests"}"#.to_owned() }
    }
}

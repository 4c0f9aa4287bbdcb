//! Webhooks, and what becomes of their deliveries.

/// A webhook of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub id: u64,
    pub url: String,
    /// Empty if the hook has none.
    pub secret: String,
    pub active: bool,
    /// As the request named them; GitLab's are the names of its settings.
    pub events: Vec<String>,
}

/// A delivery as it was sent, or lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub url: String,
    /// Names are in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Status of the answer; `None` if it was lost or the receiver did not answer.
    pub status: Option<u16>,
}

impl Delivery {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A reason why a delivery is not sent once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It is never sent.
    Lose,
    /// It is sent twice with the same ID.
    Duplicate,
    /// It is sent after the next one.
    Delay,
    /// Its signature is of another secret.
    Forge,
}

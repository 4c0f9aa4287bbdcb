//! What a model server remembers of the requests it got.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::conversation::text;
use crate::watched::Watched;

/// One request for a completion.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// When it came in.
    pub at: SystemTime,
    /// Value of the header `x-session-affinity`, by which opencode names its session.
    pub session: Option<String>,
    /// Value of the header `authorization`.
    pub authorization: Option<String>,
    /// All of the body.
    pub body: Value,
    /// How the server dealt with it.
    pub outcome: Outcome,
}

/// How far an answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Being answered, or hanging by script.
    Open,
    /// Held by this gate.
    Waiting(String),
    /// Answered to its scripted end, a cut included.
    Answered,
    /// Refused with this HTTP status.
    Refused(u16),
    /// The client went before the end.
    Abandoned,
}

impl ModelRequest {
    /// Whether it asks for a title: opencode sends such a request without tools beside the first turn of a session.
    pub fn is_title(&self) -> bool {
        self.body["tools"].as_array().is_none_or(Vec::is_empty)
    }

    /// The messages, system prompt included.
    pub fn messages(&self) -> &[Value] {
        self.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// Names of the tools the model is offered.
    pub fn tools(&self) -> Vec<&str> {
        let tools = self.body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        tools.iter().filter_map(|tool| tool["function"]["name"].as_str()).collect()
    }

    /// Text of the system prompt.
    pub fn system_text(&self) -> String {
        self.texts("system").join("\n")
    }

    /// Text of every message with this role, in order: with `user`, all that was asked in the session so far.
    pub fn texts(&self, role: &str) -> Vec<String> {
        self.messages().iter().filter(|message| message["role"] == role).map(text).collect()
    }

    /// The directory in which the agent says it works: a line of opencode's system prompt (seen with 1.18.33).
    pub fn working_directory(&self) -> Option<String> {
        let system = self.system_text();
        let directory = system.lines().find_map(|line| line.trim().strip_prefix("Working directory: "));
        directory.map(str::to_owned)
    }

    /// Text of the last message with this role, for instance `user` or `tool`.
    pub fn last_text(&self, role: &str) -> Option<String> {
        self.messages().iter().rev().find(|message| message["role"] == role).map(text)
    }
}

/// Every request so far, in the order of arrival.
pub(super) type Requests = Watched<Vec<ModelRequest>>;

/// One request on its way; dropping it before its end means that the client has gone.
#[derive(Debug)]
pub(super) struct Delivery {
    requests: Arc<Requests>,
    index: usize,
    ended: bool,
}

impl Delivery {
    /// Notes `request` as open.
    pub(super) fn open(requests: Arc<Requests>, request: ModelRequest) -> Self {
        let index = requests.change(|list| {
            list.push(request);
            list.len() - 1
        });
        Self { requests, index, ended: false }
    }

    /// Position among all requests.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Notes that a gate holds the request, or (`None`) that it no longer does.
    pub(super) fn hold(&self, gate: Option<&str>) {
        self.set(gate.map_or(Outcome::Open, |gate| Outcome::Waiting(gate.to_owned())));
    }

    /// Notes the end; called before the last bytes leave, so that the record is complete when a client has them.
    pub(super) fn end(&mut self, outcome: Outcome) {
        self.ended = true;
        self.set(outcome);
    }

    fn set(&self, outcome: Outcome) {
        self.requests.change(|list| list[self.index].outcome = outcome);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.ended {
            self.set(Outcome::Abandoned);
        }
    }
}

//! The recorded requests of a model server.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::conversation::{Conversation, Message};
use super::side_request;
use crate::watched::Watched;

/// A request for a completion.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// Time of arrival.
    pub at: SystemTime,
    /// The name of the requested model.
    pub model: String,
    /// The path of its URL, without the query.
    pub path: String,
    /// The client's id of its session, if it sends one.
    pub session: Option<String>,
    /// The header `authorization`, or the one that the dialect has instead.
    pub authorization: Option<String>,
    pub body: Value,
    pub conversation: Conversation,
    pub outcome: Outcome,
}

/// The state of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// In progress, or hanging as scripted.
    Open,
    /// Blocked by this gate.
    Waiting(String),
    /// Answered as scripted, even if the script cut the answer.
    Answered,
    /// Refused with this HTTP status.
    Refused(u16),
    /// The client disconnected before the end.
    Abandoned,
}

impl ModelRequest {
    /// Whether it is no part of a turn, such as a request for a title.
    pub fn is_side_request(&self) -> bool {
        side_request::answer(&self.conversation).is_some()
    }

    /// The messages, system prompt included.
    pub fn messages(&self) -> &[Message] {
        &self.conversation.messages
    }

    /// The names of the tools that the model may call.
    pub fn tools(&self) -> Vec<&str> {
        self.conversation.tools.iter().map(|tool| tool.name.as_str()).collect()
    }

    pub fn system_text(&self) -> String {
        self.texts("system").join("\n")
    }

    /// The texts of all messages with this role, in order.
    pub fn texts(&self, role: &str) -> Vec<String> {
        self.with_role(role).map(|message| message.text.clone()).collect()
    }

    /// The text of the last message with this role, for example `user` or `tool`.
    pub fn last_text(&self, role: &str) -> Option<String> {
        self.with_role(role).last().map(|message| message.text.clone())
    }

    fn with_role(&self, role: &str) -> impl Iterator<Item = &Message> {
        self.messages().iter().filter(move |message| message.role.as_str() == role)
    }

    /// The agent's working directory, from the line of its prompt that names it.
    pub fn working_directory(&self) -> Option<String> {
        self.conversation.working_directory()
    }
}

/// All requests so far, in the order of arrival.
pub(super) type Requests = Watched<Vec<ModelRequest>>;

/// A request in progress. Dropping it before its end means that the client has disconnected.
#[derive(Debug)]
pub(super) struct Delivery {
    requests: Arc<Requests>,
    index: usize,
    ended: bool,
}

impl Delivery {
    /// Records `request` as open.
    pub(super) fn open(requests: Arc<Requests>, request: ModelRequest) -> Self {
        let index = requests.change(|list| {
            list.push(request);
            list.len() - 1
        });
        Self { requests, index, ended: false }
    }

    /// Index among all requests.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Records that a gate blocks the request, or with `None` that none does.
    pub(super) fn hold(&self, gate: Option<&str>) {
        self.set(gate.map_or(Outcome::Open, |gate| Outcome::Waiting(gate.to_owned())));
    }

    /// Records the end. Called before the last bytes are sent, so that the record is complete when the client has them.
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

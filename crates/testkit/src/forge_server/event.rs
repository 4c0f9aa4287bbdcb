//! Changes that webhooks report.

use serde_json::Value;

use super::issue::Subject;

/// A change of a project.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) project: String,
    /// The user who made the change.
    pub(super) actor: String,
    pub(super) kind: EventKind,
}

#[derive(Clone, Debug)]
pub(super) enum EventKind {
    /// The hook was created.
    Ping {
        hook: u64,
    },
    Issue {
        number: u64,
        action: Action,
    },
    PullRequest {
        number: u64,
        action: Action,
    },
    Comment {
        subject: Subject,
        id: u64,
        action: Action,
    },
    Review {
        number: u64,
        id: u64,
    },
    LineComment {
        number: u64,
        thread: u64,
        id: u64,
    },
    Check {
        commit: String,
        id: u64,
    },
    Push {
        branch: String,
        before: String,
        after: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Opened,
    Edited,
    Closed,
    Reopened,
    Labeled,
    Assigned,
    /// The head moved.
    Pushed,
    AutoMergeEnabled,
    AutoMergeDisabled,
    Enqueued,
    Dequeued,
}

/// The body of a delivery.
#[derive(Debug)]
pub(super) struct Body {
    /// The name in the header of the event.
    pub(super) name: &'static str,
    /// The finer name in Gitea's header of the type.
    pub(super) kind: &'static str,
    pub(super) json: Value,
}

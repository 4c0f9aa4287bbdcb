//! What GitHub and Gitea have in common: where a project is, and what an issue looks like.

use kugetsu_domain::reference::ProjectPath;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::issue::{Issue, IssueState};
use super::wire::{self, Label, User};

/// The path of something of a project.
pub(super) fn at<'a>(project: &'a ProjectPath, what: &[&'a str]) -> Vec<&'a str> {
    std::iter::once("repos").chain(project.as_str().split('/')).chain(what.iter().copied()).collect()
}

/// An issue as the server tells it.
#[derive(Debug, Deserialize)]
pub(super) struct IssueAnswer {
    number: u64,
    title: Option<String>,
    body: Option<String>,
    state: Option<String>,
    user: Option<User>,
    labels: Option<Vec<Label>>,
    html_url: Option<String>,
    updated_at: Option<String>,
    /// There if the issue is a change in truth.
    pull_request: Option<IgnoredAny>,
}

impl IssueAnswer {
    pub(super) fn issue(self) -> Issue {
        Issue {
            number: self.number,
            title: self.title.unwrap_or_default(),
            body: self.body.unwrap_or_default(),
            state: if self.state.as_deref() == Some("closed") { IssueState::Closed } else { IssueState::Open },
            author: wire::login(self.user),
            labels: wire::names(self.labels),
            url: self.html_url.unwrap_or_default(),
            is_pull_request: self.pull_request.is_some(),
            updated: wire::time(self.updated_at.as_deref()),
        }
    }
}

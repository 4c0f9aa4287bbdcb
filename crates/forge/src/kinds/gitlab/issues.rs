//! Issues, comments (notes), labels and reactions (award emoji).

use jiff::Timestamp;
use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::api::GitLab;
use crate::discussion::{Comment, Comments, Reaction};
use crate::error::ForgeError;
use crate::forge::Subject;
use crate::http::paging::PER_PAGE;
use crate::issue::{Issue, IssueEdit, IssueQuery, IssueState, Listed};
use crate::kinds::wire::{self, Label, User};

#[derive(Deserialize)]
struct IssueBody {
    iid: u64,
    title: Option<String>,
    description: Option<String>,
    state: Option<String>,
    author: Option<User>,
    labels: Option<Vec<Label>>,
    assignees: Option<Vec<User>>,
    /// `issue`, `incident`, `task` and others.
    issue_type: Option<String>,
    web_url: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct LinkedIssue {
    iid: u64,
    state: Option<String>,
    link_type: Option<String>,
}

/// A comment, or an entry about a change (`system`).
#[derive(Deserialize)]
pub(super) struct Note {
    pub(super) id: u64,
    /// `DiffNote` below a line of a merge request.
    #[serde(rename = "type")]
    kind: Option<String>,
    author: Option<User>,
    body: Option<String>,
    system: Option<bool>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl GitLab {
    pub(super) async fn get_issue(&self, project: &ProjectPath, number: u64) -> Result<Issue, ForgeError> {
        let path = ["projects", project.as_str(), "issues", &number.to_string()];
        self.client.get::<IssueBody>(&path).await.map(Issue::from)
    }

    pub(super) async fn list_issues(
        &self,
        project: &ProjectPath,
        query: &IssueQuery,
    ) -> Result<Listed<Issue>, ForgeError> {
        let (per_page, since) = (PER_PAGE.to_string(), query.since.map(|since| format!("{since:.0}")));
        let mut parameters = vec![("order_by", "updated_at"), ("sort", "asc"), ("per_page", per_page.as_str())];
        if query.open {
            parameters.push(("state", "opened"));
        }
        parameters.extend(query.label.as_deref().map(|label| ("labels", label)));
        parameters.extend(since.as_deref().map(|since| ("updated_after", since)));
        let path = ["projects", project.as_str(), "issues"];
        let mut listed =
            self.client.list_issues(&path, &parameters, |issue: IssueBody| Some(Issue::from(issue))).await?;
        if query.pull_requests {
            let path = ["projects", project.as_str(), "merge_requests"];
            let request = |body: IssueBody| Some(Issue { is_pull_request: true, ..body.into() });
            merge(&mut listed, self.client.list_issues(&path, &parameters, request).await?);
        }
        Ok(listed)
    }

    pub(super) async fn dependencies(&self, project: &ProjectPath, number: u64) -> Result<Vec<u64>, ForgeError> {
        let path = ["projects", project.as_str(), "issues", &number.to_string(), "links"];
        let blocks = |issue: LinkedIssue| {
            let is_open = issue.state.as_deref() != Some("closed");
            (issue.link_type.as_deref() == Some("is_blocked_by") && is_open).then_some(issue.iid)
        };
        self.client.list(&path, &[], blocks).await
    }

    pub(super) async fn list_comments(&self, project: &ProjectPath, subject: Subject) -> Result<Comments, ForgeError> {
        let (number, per_page) = (subject.number().to_string(), PER_PAGE.to_string());
        let path = ["projects", project.as_str(), word(subject), &number, "notes"];
        let query = [("order_by", "created_at"), ("sort", "asc"), ("per_page", per_page.as_str())];
        let comment = |note: Note| Some(note).filter(Note::is_comment).map(Comment::from);
        let (entries, date) = self.client.list_dated(&path, &query, comment).await?;
        Ok(Comments { entries, date })
    }

    pub(super) async fn post_comment(
        &self,
        project: &ProjectPath,
        subject: Subject,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        let path = ["projects", project.as_str(), word(subject), &subject.number().to_string(), "notes"];
        self.client.change::<Note>(Method::POST, &path, json!({ "body": body })).await.map(Comment::from)
    }

    pub(super) async fn put_comment(
        &self,
        project: &ProjectPath,
        subject: Subject,
        id: u64,
        body: &str,
    ) -> Result<(), ForgeError> {
        let (number, id) = (subject.number().to_string(), id.to_string());
        let path = ["projects", project.as_str(), word(subject), &number, "notes", &id];
        self.client.change_only(Method::PUT, &path, Some(json!({ "body": body }))).await
    }

    pub(super) async fn add_reaction(
        &self,
        project: &ProjectPath,
        subject: Subject,
        comment: u64,
        reaction: Reaction,
    ) -> Result<(), ForgeError> {
        let name = match reaction {
            Reaction::Eyes => "eyes",
            Reaction::ThumbsUp => "thumbsup",
            Reaction::Confused => "confused",
        };
        let (number, id) = (subject.number().to_string(), comment.to_string());
        let path = ["projects", project.as_str(), word(subject), &number, "notes", &id, "award_emoji"];
        match self.client.change_only(Method::POST, &path, Some(json!({ "name": name }))).await {
            // It says so for a reaction that is there already; the comment itself was read before.
            Err(ForgeError::NotFound { authenticated: true, .. }) => Ok(()),
            added => added,
        }
    }

    /// Those of the project's groups are among them.
    pub(super) async fn list_labels(&self, project: &ProjectPath) -> Result<Vec<String>, ForgeError> {
        self.client.list(&["projects", project.as_str(), "labels"], &[], wire::label_name).await
    }

    pub(super) async fn change_labels(
        &self,
        project: &ProjectPath,
        subject: Subject,
        add: &[String],
        remove: &[String],
    ) -> Result<(), ForgeError> {
        let path = ["projects", project.as_str(), word(subject), &subject.number().to_string()];
        let body = json!({ "add_labels": add.join(","), "remove_labels": remove.join(",") });
        self.client.change_only(Method::PUT, &path, Some(body)).await
    }

    pub(super) async fn put_issue(
        &self,
        project: &ProjectPath,
        number: u64,
        edit: &IssueEdit,
    ) -> Result<(), ForgeError> {
        let mut body = serde_json::Map::new();
        if let Some(state) = edit.state {
            let event = if state == IssueState::Closed { "close" } else { "reopen" };
            body.insert("state_event".to_owned(), event.into());
        }
        if let Some(assignees) = &edit.assignees {
            let mut ids = Vec::new();
            for login in assignees {
                ids.extend(self.user_id(login).await?);
            }
            body.insert("assignee_ids".to_owned(), json!(ids));
        }
        let path = ["projects", project.as_str(), "issues", &number.to_string()];
        self.client.change_only(Method::PUT, &path, Some(body.into())).await
    }
}

/// Adds entries by their times. Behind the end of a list that is not complete, none of the other is known to be the next one.
fn merge(listed: &mut Listed<Issue>, other: Listed<Issue>) {
    let end = |list: &Listed<Issue>| (!list.is_complete).then(|| list.entries.last()?.updated).flatten();
    let end = [end(listed), end(&other)].into_iter().flatten().min();
    listed.is_complete &= other.is_complete;
    listed.entries.extend(other.entries);
    listed.entries.sort_by_key(|issue| issue.updated);
    if let Some(end) = end {
        listed.entries.retain(|issue| issue.updated.is_none_or(|updated| updated <= end));
    }
}

/// The segment before the number.
fn word(subject: Subject) -> &'static str {
    match subject {
        Subject::Issue(_) => "issues",
        Subject::PullRequest(_) => "merge_requests",
    }
}

impl Note {
    /// Login and time, if it is the server's note about an approval. Its text is the same in every language.
    pub(super) fn approval(self) -> Option<(String, Timestamp)> {
        // Users write notes, too, with any text.
        let is_approval =
            self.system == Some(true) && self.body.as_deref().map(str::trim) == Some("approved this merge request");
        let time = wire::time(self.created_at.as_deref()).filter(|_| is_approval)?;
        Some((wire::login(self.author)?, time))
    }

    /// Whether a person or a program wrote it below the whole, not below a line.
    fn is_comment(&self) -> bool {
        self.system != Some(true) && self.kind.as_deref() != Some("DiffNote")
    }
}

impl From<Note> for Comment {
    fn from(note: Note) -> Self {
        Self {
            id: note.id,
            author: wire::user(note.author),
            body: wire::comment_text(note.body),
            created: wire::time(note.created_at.as_deref()),
            updated: wire::time(note.updated_at.as_deref()),
        }
    }
}

impl From<IssueBody> for Issue {
    fn from(body: IssueBody) -> Self {
        Self {
            number: body.iid,
            title: body.title.unwrap_or_default(),
            body: body.description.unwrap_or_default(),
            state: if body.state.as_deref() == Some("closed") { IssueState::Closed } else { IssueState::Open },
            author: wire::user(body.author),
            assignees: wire::logins(body.assignees),
            labels: wire::label_names(body.labels),
            url: body.web_url.unwrap_or_default(),
            kind: body.issue_type,
            open_sub_issues: 0,
            is_pull_request: false,
            created: wire::time(body.created_at.as_deref()),
            updated: wire::time(body.updated_at.as_deref()),
        }
    }
}

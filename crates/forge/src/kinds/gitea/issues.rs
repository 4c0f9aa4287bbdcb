//! Issues, comments and reactions.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde_json::json;

use super::api::Gitea;
use crate::discussion::{Comment, Comments};
use crate::error::ForgeError;
use crate::forge::Subject;
use crate::http::paging::PER_PAGE;
use crate::issue::{Issue, IssueEdit, IssueQuery, IssueState, Listed};
use crate::kinds::wire::{self, RepoComment, RepoIssue};

impl Gitea {
    pub(super) async fn get_issue(&self, project: &ProjectPath, number: u64) -> Result<Issue, ForgeError> {
        let number = number.to_string();
        self.client.get::<RepoIssue>(&wire::repo_path(project, &["issues", &number])).await.map(Issue::from)
    }

    pub(super) async fn list_issues(
        &self,
        project: &ProjectPath,
        query: &IssueQuery,
    ) -> Result<Listed<Issue>, ForgeError> {
        let (limit, since) = (PER_PAGE.to_string(), query.since.map(|since| format!("{since:.0}")));
        let state = if query.open { "open" } else { "all" };
        let mut parameters = vec![("state", state), ("limit", limit.as_str())];
        if !query.pull_requests {
            parameters.insert(0, ("type", "issues"));
        }
        parameters.extend(query.label.as_deref().map(|label| ("labels", label)));
        parameters.extend(since.as_deref().map(|since| ("since", since)));
        let selected = |issue: &Issue| {
            // Names of labels that the project does not have are dropped, and with them the filter.
            let has_label = query.label.as_ref().is_none_or(|label| issue.labels.contains(label));
            has_label
                && (query.pull_requests || !issue.is_pull_request)
                && (!query.open || issue.state == IssueState::Open)
        };
        let issue = |issue: RepoIssue| Some(Issue::from(issue)).filter(selected);
        let mut listed = self.client.list_issues(&wire::repo_path(project, &["issues"]), &parameters, issue).await?;
        // Not every version sorts by the change.
        listed.entries.sort_by_key(|issue| issue.updated);
        Ok(listed)
    }

    pub(super) async fn dependencies(&self, project: &ProjectPath, number: u64) -> Result<Vec<u64>, ForgeError> {
        let number = number.to_string();
        let path = wire::repo_path(project, &["issues", &number, "dependencies"]);
        let open = |issue: RepoIssue| Some(Issue::from(issue)).filter(|issue| issue.state == IssueState::Open);
        match self.client.list(&path, &[], open).await {
            Ok(issues) => Ok(issues.into_iter().map(|issue| issue.number).collect()),
            // The project has dependencies turned off; the issue itself was read before.
            Err(ForgeError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The server does not page them: it would send the same list for every page.
    pub(super) async fn list_comments(&self, project: &ProjectPath, subject: Subject) -> Result<Comments, ForgeError> {
        let number = subject.number().to_string();
        let path = wire::repo_path(project, &["issues", &number, "comments"]);
        let comments = self.client.get_dated::<Option<Vec<Option<RepoComment>>>>(&path).await?;
        let entries = comments.value.into_iter().flatten().flatten().map(Comment::from).collect();
        Ok(Comments { entries, date: Some(comments.now) })
    }

    pub(super) async fn patch_issue(
        &self,
        project: &ProjectPath,
        number: u64,
        edit: &IssueEdit,
    ) -> Result<(), ForgeError> {
        let number = number.to_string();
        let path = wire::repo_path(project, &["issues", &number]);
        let mut body = serde_json::Map::new();
        if let Some(state) = edit.state {
            let state = if state == IssueState::Closed { "closed" } else { "open" };
            body.insert("state".to_owned(), state.into());
        }
        if let Some(assignees) = &edit.assignees {
            body.insert("assignees".to_owned(), json!(assignees));
        }
        self.client.change_only(Method::PATCH, &path, Some(body.into())).await
    }
}

//! Issues, comments, labels and reactions.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde_json::json;

use super::api::GitHub;
use crate::discussion::{Comment, Comments};
use crate::error::ForgeError;
use crate::forge::Subject;
use crate::http::paging::PER_PAGE;
use crate::issue::{Issue, IssueEdit, IssueQuery, IssueState, Listed};
use crate::kinds::wire::{self, RepoComment, RepoIssue};

impl GitHub {
    pub(super) async fn get_issue(&self, project: &ProjectPath, number: u64) -> Result<Issue, ForgeError> {
        let number = number.to_string();
        self.client.get::<RepoIssue>(&wire::repo_path(project, &["issues", &number])).await.map(Issue::from)
    }

    pub(super) async fn list_issues(
        &self,
        project: &ProjectPath,
        query: &IssueQuery,
    ) -> Result<Listed<Issue>, ForgeError> {
        let (per_page, since) = (PER_PAGE.to_string(), query.since.map(|since| format!("{since:.0}")));
        let mut parameters = vec![
            ("state", if query.open { "open" } else { "all" }),
            ("sort", "updated"),
            ("direction", "asc"),
            ("per_page", per_page.as_str()),
        ];
        parameters.extend(query.label.as_deref().map(|label| ("labels", label)));
        parameters.extend(since.as_deref().map(|since| ("since", since)));
        let is_selected = |issue: &Issue| query.pull_requests || !issue.is_pull_request;
        let issue = |issue: RepoIssue| Some(Issue::from(issue)).filter(is_selected);
        self.client.list_issues(&wire::repo_path(project, &["issues"]), &parameters, issue).await
    }

    pub(super) async fn dependencies(&self, project: &ProjectPath, number: u64) -> Result<Vec<u64>, ForgeError> {
        let number = number.to_string();
        let path = wire::repo_path(project, &["issues", &number, "dependencies", "blocked_by"]);
        let open = |issue: RepoIssue| Some(Issue::from(issue)).filter(|issue| issue.state == IssueState::Open);
        match self.client.list(&path, &[], open).await {
            Ok(issues) => Ok(issues.into_iter().map(|issue| issue.number).collect()),
            // Older Enterprise Servers have no dependencies; the issue itself was read before.
            Err(ForgeError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn sub_issues(&self, project: &ProjectPath, number: u64) -> Result<Vec<u64>, ForgeError> {
        let number = number.to_string();
        let path = wire::repo_path(project, &["issues", &number, "sub_issues"]);
        let open = |issue: RepoIssue| Some(Issue::from(issue)).filter(|issue| issue.state == IssueState::Open);
        let issues = self.client.list(&path, &[], open).await?;
        Ok(issues.into_iter().map(|issue| issue.number).collect())
    }

    pub(super) async fn list_comments(&self, project: &ProjectPath, subject: Subject) -> Result<Comments, ForgeError> {
        let (number, per_page) = (subject.number().to_string(), PER_PAGE.to_string());
        let path = wire::repo_path(project, &["issues", &number, "comments"]);
        let comment = |comment: RepoComment| Some(Comment::from(comment));
        let (entries, date) = self.client.list_dated(&path, &[("per_page", &per_page)], comment).await?;
        Ok(Comments { entries, date })
    }

    pub(super) async fn list_labels(&self, project: &ProjectPath) -> Result<Vec<String>, ForgeError> {
        self.client.list(&wire::repo_path(project, &["labels"]), &[], wire::label_name).await
    }

    pub(super) async fn change_labels(
        &self,
        project: &ProjectPath,
        subject: Subject,
        add: &[String],
        remove: &[String],
    ) -> Result<(), ForgeError> {
        let number = subject.number().to_string();
        if !add.is_empty() {
            let path = wire::repo_path(project, &["issues", &number, "labels"]);
            self.client.change_only(Method::POST, &path, Some(json!({ "labels": add }))).await?;
        }
        for label in remove {
            let path = wire::repo_path(project, &["issues", &number, "labels", label]);
            let removed = self.client.change_only(Method::DELETE, &path, None).await;
            wire::unless_gone(removed, |_| false)?;
        }
        Ok(())
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
        match edit.state {
            Some(IssueState::Closed) => {
                body.insert("state".to_owned(), "closed".into());
                body.insert("state_reason".to_owned(), "completed".into());
            }
            Some(IssueState::Open) => drop(body.insert("state".to_owned(), "open".into())),
            None => {}
        }
        if let Some(assignees) = &edit.assignees {
            body.insert("assignees".to_owned(), json!(assignees));
        }
        self.client.change_only(Method::PATCH, &path, Some(body.into())).await
    }
}

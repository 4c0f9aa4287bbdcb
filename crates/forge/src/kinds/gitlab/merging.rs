//! Merging merge requests: now, when the server's conditions are met (auto-merge), or on a merge train.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::api::GitLab;
use crate::error::ForgeError;
use crate::pull_request::{Merge, MergeMethod};

#[derive(Deserialize)]
struct Project {
    /// None if the edition or its license has no merge trains.
    merge_trains_enabled: Option<bool>,
}

/// The scheduled merge of a merge request.
#[derive(Deserialize)]
struct MergeState {
    state: String,
    sha: Option<String>,
    /// Auto-merge of any strategy, merge trains among them. It stays set after the merge.
    merge_when_pipeline_succeeds: bool,
}

impl MergeState {
    fn is_scheduled(&self) -> bool {
        self.merge_when_pipeline_succeeds && matches!(self.state.as_str(), "opened" | "locked")
    }
}

impl GitLab {
    /// Whether commits are rebased is a setting of the project.
    pub(super) async fn merge_pull(&self, project: &ProjectPath, number: u64, merge: &Merge) -> Result<(), ForgeError> {
        if merge.when_ready {
            return self.schedule(project, number, merge).await;
        }
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string(), "merge"];
        let mut body = body_of(merge);
        body["should_remove_source_branch"] = false.into();
        self.client.change_only(Method::PUT, &path, Some(body)).await
    }

    /// Trains belong to a project, for all its branches.
    pub(super) async fn has_trains(&self, project: &ProjectPath) -> Result<bool, ForgeError> {
        let found: Project = self.client.get(&["projects", project.as_str()]).await?;
        Ok(found.merge_trains_enabled == Some(true))
    }

    pub(super) async fn is_scheduled(&self, project: &ProjectPath, number: u64) -> Result<bool, ForgeError> {
        self.merge_state(project, number).await.map(|request| request.is_scheduled())
    }

    async fn merge_state(&self, project: &ProjectPath, number: u64) -> Result<MergeState, ForgeError> {
        self.client.get(&["projects", project.as_str(), "merge_requests", &number.to_string()]).await
    }

    /// A second request for the same head would be refused, by trains at least.
    async fn schedule(&self, project: &ProjectPath, number: u64, merge: &Merge) -> Result<(), ForgeError> {
        let request = self.merge_state(project, number).await?;
        if request.is_scheduled() && request.sha.as_deref() == Some(merge.head_sha.as_str()) {
            return Ok(());
        }
        let (project_path, number) = (project.as_str(), number.to_string());
        let mut body = body_of(merge);
        // Two names of one setting: the first one since 17.11.
        body["auto_merge"] = true.into();
        if self.has_trains(project).await? {
            body["when_pipeline_succeeds"] = true.into();
            let path = ["projects", project_path, "merge_trains", "merge_requests", &number];
            return self.client.change_only(Method::POST, &path, Some(body)).await;
        }
        body["merge_when_pipeline_succeeds"] = true.into();
        body["should_remove_source_branch"] = false.into();
        let path = ["projects", project_path, "merge_requests", &number, "merge"];
        self.client.change_only(Method::PUT, &path, Some(body)).await
    }

    /// Also takes it off a train. The server reports some failures with status 201, so the result is read.
    pub(super) async fn unschedule(&self, project: &ProjectPath, number: u64) -> Result<(), ForgeError> {
        if !self.is_scheduled(project, number).await? {
            return Ok(());
        }
        let text = number.to_string();
        let path = ["projects", project.as_str(), "merge_requests", &text, "cancel_merge_when_pipeline_succeeds"];
        let canceled = self.client.change_only(Method::POST, &path, None).await;
        if !matches!(canceled, Ok(()) | Err(ForgeError::Refused { .. })) {
            return canceled;
        }
        match self.is_scheduled(project, number).await? {
            true => canceled.and(Err(self.client.unexpected(&Method::POST, &path, "the merge is still scheduled"))),
            false => Ok(()),
        }
    }
}

/// The part of the body that all requests to merge have.
fn body_of(merge: &Merge) -> serde_json::Value {
    json!({ "sha": merge.head_sha, "squash": merge.method == MergeMethod::Squash })
}

//! Pipelines, their jobs and the statuses of other programs, and the logs (traces) of jobs.

use kugetsu_domain::reference::ProjectPath;
use serde::Deserialize;

use super::api::GitLab;
use crate::ci::{Check, CheckState, CiStatus};
use crate::error::ForgeError;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire;

#[derive(Deserialize)]
struct Pipeline {
    id: u64,
    sha: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    status: Option<String>,
    web_url: Option<String>,
}

impl Pipeline {
    fn is_skipped(&self) -> bool {
        self.status.as_deref() == Some("skipped")
    }
}

#[derive(Deserialize)]
struct Commit {
    parent_ids: Option<Vec<String>>,
}

/// A job of a pipeline, or the report of another program.
#[derive(Deserialize)]
struct Status {
    id: u64,
    name: Option<String>,
    status: Option<String>,
    allow_failure: Option<bool>,
    target_url: Option<String>,
    description: Option<String>,
}

impl GitLab {
    /// The newest pipeline decides, with what other programs report; its jobs say where a failure is.
    pub(super) async fn ci_of(&self, project: &ProjectPath, commit: &str) -> Result<CiStatus, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = ["projects", project.as_str(), "pipelines"];
        let query = [("sha", commit), ("order_by", "id"), ("sort", "desc"), ("per_page", per_page.as_str())];
        let pipelines = wire::unless_missing(self.client.list_first(&path, &query, Some::<Pipeline>).await)?;
        let mut pipelines = pipelines.into_iter().flat_map(|pipelines| pipelines.entries);
        let newest = pipelines.find(|pipeline| !pipeline.is_skipped());
        let statuses = self.statuses_of(project, commit).await?;
        Ok(CiStatus { checks: newest.map(Check::from).into_iter().chain(statuses).collect() })
    }

    /// The newest pipeline of merged results for a head. It runs on a commit that merges the head into its base
    /// (<https://docs.gitlab.com/ci/pipelines/merged_results_pipelines/>). About those of a merge train, GitLab decides.
    pub(super) async fn ci_of_merged_results(
        &self,
        project: &ProjectPath,
        number: u64,
        head: &str,
    ) -> Result<Vec<Check>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string(), "pipelines"];
        let merged = format!("refs/merge-requests/{number}/merge");
        let is_of_merge = |it: &Pipeline| it.reference.as_ref() == Some(&merged) && !it.is_skipped();
        let of_merge = |pipeline: Pipeline| Some(pipeline).filter(is_of_merge);
        let pipelines = self.client.list_first(&path, &[("per_page", &per_page)], of_merge).await;
        let pipelines = wire::unless_missing(pipelines)?.into_iter().flat_map(|listed| listed.entries);
        let Some(newest) = pipelines.max_by_key(|pipeline| pipeline.id) else { return Ok(Vec::new()) };
        let Some(commit) = newest.sha.clone().filter(|sha| sha != head) else { return Ok(Vec::new()) };
        let path = ["projects", project.as_str(), "repository", "commits", &commit];
        let merge = wire::unless_missing(self.client.get::<Commit>(&path).await)?;
        // After a push, the newest one is of the head before until the next one is created.
        let parents = merge.and_then(|merge| merge.parent_ids).unwrap_or_default();
        if !parents.iter().any(|parent| parent == head) {
            return Ok(Vec::new());
        }
        let statuses = self.statuses_of(project, &commit).await?;
        Ok([Check::from(newest)].into_iter().chain(statuses).collect())
    }

    async fn statuses_of(&self, project: &ProjectPath, commit: &str) -> Result<Vec<Check>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = ["projects", project.as_str(), "repository", "commits", commit, "statuses"];
        self.client.list(&path, &[("per_page", &per_page)], |status: Status| Some(Check::from(status))).await
    }

    pub(super) async fn log_of_job(
        &self,
        project: &ProjectPath,
        job: &str,
        max: usize,
    ) -> Result<Option<String>, ForgeError> {
        let path = ["projects", project.as_str(), "jobs", job, "trace"];
        wire::unless_missing(self.client.download(&path, max).await)
    }
}

/// `manual` waits for a person; only a job that may fail waits in vain.
fn state(status: Option<&str>, allow_failure: bool) -> CheckState {
    match status {
        Some("success") => CheckState::Success,
        Some("skipped") => CheckState::Skipped,
        Some("failed" | "canceled" | "manual") if allow_failure => CheckState::Skipped,
        Some("failed" | "canceled") => CheckState::Failure,
        _ => CheckState::Pending,
    }
}

impl From<Pipeline> for Check {
    fn from(pipeline: Pipeline) -> Self {
        Self {
            name: format!("pipeline {}", pipeline.id),
            state: state(pipeline.status.as_deref(), false),
            url: pipeline.web_url,
            job: None,
            summary: String::new(),
        }
    }
}

impl From<Status> for Check {
    fn from(status: Status) -> Self {
        // The page of a job ends with its ID, which the status has as well.
        let id = status.id.to_string();
        let is_job = status.target_url.as_deref().is_some_and(|url| url.ends_with(&format!("/-/jobs/{id}")));
        Self {
            name: status.name.unwrap_or_default(),
            state: state(status.status.as_deref(), status.allow_failure == Some(true)),
            url: status.target_url,
            job: is_job.then_some(id),
            summary: status.description.unwrap_or_default(),
        }
    }
}

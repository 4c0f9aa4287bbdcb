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
    status: Option<String>,
    web_url: Option<String>,
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
        let newest = pipelines.find(|pipeline| pipeline.status.as_deref() != Some("skipped"));
        let path = ["projects", project.as_str(), "repository", "commits", commit, "statuses"];
        let status = |status: Status| Some(Check::from(status));
        let statuses = self.client.list(&path, &[("per_page", &per_page)], status).await?;
        let pipeline = newest.map(|pipeline| Check {
            name: format!("pipeline {}", pipeline.id),
            state: state(pipeline.status.as_deref(), false),
            url: pipeline.web_url,
            job: None,
            summary: String::new(),
        });
        Ok(CiStatus { checks: pipeline.into_iter().chain(statuses).collect() })
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

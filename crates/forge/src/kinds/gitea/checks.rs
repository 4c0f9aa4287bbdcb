//! Commit statuses, which the server's own jobs have too, and the logs of those jobs.

use kugetsu_domain::reference::ProjectPath;
use serde::Deserialize;

use super::api::Gitea;
use crate::ci::{Check, CheckState, CiStatus};
use crate::error::ForgeError;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire;

#[derive(Deserialize)]
struct Status {
    context: Option<String>,
    /// GitHub calls it `state`.
    status: Option<String>,
    target_url: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
struct Run {
    id: u64,
    /// The number in addresses of pages: on Gitea, and on Forgejo.
    run_number: Option<u64>,
    index_in_repo: Option<u64>,
}

#[derive(Deserialize)]
struct Job {
    id: u64,
}

impl Gitea {
    pub(super) async fn ci_of(&self, project: &ProjectPath, commit: &str) -> Result<CiStatus, ForgeError> {
        let limit = PER_PAGE.to_string();
        let path = wire::repo_path(project, &["commits", commit, "status"]);
        let status = |status: Status| Some(Check::from(status));
        let checks = self.client.list_in("statuses", &path, &[("limit", &limit)], status).await?;
        Ok(CiStatus { checks })
    }

    /// `job` is the end of the address of the job's page. Versions that do not serve logs have no such list of runs.
    pub(super) async fn log_of_job(
        &self,
        project: &ProjectPath,
        job: &str,
        max: usize,
    ) -> Result<Option<String>, ForgeError> {
        let Some((run, index)) = numbers(job) else { return Ok(None) };
        let limit = PER_PAGE.to_string();
        let path = wire::repo_path(project, &["actions", "runs"]);
        let is_run = |candidate: &Run| candidate.run_number.or(candidate.index_in_repo) == Some(run);
        let query = [("limit", limit.as_str())];
        let found =
            self.client.list_first_in("workflow_runs", &path, &query, |run: Run| Some(run).filter(is_run)).await;
        let Some(run) = wire::unless_missing(found)?.and_then(|runs| runs.entries.into_iter().next()) else {
            return Ok(None);
        };
        let run = run.id.to_string();
        let path = wire::repo_path(project, &["actions", "runs", &run, "jobs"]);
        let jobs = wire::unless_missing(self.client.list_in("jobs", &path, &[], Some::<Job>).await)?;
        let Some(job) = jobs.and_then(|jobs| jobs.into_iter().nth(index)) else { return Ok(None) };
        let job = job.id.to_string();
        let path = wire::repo_path(project, &["actions", "jobs", &job, "logs"]);
        wire::unless_missing(self.client.download(&path, max).await)
    }
}

/// The numbers in `runs/<number>/jobs/<index>`.
fn numbers(job: &str) -> Option<(u64, usize)> {
    let (run, index) = job.strip_prefix("runs/")?.split_once("/jobs/")?;
    Some((run.parse().ok()?, index.parse().ok()?))
}

impl From<Status> for Check {
    fn from(status: Status) -> Self {
        // The page of a job: `<project>/actions/runs/<number>/jobs/<index>`.
        let job = status.target_url.as_deref().and_then(|url| Some(url.split_once("/actions/")?.1.to_owned()));
        Self {
            name: status.context.unwrap_or_default(),
            state: match status.status.as_deref() {
                Some("success") => CheckState::Success,
                Some("failure" | "error") => CheckState::Failure,
                Some("skipped" | "warning") => CheckState::Skipped,
                _ => CheckState::Pending,
            },
            url: status.target_url,
            job: job.filter(|job| numbers(job).is_some()),
            summary: status.description.unwrap_or_default(),
        }
    }
}

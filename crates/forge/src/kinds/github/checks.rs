//! Commit statuses and check runs, which GitHub reports apart, and the logs of jobs.

use kugetsu_domain::reference::ProjectPath;
use serde::Deserialize;

use super::api::GitHub;
use crate::ci::{Check, CheckState, CiStatus};
use crate::error::ForgeError;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire;

#[derive(Deserialize)]
struct Status {
    context: Option<String>,
    state: Option<String>,
    target_url: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
struct CheckRun {
    id: u64,
    name: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
    html_url: Option<String>,
    details_url: Option<String>,
    app: Option<App>,
    output: Option<Output>,
}

#[derive(Deserialize)]
struct App {
    slug: Option<String>,
}

#[derive(Deserialize)]
struct Output {
    title: Option<String>,
    summary: Option<String>,
}

impl GitHub {
    pub(super) async fn ci_of(&self, project: &ProjectPath, commit: &str) -> Result<CiStatus, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let query = [("per_page", per_page.as_str())];
        let path = wire::repo_path(project, &["commits", commit, "status"]);
        // The latest status of each context.
        let statuses = self.client.list_in("statuses", &path, &query, |status: Status| Some(status.into())).await?;
        let path = wire::repo_path(project, &["commits", commit, "check-runs"]);
        let query = [("filter", "latest"), ("per_page", per_page.as_str())];
        // A token that may not see them gets an error: the statuses alone are no verdict.
        let runs = self.client.list_in("check_runs", &path, &query, |run: CheckRun| Some(run.into())).await?;
        Ok(CiStatus { checks: statuses.into_iter().chain(runs).collect() })
    }

    pub(super) async fn log_of_job(
        &self,
        project: &ProjectPath,
        job: &str,
        max: usize,
    ) -> Result<Option<String>, ForgeError> {
        let path = wire::repo_path(project, &["actions", "jobs", job, "logs"]);
        wire::unless_missing(self.client.download(&path, max).await)
    }
}

impl From<Status> for Check {
    fn from(status: Status) -> Self {
        Self {
            name: status.context.unwrap_or_default(),
            state: match status.state.as_deref() {
                Some("success") => CheckState::Success,
                Some("failure" | "error") => CheckState::Failure,
                _ => CheckState::Pending,
            },
            url: status.target_url,
            job: None,
            summary: status.description.unwrap_or_default(),
        }
    }
}

impl From<CheckRun> for Check {
    fn from(run: CheckRun) -> Self {
        let state = match (run.status.as_deref(), run.conclusion.as_deref()) {
            (Some("completed"), Some("success")) => CheckState::Success,
            (Some("completed"), Some("neutral" | "skipped")) => CheckState::Skipped,
            (Some("completed"), Some("failure" | "timed_out" | "cancelled" | "startup_failure")) => CheckState::Failure,
            // `action_required` and `stale` wait for a person.
            _ => CheckState::Pending,
        };
        // The check run of a job of GitHub Actions has the job's ID.
        let is_job = run.app.and_then(|app| app.slug).is_none_or(|slug| slug == "github-actions");
        let texts = run.output.map(|output| [output.title, output.summary]).into_iter().flatten().flatten();
        Self {
            name: run.name.unwrap_or_default(),
            state,
            url: run.html_url.or(run.details_url),
            job: is_job.then(|| run.id.to_string()),
            summary: texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n"),
        }
    }
}

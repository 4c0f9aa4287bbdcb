//! Opens the pull request of a followed issue, or brings it up to date with what was pushed.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::run::Run;
use kugetsu_domain::watch::follow::FollowEvent;
use kugetsu_domain::watch::publication::{Work, description, is_unedited, title};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::pull_request::{NewPullRequest, PullRequest, PullRequestEdit};
use kugetsu_store::query::RunQuery;
use kugetsu_store::write::Settlement;

use super::outcome::Outcome;
use crate::engine::Engine;
use crate::queries::transcript;
use crate::watch::followed::Followed;

/// The run is one of the latest: those of an issue follow each other.
const RUNS_MAX: u32 = 20;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, run: RunId) -> Outcome {
    let followed = match Followed::read(engine, issue).await {
        Ok(followed) => followed,
        Err(reason) => return reason.into(),
    };
    if !followed.follow.is_active() {
        return Outcome::done();
    }
    let run = match engine.store().runs(RunQuery { limit: Some(RUNS_MAX), ..RunQuery::new(issue) }).await {
        Ok(runs) => runs.into_iter().find(|candidate| candidate.id == run),
        Err(error) => return Outcome::retry(error),
    };
    let summary = match &run {
        Some(run) => transcript::last_text(engine, run.id).await,
        None => None,
    };
    match publish(&followed, run.as_ref(), summary).await {
        Ok(Some(pull)) => {
            let seen = Event::PrChecked { url: pull.url, state: pull.state };
            let events = [seen, Event::Followed(FollowEvent::Published)];
            let events = events.into_iter().map(|event| (issue, event)).collect();
            Outcome::Settled(Settlement { events, ..Settlement::default() })
        }
        Ok(None) => Outcome::done(),
        Err(error) => error.into(),
    }
}

/// Returns the pull request; `None` if there is nothing to open one of.
async fn publish(
    followed: &Followed,
    run: Option<&Run>,
    summary: Option<String>,
) -> Result<Option<PullRequest>, ForgeError> {
    let Followed { issue, watch, forge, .. } = followed;
    let Some(files) = &issue.worktree else { return Ok(None) };
    let work = work(followed, run, summary);
    let text = description(&work, &followed.marker());
    let found = forge.find_pull_requests(followed.project(), &files.branch).await?;
    if let Some(open) = found.iter().find(|pull| pull.state.is_open()) {
        // A person may have rewritten it, or have opened it.
        if is_unedited(&open.body, &followed.marker()) && open.body.trim() != text.trim() {
            let edit = PullRequestEdit { body: Some(text), ..PullRequestEdit::default() };
            forge.edit_pull_request(followed.project(), open.number, &edit).await?;
        }
        return Ok(Some(open.clone()));
    }
    // It was merged or closed with exactly this head: there is nothing new to ask for.
    if let Some(ended) = found.iter().find(|pull| Some(&pull.head_sha) == issue.pushed.as_ref()) {
        return Ok(Some(ended.clone()));
    }
    let base = match watch.base.clone().or_else(|| files.base_branch.clone()) {
        Some(base) => base,
        None => forge.project(followed.project()).await?.default_branch,
    };
    let new = NewPullRequest {
        title: title(&issue.title),
        body: text,
        head: files.branch.clone(),
        base,
        draft: watch.is_draft,
    };
    match forge.open_pull_request(followed.project(), &new).await {
        Ok(pull) => Ok(Some(pull)),
        // An attempt before this one may have opened it, and a branch without commits has none.
        Err(error @ ForgeError::Refused { .. }) => {
            let found = forge.find_pull_requests(followed.project(), &files.branch).await?;
            found.into_iter().find(|pull| pull.state.is_open()).map(Some).ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// Without the agent's last text, the reason of the run tells what was done.
fn work(followed: &Followed, run: Option<&Run>, summary: Option<String>) -> Work {
    let Followed { issue, watch, .. } = followed;
    let outcome = run.and_then(|run| run.outcome.as_ref());
    let used = issue.session.as_ref().map(|session| session.used).unwrap_or_default();
    Work {
        number: issue.reference.number,
        closes: watch.closes_issue,
        summary: summary.or_else(|| outcome.map(|outcome| outcome.reason.text.clone())).unwrap_or_default(),
        commits: Vec::new(),
        verified: Vec::new(),
        head: issue.pushed.clone().unwrap_or_default(),
        agent: run.map(|run| run.agent.clone()).unwrap_or_default(),
        tokens: used.input_tokens.zip(used.output_tokens),
        cost: used.cost_usd.map(|cost| format!("${cost:.2}")),
    }
}

//! Opens the pull request of a followed issue, or brings it up to date with what was pushed.

use std::io;

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::run::Run;
use kugetsu_domain::watch::feedback::{Action, Ending, after_verification};
use kugetsu_domain::watch::follow::FollowEvent;
use kugetsu_domain::watch::publication::{Work, description, is_unedited, title};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::pull_request::{NewPullRequest, PullRequest, PullRequestEdit};
use kugetsu_git::mirror::MirrorError;
use kugetsu_git::names::Oid;
use kugetsu_store::query::RunQuery;
use kugetsu_store::write::Settlement;
use uuid::Uuid;

use super::follow::continued;
use super::outcome::Outcome;
use super::unmerged::{kept, unmerged_head};
use crate::engine::Engine;
use crate::queries::transcript::{self, Verification};
use crate::repositories::{RepositoryError, mirror};
use crate::watch::followed::Followed;
use crate::watch::message::failed_verification;

/// Commits that are listed.
const COMMITS_MAX: usize = 100;
/// The run is one of the latest: those of an issue follow each other.
const RUNS_MAX: u32 = 20;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, run: RunId) -> Outcome {
    let followed = match Followed::read(engine, issue).await {
        Ok(followed) => followed,
        Err(reason) => return reason.into(),
    };
    if followed.follow.ending == Some(Ending::Merged) {
        return match unmerged_head(engine, &followed).await {
            Ok(Some(head)) if followed.issue.pushed.as_ref() == Some(&head) => {
                Outcome::event(issue, Event::Followed(kept(&followed, head)))
            }
            Ok(_) => Outcome::done(),
            Err(error) => error.into(),
        };
    }
    let run = match engine.store().runs(RunQuery { limit: Some(RUNS_MAX), ..RunQuery::new(issue) }).await {
        Ok(runs) => runs.into_iter().find(|candidate| candidate.id == run),
        Err(error) => return Outcome::retry(error),
    };
    let Some(run) = run else { return Outcome::done() };
    let verified = match transcript::verifications(engine, run.id).await {
        Ok(verified) => verified,
        // gc has removed the run, or the disk fails.
        Err(error) if followed.watch.verify.is_empty() || error.kind() == io::ErrorKind::NotFound => {
            tracing::debug!(run = %run.id, %error, "the records of a run cannot be read");
            Vec::new()
        }
        Err(error) => return Outcome::retry(error),
    };
    let head = run.outcome.as_ref().and_then(|outcome| outcome.head_sha.clone());
    if let Some(failed) = unverified(&followed, head.as_deref(), &verified) {
        return match after_verification(
            &failed.command,
            &failed.head,
            &followed.follow.records,
            followed.watch.feedback,
        ) {
            Some(action) => decided(engine, &followed, &failed, action).await,
            // The look that the end of the task led to waited for this.
            None => Outcome::event(issue, Event::Followed(FollowEvent::Noticed)),
        };
    }
    let passed = head.map(|head| Event::Followed(FollowEvent::Verified { head }));
    if !followed.follow.is_open() {
        return passed.map_or_else(Outcome::done, |passed| Outcome::event(issue, passed));
    }
    let summary = transcript::last_text(engine, run.id).await;
    let commits = commits(engine, &followed).await;
    match publish(&followed, &run, summary, commits, &verified).await {
        Ok(Some(pull)) => {
            let seen = Event::PrChecked { url: pull.url, state: pull.state };
            let events = [Some(seen), passed, Some(Event::Followed(FollowEvent::Published))];
            let events = events.into_iter().flatten().map(|event| (issue, event)).collect();
            Outcome::Settled(Settlement { events, ..Settlement::default() })
        }
        Ok(None) => Outcome::done(),
        Err(error) => error.into(),
    }
}

/// The first command that failed at the head of the run, or that was not run: a check that was not made has not passed.
fn unverified(followed: &Followed, head: Option<&str>, verified: &[Verification]) -> Option<Verification> {
    let mut commands = followed.watch.verify.iter().map(|command| command.join(" "));
    let result = |command: &String| verified.iter().find(|result| result.command == *command);
    commands.find_map(|command| match result(&command) {
        Some(result) if result.passed => None,
        Some(failed) => Some(failed.clone()),
        None => Some(Verification {
            command,
            head: head.or(followed.issue.pushed.as_deref()).unwrap_or_default().to_owned(),
            passed: false,
            output: "It was not run at this commit.".to_owned(),
        }),
    })
}

async fn decided(engine: &Engine, followed: &Followed, failed: &Verification, action: Action) -> Outcome {
    let issue = followed.issue.id;
    let held = match (followed.follow.is_open(), followed.follow.is_stopped) {
        (false, _) => Some("the pull request was closed"),
        (true, true) => Some("a user had stopped the issue"),
        (true, false) => None,
    };
    match (action, held) {
        // The head stays unverified, so that it is not merged later.
        (Action::Give { kind, fingerprint }, Some(why)) => {
            let reason = format!("{} failed at {} when {why}", failed.command, failed.head);
            Outcome::event(issue, Event::Followed(FollowEvent::Exhausted { kind, fingerprint, reason }))
        }
        (Action::Give { kind, fingerprint }, None) => {
            let task = TaskId::new(Uuid::now_v7());
            match continued(engine, followed, task, failed_verification(failed)).await {
                Ok(enqueue) => {
                    let given = Event::Followed(FollowEvent::Given { kind, fingerprint, task });
                    Outcome::Settled(Settlement { events: vec![(issue, given)], enqueue: vec![enqueue], look: None })
                }
                Err(outcome) => outcome,
            }
        }
        (Action::Stop { kind, fingerprint, reason }, _) => {
            Outcome::event(issue, Event::Followed(FollowEvent::Exhausted { kind, fingerprint, reason }))
        }
        (
            Action::Wait { .. }
            | Action::Merge { .. }
            | Action::CancelMerge
            | Action::RenewMerge { .. }
            | Action::Complete(_),
            _,
        ) => Outcome::done(),
    }
}

/// Returns the pull request; `None` if there is nothing to open one of.
async fn publish(
    followed: &Followed,
    run: &Run,
    summary: Option<String>,
    commits: Vec<(String, String)>,
    verified: &[Verification],
) -> Result<Option<PullRequest>, ForgeError> {
    let Followed { issue, watch, forge, .. } = followed;
    let Some(files) = &issue.worktree else { return Ok(None) };
    let work = Work { commits, ..work(followed, run, summary, verified) };
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
    let base = match files.base_branch.clone().or_else(|| watch.base.clone()) {
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

/// The commits that were pushed; none if they cannot be listed, which must not keep the pull request from being opened.
async fn commits(engine: &Engine, followed: &Followed) -> Vec<(String, String)> {
    let issue = &followed.issue;
    let base =
        issue.worktree.as_ref().and_then(|files| files.base_sha.as_deref()).and_then(|base| base.parse::<Oid>().ok());
    let Some(head) = issue.pushed.as_deref().and_then(|head| head.parse::<Oid>().ok()) else { return Vec::new() };
    let listed = async {
        let mirror = mirror(engine, issue).await?;
        Ok::<_, RepositoryError>(mirror.commits(base.as_ref(), &head, COMMITS_MAX).await.map_err(MirrorError::from)?)
    };
    match listed.await {
        Ok(commits) => commits.into_iter().map(|commit| (commit.short, commit.subject)).collect(),
        Err(error) => {
            tracing::warn!(issue = %issue.reference, %error, "the commits of a pull request cannot be listed");
            Vec::new()
        }
    }
}

/// Without the agent's last text, the reason of the run tells what was done.
fn work(followed: &Followed, run: &Run, summary: Option<String>, verified: &[Verification]) -> Work {
    let Followed { issue, watch, .. } = followed;
    let outcome = run.outcome.as_ref();
    let used = issue.session.as_ref().map(|session| session.used).unwrap_or_default();
    Work {
        number: issue.reference.number,
        closes: watch.closes_issue,
        summary: summary.or_else(|| outcome.map(|outcome| outcome.reason.text.clone())).unwrap_or_default(),
        commits: Vec::new(),
        verified: verified.iter().map(|result| (result.command.clone(), result.passed)).collect(),
        head: issue.pushed.clone().unwrap_or_default(),
        agent: run.agent.clone(),
        tokens: used.input_tokens.zip(used.output_tokens),
        cost: used.cost_usd.map(|cost| format!("${cost:.2}")),
    }
}

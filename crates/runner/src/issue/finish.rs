//! The end of a run on an issue: the host inspects the worktree itself, pushes finished work and rescues everything else.

use jiff::Timestamp;
use kugetsu_api::run::Usage;
use kugetsu_api::run_spec::IssueSpec;
use kugetsu_domain::rescue_time;
use kugetsu_domain::run::Verdict;
use kugetsu_domain::text::{counted, with_hint};
use kugetsu_git::names::Oid;
use kugetsu_git::push::{Lease, PushError};
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_git::worktree::WorktreeStatus;

use super::files::{Files, token_variable};
use crate::control::interrupts::Interrupts;
use crate::records::spool::Spool;
use crate::run_context::RunContext;
use crate::verdict::{End, Inspection, Push, RunResult, is_publishable, verdict};

/// Inspects, pushes, decides and rescues, in this order. No process of the agent is left.
///
/// What the agent reported is not trusted: commits and changed files are read from the worktree. The push comes before the
/// verdict, which depends on it. It can take long, so the run's limits and a cancel interrupt it as they interrupt the agent;
/// the run then ends as interrupted, and its work is rescued instead. Everything but `done` is rescued, because the next run,
/// a removal or the user may change the worktree.
#[tracing::instrument(skip_all)]
pub(crate) async fn finish(
    mut end: End,
    issue: &IssueSpec,
    files: &Files,
    run: &RunContext,
    interrupts: &mut Interrupts,
) -> RunResult {
    let spool = &run.spool;
    spool.step("inspecting the worktree");
    let (inspection, head) = match files.worktree.status(files.base.as_ref()).await {
        Ok(status) => inspection(status),
        Err(error) => (Inspection { error: Some(error.to_string()), ..Inspection::default() }, None),
    };
    let push = match &head {
        Some(head) if is_publishable(&end) && inspection.commits > 0 => {
            match interrupts.unless_interrupted(push(head, files, issue, spool)).await {
                Ok(push) => push,
                Err(interruption) => {
                    end = interruption.into();
                    Push::None
                }
            }
        }
        _ => Push::None,
    };
    let (verdict, mut reason) = verdict(&end, &inspection, &push);
    if verdict != Verdict::Done
        && !matches!(end, End::Superseded)
        && let Some(problem) = save(&spool.mask(&reason), files, issue, spool).await
    {
        reason = format!("{reason}; {problem}");
    }
    let pushed = matches!(push, Push::Done { .. });
    RunResult { verdict, reason, head, commits: inspection.commits, pushed, usage: Usage::default() }
}

fn inspection(status: WorktreeStatus) -> (Inspection, Option<Oid>) {
    let inspection = Inspection {
        commits: u64::from(status.commits),
        uncommitted: status.uncommitted_total as u64,
        uncommitted_names: status.uncommitted,
        unpushed_branches: status.unpushed_branches,
        error: None,
    };
    (inspection, status.best_head)
}

/// Rescues the worktree's state. Returns what to add to the run's reason if some of it could not be rescued.
async fn save(reason: &str, files: &Files, issue: &IssueSpec, spool: &Spool) -> Option<String> {
    let spec =
        SaveSpec { issue_number: issue.number, reason: reason.to_owned(), at: rescue_time::format(Timestamp::now()) };
    match rescue::save(&files.mirror, &files.worktree, spec).await {
        Ok(None) => None,
        Ok(Some(saved)) => {
            spool.notice(format!("rescued the worktree as {} ({})", saved.name, counted(saved.files as u64, "file")));
            (!saved.unsaved.is_empty()).then(|| format!("not rescued: {}", saved.unsaved.join(", ")))
        }
        Err(error) => {
            let directory = files.worktree.dir().display();
            spool.notice(format!("could not rescue the worktree: {error}; its files are still in {directory}"));
            Some(format!("its files are still in {directory}, but could not be rescued: {error}"))
        }
    }
}

/// Pushes the issue's own branch, and nothing else, on behalf of the agent. The push succeeds only if the branch on the server
/// is as kugetsu left it, so that commits of others are never overwritten. Two differences are harmless and tried again.
async fn push(head: &Oid, files: &Files, issue: &IssueSpec, spool: &Spool) -> Push {
    let branch = files.worktree.branch();
    spool.step(format!("pushing {branch}"));
    let publish = async |expected| files.mirror.push(&files.worktree, head, Lease::Expect(expected)).await;
    let result = match publish(files.pushed.clone()).await {
        // Servers delete branches when they are merged. Nothing is left that could be overwritten.
        Err(PushError::Diverged { theirs: None, .. }) => {
            spool.notice(format!("{branch} was deleted on the server since the last push; pushing it again"));
            publish(None).await
        }
        // The server's commits are part of the work: a push that was not recorded, or commits that the agent merged.
        Err(PushError::Diverged { theirs: Some(theirs), branch }) => {
            match files.worktree.has_ancestor(head, &theirs).await {
                Ok(true) => publish(Some(theirs)).await,
                Ok(false) => Err(PushError::Diverged { theirs: Some(theirs), branch }),
                Err(error) => return Push::Failed(format!("could not compare {branch} with the server's: {error}")),
            }
        }
        other => other,
    };
    match result {
        Ok(published) => Push::Done { branch: published.branch.to_string() },
        Err(error) => push_error(&error, token_variable(issue)),
    }
}

fn push_error(error: &PushError, token_variable: Option<&str>) -> Push {
    match error {
        PushError::Diverged { .. }
        | PushError::Rejected { .. }
        | PushError::CheckedOut { .. }
        | PushError::Source(_) => Push::NeedsPerson(with_hint(error, error.hint())),
        PushError::Unauthenticated(_) => Push::NeedsPerson(match token_variable {
            Some(name) => format!("{error}; set the token: kugetsu env set {name} -"),
            None => with_hint(error, error.hint()),
        }),
        PushError::Unreachable(_) | PushError::Git(_) | PushError::File(_) => {
            Push::Failed(with_hint(error, error.hint()))
        }
    }
}

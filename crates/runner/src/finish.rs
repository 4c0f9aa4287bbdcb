//! The end of a run: the host looks for itself, saves what could be lost, and pushes what is finished.

use jiff::Timestamp;
use kugetsu_api::run_spec::IssueSpec;
use kugetsu_domain::rescue_time;
use kugetsu_domain::run::Verdict;
use kugetsu_domain::text::with_hint;
use kugetsu_git::names::Oid;
use kugetsu_git::push::{Lease, PushError};
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_git::worktree::WorktreeStatus;

use super::ending::Ending;
use super::files::{Files, token_variable};
use super::run_context::RunContext;
use super::spool::Spool;
use super::verdict::{End, Found, Push, is_publishable, verdict};
use super::watch::Watch;

/// Looks, saves, pushes and judges. No process of the agent's is left. A push can take long, so it can be canceled and has
/// an end as the agent has: the work is saved then.
pub(crate) async fn finish(
    mut end: End,
    order: &IssueSpec,
    files: &Files,
    run: &RunContext,
    watch: &mut Watch,
) -> Ending {
    let spool = &run.spool;
    spool.step("looking at what was done");
    let (found, head) = match files.worktree.status(files.base.as_ref()).await {
        Ok(status) => look(status),
        Err(error) => (Found { unknown: Some(error.to_string()), ..Found::default() }, None),
    };
    let push = match &head {
        Some(head) if is_publishable(&end) && found.commits > 0 => {
            match watch.unless_interrupted(push(head, files, order, spool)).await {
                Ok(push) => push,
                Err(interrupted) => {
                    end = interrupted;
                    Push::None
                }
            }
        }
        _ => Push::None,
    };
    let (verdict, mut reason) = verdict(&end, &found, &push);
    if verdict != Verdict::Done
        && !matches!(end, End::Superseded)
        && let Some(note) = save(&spool.mask(&reason), files, order, spool).await
    {
        reason = format!("{reason}; {note}");
    }
    Ending { verdict, reason, head, commits: found.commits, pushed: matches!(push, Push::Done { .. }) }
}

fn look(status: WorktreeStatus) -> (Found, Option<Oid>) {
    let found = Found {
        commits: u64::from(status.commits),
        uncommitted: status.uncommitted_total as u64,
        names: status.uncommitted,
        left: status.unpushed_branches,
        unknown: None,
    };
    (found, status.best_head)
}

/// Whatever did not end well is saved: the next run, a clean-up or a person's impatience may change it. What to add to
/// the reason if that fails.
async fn save(why: &str, files: &Files, order: &IssueSpec, spool: &Spool) -> Option<String> {
    let spec =
        SaveSpec { issue_number: order.number, reason: why.to_owned(), at: rescue_time::format(Timestamp::now()) };
    match rescue::save(&files.mirror, &files.worktree, spec).await {
        Ok(None) => None,
        Ok(Some(saved)) => {
            spool.notice(format!("the worktree's state is saved as {} ({} files)", saved.name, saved.files));
            (!saved.unsaved.is_empty()).then(|| format!("not saved: {}", saved.unsaved.join(", ")))
        }
        Err(error) => {
            spool.notice(format!(
                "the worktree's state could not be saved to rescue: {error}; its files are still there"
            ));
            Some(format!(
                "its files are in {}, but could not be saved to rescue: {error}",
                files.worktree.dir().display()
            ))
        }
    }
}

/// Pushes the issue's own branch, and nothing else, on behalf of the agent.
async fn push(head: &Oid, files: &Files, order: &IssueSpec, spool: &Spool) -> Push {
    let branch = files.worktree.branch();
    spool.step(format!("pushing {branch}"));
    let publish = async |expected| files.mirror.push(&files.worktree, head, Lease::Expect(expected)).await;
    let result = match publish(files.pushed.clone()).await {
        // Branches are deleted when they were merged. Nothing of anybody's is there that could be overwritten.
        Err(PushError::Diverged { theirs: None, .. }) => {
            spool.notice(format!("{branch} was deleted on the server since it was pushed; it is pushed there anew"));
            publish(None).await
        }
        // What is there is part of what comes: a push that was not noted, or commits that the agent took in.
        Err(PushError::Diverged { theirs: Some(theirs), .. }) if files.worktree.has_ancestor(head, &theirs).await => {
            publish(Some(theirs)).await
        }
        other => other,
    };
    match result {
        Ok(published) => Push::Done { branch: published.branch.to_string() },
        Err(error) => told(&error, token_variable(order)),
    }
}

fn told(error: &PushError, variable: Option<&str>) -> Push {
    match error {
        PushError::Diverged { .. }
        | PushError::Rejected { .. }
        | PushError::CheckedOut { .. }
        | PushError::Source(_) => Push::NeedsPerson(with_hint(error, error.hint())),
        PushError::Unauthenticated(_) => Push::NeedsPerson(match variable {
            Some(name) => format!("{error}; set the token: kugetsu env set {name} -"),
            None => with_hint(error, error.hint()),
        }),
        PushError::Unreachable(_) | PushError::Git(_) | PushError::File(_) => {
            Push::Failed(with_hint(error, error.hint()))
        }
    }
}

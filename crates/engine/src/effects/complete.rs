//! Cleans up after a merge: the branch, the issue, and what kugetsu has of it. A pull request that was closed without a merge keeps
//! everything, and so does a branch with later commits.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::IssueState;
use kugetsu_domain::watch::feedback::Ending;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::issue::{IssueEdit, IssueState as OnServer};

use super::outcome::Outcome;
use super::unmerged::{kept, unmerged_head};
use super::wait::while_wanted;
use crate::engine::Engine;
use crate::watch::followed::Followed;

/// Executions that fail before the rest is cleaned up without what the server refuses: some hours, in which a person may allow it.
const ATTEMPTS_MAX: u32 = 20;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, ending: Ending, failures: u32) -> Outcome {
    if ending != Ending::Merged {
        return Outcome::done();
    }
    if let Err(outcome) = tasks_end(engine, issue).await {
        return outcome;
    }
    let followed = match Followed::read(engine, issue).await {
        Ok(followed) => followed,
        Err(reason) => return reason.into(),
    };
    match delete_branch(engine, &followed).await {
        Ok(Branch::Done) => {}
        Ok(Branch::Kept { head }) => return Outcome::event(issue, Event::Followed(kept(&followed, head))),
        Err(error) if is_left(&error, failures) => warn(&followed, &error),
        Err(error) => return error.into(),
    }
    match close_issue(&followed).await {
        Ok(()) => {}
        Err(error) if is_left(&error, failures) => warn(&followed, &error),
        Err(error) => return error.into(),
    }
    // Work that is not on the server is rescued before the files are removed; a task that was queued meanwhile keeps them.
    let issue = &followed.issue;
    match issue.state == IssueState::Open && issue.tasks.is_empty() && issue.worktree.is_some() {
        true => Outcome::event(issue.id, Event::DestroyRequested),
        false => Outcome::done(),
    }
}

/// Waits for the tasks that were queued or running when the pull request was merged: a push of theirs would create the branch again.
async fn tasks_end(engine: &Engine, issue: IssueId) -> Result<(), Outcome> {
    while_wanted(engine, issue, std::future::pending(), |issue| !issue.tasks.is_empty()).await?;
    Ok(())
}

/// Whether the rest is cleaned up without what the server refuses.
fn is_left(error: &ForgeError, failures: u32) -> bool {
    matches!(error, ForgeError::Forbidden { .. } | ForgeError::Refused { .. })
        && failures.saturating_add(1) >= ATTEMPTS_MAX
}

fn warn(followed: &Followed, error: &ForgeError) {
    tracing::warn!(issue = %followed.issue.reference, %error, "something is left on the server");
}

enum Branch {
    /// It is deleted, or is to stay.
    Done,
    /// It has commits that were not merged.
    Kept { head: String },
}

async fn delete_branch(engine: &Engine, followed: &Followed) -> Result<Branch, ForgeError> {
    let Some(files) = &followed.issue.worktree else { return Ok(Branch::Done) };
    let deletes = followed.watch.deletes_branch;
    match unmerged_head(engine, followed).await? {
        // A branch that is to stay may be in use. Work of the agent is never hidden.
        Some(head) if deletes || followed.issue.pushed.as_ref() == Some(&head) => Ok(Branch::Kept { head }),
        _ if deletes => {
            followed.forge.delete_branch(followed.project(), &files.branch).await?;
            Ok(Branch::Done)
        }
        _ => Ok(Branch::Done),
    }
}

async fn close_issue(followed: &Followed) -> Result<(), ForgeError> {
    if !followed.watch.closes_issue {
        return Ok(());
    }
    let (forge, project, number) = (&followed.forge, followed.project(), followed.issue.reference.number);
    let edit = IssueEdit { state: Some(OnServer::Closed), ..IssueEdit::default() };
    let closed = match forge.issue(project, number).await {
        Ok(issue) if issue.state == OnServer::Open => forge.edit_issue(project, number, &edit).await,
        read => read.map(drop),
    };
    match closed {
        // It was deleted.
        Err(ForgeError::NotFound { authenticated: true, .. }) => Ok(()),
        closed => closed,
    }
}

//! Cleans up after a merge: the branch, the issue, and what kugetsu has of it. A pull request that was closed without a merge keeps
//! everything.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::IssueState;
use kugetsu_domain::watch::feedback::Ending;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::issue::{IssueEdit, IssueState as OnServer};

use super::outcome::Outcome;
use crate::engine::Engine;
use crate::watch::followed::Followed;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, ending: Ending) -> Outcome {
    if ending != Ending::Merged {
        return Outcome::done();
    }
    let followed = match Followed::read(engine, issue).await {
        Ok(followed) => followed,
        Err(reason) => return reason.into(),
    };
    if let Err(error) = clean_up(&followed).await {
        return error.into();
    }
    // Work that is not on the server is rescued before the files are removed; a task that is not over keeps them.
    let issue = &followed.issue;
    match issue.state == IssueState::Open && issue.tasks.is_empty() && issue.worktree.is_some() {
        true => Outcome::event(issue.id, Event::DestroyRequested),
        false => Outcome::done(),
    }
}

async fn clean_up(followed: &Followed) -> Result<(), ForgeError> {
    let (forge, project) = (followed.forge.as_ref(), followed.project());
    if let Some(files) = followed.issue.worktree.as_ref().filter(|_| followed.watch.deletes_branch) {
        forge.delete_branch(project, &files.branch).await?;
    }
    let number = followed.issue.reference.number;
    if followed.watch.closes_issue && forge.issue(project, number).await?.state == OnServer::Open {
        let edit = IssueEdit { state: Some(OnServer::Closed), ..IssueEdit::default() };
        forge.edit_issue(project, number, &edit).await?;
    }
    Ok(())
}

//! Commits that were pushed to the branch of a pull request after it was merged: no pull request shows them.

use kugetsu_domain::watch::feedback::FeedbackKind;
use kugetsu_domain::watch::follow::FollowEvent;
use kugetsu_forge::error::ForgeError;

use crate::engine::Engine;
use crate::watch::followed::Followed;

/// The digits of a commit that are shown.
const SHOWN: usize = 10;

/// Returns the head of the branch if it is not the one that was merged; `None` if there is no such branch any more.
pub(super) async fn unmerged_head(engine: &Engine, followed: &Followed) -> Result<Option<String>, ForgeError> {
    let Some(files) = &followed.issue.worktree else { return Ok(None) };
    let (forge, project) = (&followed.forge, followed.project());
    let merged = match followed.pull_request(engine) {
        Some(number) => match forge.merged_head(project, number).await {
            Ok(head) => Some(head),
            // The pull request was deleted.
            Err(ForgeError::NotFound { authenticated: true, .. }) => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    // Last: whatever follows from it has to follow soon.
    let head = forge.branch_head(project, &files.branch).await?;
    Ok(head.filter(|head| Some(head) != merged.as_ref()))
}

/// The branch and the files are kept, and a person has to decide about them.
pub(super) fn kept(followed: &Followed, head: String) -> FollowEvent {
    let branch = followed.issue.worktree.as_ref().map(|files| files.branch.as_str()).unwrap_or_default();
    let shown = head.get(..SHOWN).unwrap_or(&head);
    let reason = format!(
        "the branch {branch} has commits that were not merged (its head is {shown}), so the branch and the files of the issue are \
         kept; open a pull request for these commits, or delete the branch"
    );
    FollowEvent::Exhausted { kind: FeedbackKind::Merge, fingerprint: head, reason }
}

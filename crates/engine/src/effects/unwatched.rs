//! Effects on the server of an issue whose repository is not watched any more: they wait until it is watched again.

use kugetsu_domain::effect::EffectKind;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::reference::RepoRef;

use super::outcome::Outcome;
use super::wait::while_wanted;
use crate::engine::Engine;

/// Whether effects of this kind need the watch of their issue's repository.
const fn needs_watch(kind: EffectKind) -> bool {
    match kind {
        EffectKind::Publish
        | EffectKind::Comment
        | EffectKind::Follow
        | EffectKind::Merge
        | EffectKind::Announce
        | EffectKind::Answer
        | EffectKind::Complete => true,
        EffectKind::Run
        | EffectKind::CancelRun
        | EffectKind::Rescue
        | EffectKind::RemoveFiles
        | EffectKind::FindPullRequest
        | EffectKind::Report
        | EffectKind::EndPause
        | EffectKind::CancelMerge => false,
    }
}

/// Waits until the effect can be executed. A wait is no failed execution, so that all attempts are left afterwards.
pub(super) async fn wait_for_watch(engine: &Engine, kind: EffectKind, issue: IssueId) -> Result<(), Outcome> {
    if !needs_watch(kind) {
        return Ok(());
    }
    let found = engine.store().issue_by_id(issue).await?;
    if engine.settings().watch_of(&found.reference.repo).is_some() || !is_to_wait(&found) {
        return Ok(());
    }
    tracing::info!(issue = %found.reference, "the repository is not watched any more; its issues wait until it is");
    while_wanted(engine, issue, watched(engine, &found.reference.repo), is_to_wait).await?;
    Ok(())
}

/// An issue that was removed has nothing to wait for, and a merge that was left to the server is canceled.
fn is_to_wait(issue: &Issue) -> bool {
    let is_scheduled = issue.follow.as_ref().map(|follow| follow.scheduled.is_some());
    issue.state != IssueState::Destroyed && is_scheduled == Some(false)
}

async fn watched(engine: &Engine, repo: &RepoRef) {
    let mut settings = engine.settings_changes();
    while settings.borrow_and_update().watch_of(repo).is_none() {
        if settings.changed().await.is_err() {
            // The daemon stops; the next one waits for the rest.
            std::future::pending::<()>().await;
        }
    }
}

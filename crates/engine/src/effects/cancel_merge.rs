//! Cancels the merge of a pull request that was left to the server. It needs neither the watch nor the file of the repository: what ends
//! them must not keep a merge from being canceled.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::watch::follow::FollowEvent;

use super::outcome::Outcome;
use crate::engine::Engine;
use crate::forges::background;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, number: u64) -> Outcome {
    let repo = match engine.store().issue_by_id(issue).await {
        Ok(issue) => issue.reference.repo,
        Err(error) => return error.into(),
    };
    let forge = match background(engine, &repo.base) {
        Ok(forge) => forge,
        Err(error) => return error.into(),
    };
    match forge.cancel_merge(&repo.project, number).await {
        Ok(()) => Outcome::event(issue, Event::Followed(FollowEvent::MergeCanceled)),
        Err(error) => error.into(),
    }
}

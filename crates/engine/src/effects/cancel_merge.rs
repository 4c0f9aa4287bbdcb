//! Cancels the merge of a pull request that was left to the server.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::watch::follow::FollowEvent;

use super::outcome::Outcome;
use crate::engine::Engine;
use crate::watch::followed::Followed;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, number: u64) -> Outcome {
    let followed = match Followed::read(engine, issue).await {
        Ok(followed) => followed,
        Err(reason) => return reason.into(),
    };
    match followed.forge.cancel_merge(followed.project(), number).await {
        Ok(()) => Outcome::event(issue, Event::Followed(FollowEvent::MergeCanceled)),
        Err(error) => error.into(),
    }
}

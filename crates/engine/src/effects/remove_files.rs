//! Rescues an issue's state, then removes its files and its session.
//!
//! Rescue comes first, then the agent's session, then the files: if a step fails, everything that comes after it is still
//! there. A step that was done before a crash finds nothing left to do.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::IssueState;

use super::outcome::Outcome;
use crate::destroy::removal;
use crate::engine::Engine;
use crate::home::reserve;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, requested_at: jiff::Timestamp) -> Outcome {
    let issue = match engine.store().issue_by_id(issue).await {
        Ok(issue) => issue,
        Err(error) => return error.into(),
    };
    if issue.state != IssueState::Destroying {
        return Outcome::done();
    }
    reserve::give_up_if_full(engine.home());
    let event = match removal::remove(engine, &issue, requested_at).await {
        Ok(removed) => Event::Destroyed { rescue: removed.rescue, notes: removed.notes },
        Err(reason) => Event::DestroyFailed { reason },
    };
    Outcome::event(issue.id, event)
}

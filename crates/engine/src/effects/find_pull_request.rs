//! Looks up the pull request of a branch that a run has pushed.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_store::error::StoreError;

use super::outcome::Outcome;
use crate::engine::Engine;
use crate::pull_requests::{self, PrStatus};

/// Failed executions after which it is given up: at most an hour. The next push, `kugetsu destroy` and `kugetsu set-pr` ask
/// again.
const ATTEMPTS_MAX: u32 = 30;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, failures: u32) -> Outcome {
    let issue = match engine.store().issue_by_id(issue).await {
        Ok(issue) => issue,
        Err(error @ StoreError::Damaged { .. }) => return Outcome::retry_up_to(ATTEMPTS_MAX, failures, error),
        Err(error) => return error.into(),
    };
    match pull_requests::ask(engine, &issue).await {
        PrStatus::Known { url, state } => Outcome::event(issue.id, Event::PrChecked { url, state }),
        // Without a token the answer will not change by itself.
        PrStatus::None | PrStatus::Hidden { .. } => Outcome::done(),
        PrStatus::Unknown { why, .. } => Outcome::retry_up_to(ATTEMPTS_MAX, failures, why),
    }
}

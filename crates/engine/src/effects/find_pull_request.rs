//! Looks up the pull request of a branch that a run has pushed.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_store::error::StoreError;

use super::outcome::Outcome;
use crate::engine::Engine;
use crate::pull_requests::{self, PrStatus};

/// Attempts before a forge that does not answer is given up: at most an hour. The next push, `kugetsu destroy` and
/// `kugetsu set-pr` ask again.
const ATTEMPTS: u32 = 30;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, attempt: u32) -> Outcome {
    let issue = match engine.store().issue_by_id(issue).await {
        Ok(issue) => issue,
        Err(StoreError::NoSuchIssue | StoreError::Damaged { .. }) => return Outcome::done(),
        Err(error) => return Outcome::retry(error),
    };
    match pull_requests::ask(engine, &issue).await {
        PrStatus::Known { url, state } => Outcome::event(issue.id, Event::PrChecked { url, state }),
        // Without a token the answer will not change by itself.
        PrStatus::None | PrStatus::Hidden { .. } => Outcome::done(),
        PrStatus::Unknown { why, .. } if attempt < ATTEMPTS => Outcome::retry(why),
        PrStatus::Unknown { why, .. } => Outcome::GivenUp { error: why },
    }
}

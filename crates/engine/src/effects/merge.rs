//! Merges the pull request of a followed issue, with the head that was looked at.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::watch::feedback::{Action, FeedbackKind, decide};
use kugetsu_domain::watch::follow::FollowEvent;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::pull_request::{Merge, MergeMethod};

use super::follow::is_over;
use super::outcome::Outcome;
use crate::engine::Engine;
use crate::watch::followed::Followed;
use crate::watch::look::Look;

/// Executions that fail before a refusal is left to a person. Servers refuse for a moment after the base has moved, and while they
/// check for conflicts.
const ATTEMPTS_MAX: u32 = 5;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, failures: u32) -> Outcome {
    let followed = match Followed::read(engine, issue).await {
        Ok(followed) => followed,
        Err(reason) => return reason.into(),
    };
    let _turn = engine.merges().take(&followed.issue.reference.repo).await;
    let look_again = || Outcome::event(issue, Event::Followed(FollowEvent::Noticed));
    let Some(number) = followed.pull_request(engine) else { return Outcome::done() };
    let now = engine.now();
    let look = match Look::at(&followed, number, now).await {
        Ok(look) => look,
        Err(error) => return error.into(),
    };
    // Much may have happened since the decision, also an earlier attempt of this effect.
    let actions = decide(&look.seen, &followed.follow.records, followed.watch.feedback, followed.hold(), now);
    let [Action::Merge { head }] = actions.as_slice() else { return look_again() };
    let method = match followed.watch.method {
        Some(method) => method,
        None => match followed.forge.project(followed.project()).await {
            Ok(project) => project.merge_methods.first().copied().unwrap_or(MergeMethod::Merge),
            Err(error) => return error.into(),
        },
    };
    let merge = Merge { head_sha: head.clone(), method, when_ready: false };
    match followed.forge.merge(followed.project(), number, &merge).await {
        Ok(()) => match followed.forge.pull_request(followed.project(), number).await {
            Ok(pull) if is_over(pull.state) => look_again(),
            // Some servers merge after they have answered. A look now would decide to merge again.
            Ok(_) => Outcome::retry("the server has accepted the merge and does not report it yet"),
            Err(error) => error.into(),
        },
        Err(error @ ForgeError::Refused { .. }) => refused(&followed, number, head, failures, &error).await,
        Err(error) => error.into(),
    }
}

/// A refusal may mean that it is merged already, was closed, or has another head. Only otherwise a person has to decide.
async fn refused(followed: &Followed, number: u64, head: &str, failures: u32, error: &ForgeError) -> Outcome {
    let pull = match followed.forge.pull_request(followed.project(), number).await {
        Ok(pull) => pull,
        Err(error) => return error.into(),
    };
    let event = match is_over(pull.state) || pull.head_sha != head {
        true => FollowEvent::Noticed,
        false if failures.saturating_add(1) < ATTEMPTS_MAX => return Outcome::retry(error),
        false => FollowEvent::Exhausted {
            kind: FeedbackKind::Merge,
            fingerprint: head.to_owned(),
            reason: format!("the server refused to merge it: {error}"),
        },
    };
    Outcome::event(followed.issue.id, Event::Followed(event))
}

//! Writes a comment of an agent on its issue, once.

use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::watch::publication::{agent_comment, agent_question};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Subject;

use super::outcome::Outcome;
use crate::engine::Engine;
use crate::queries::agent_comments::agent_comments;
use crate::watch::followed::Followed;
use crate::watch::own_comment::{MAY_EXIST, Written, agent_marker, write};

/// Failed executions after which it is given up.
const ATTEMPTS_MAX: u32 = 20;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, run: RunId, number: u32, failures: u32) -> Outcome {
    // Two at once would write two comments.
    let _turn = engine.announcements().take(&issue).await;
    let comment = match agent_comments(engine, run).await {
        Ok(comments) => comments.into_iter().find(|comment| comment.number == number),
        Err(error) => return Outcome::retry_up_to(ATTEMPTS_MAX, failures, error),
    };
    let Some(comment) = comment else {
        return Outcome::GivenUp { error: format!("the records of run {run} do not contain the comment") };
    };
    let followed = match Followed::read(engine, issue).await {
        Ok(followed) => followed,
        Err(reason) => return reason.into(),
    };
    let text = match comment.is_question {
        true => agent_question(&comment.text),
        false => agent_comment(&comment.text),
    };
    let subject = Subject::Issue(followed.issue.reference.number);
    let marker = agent_marker(run, number);
    match write(followed.forge.as_ref(), followed.project(), subject, (&text, &marker), failures).await {
        Ok(Written::Found(_)) => Outcome::done(),
        Ok(Written::MayExist) => Outcome::retry(MAY_EXIST),
        // The issue was deleted.
        Err(ForgeError::NotFound { authenticated: true, .. }) => Outcome::done(),
        Err(error) if error.is_transient() => error.into(),
        Err(error) => Outcome::retry_up_to(ATTEMPTS_MAX, failures, error),
    }
}

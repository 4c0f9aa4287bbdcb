//! Writes a comment of an agent on its issue, once.

use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::watch::publication::{agent_comment, agent_question};
use kugetsu_forge::forge::Subject;

use super::outcome::{COMMENT_ATTEMPTS_MAX, Outcome, written};
use crate::engine::Engine;
use crate::queries::agent_comments::agent_comments;
use crate::watch::followed::Followed;
use crate::watch::own_comment::{OwnComment, agent_marker};

pub(crate) async fn execute(engine: &Engine, issue: IssueId, run: RunId, number: u32, failures: u32) -> Outcome {
    // Two at once would write two comments.
    let _turn = engine.announcements().take(&issue).await;
    let comment = match agent_comments(engine, run).await {
        Ok(comments) => comments.into_iter().find(|comment| comment.number == number),
        Err(error) => return Outcome::retry_up_to(COMMENT_ATTEMPTS_MAX, failures, error),
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
    let own = OwnComment { project: followed.project(), subject, text: &text, marker: &agent_marker(run, number) };
    written(own.write(followed.forge.as_ref(), failures).await, failures)
}

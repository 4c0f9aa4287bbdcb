//! Writes the agent's answer to a person's question as a comment in the same discussion.
//!
//! A task has one comment: if a question that failed is retried, its later end is written into the same one.

use kugetsu_agent::environment::secrets;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::redact::Redactor;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::watch::command::AnswerOn;
use kugetsu_domain::watch::publication::{answer, no_answer};
use kugetsu_forge::forge::Subject;
use kugetsu_store::view::RunView;

use super::outcome::{Outcome, written};
use crate::engine::Engine;
use crate::queries::transcript;
use crate::watch::followed::Followed;
use crate::watch::own_comment::OwnComment;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, task: TaskId, failures: u32) -> Outcome {
    // Two at once would write two comments.
    let _turn = engine.announcements().take(&issue).await;
    let view = match engine.store().view(task).await {
        Ok(Some(view)) => view,
        Ok(None) => return Outcome::done(),
        Err(error) => return Outcome::retry(error),
    };
    let Some(on) = view.task.answer_on else { return Outcome::done() };
    // It was retried, and its next end is the answer.
    if !view.task.state.is_final() {
        return Outcome::done();
    }
    let followed = match Followed::read(engine, issue).await {
        Ok(followed) => followed,
        Err(reason) => return reason.into(),
    };
    let subject = match on {
        AnswerOn::Issue => Subject::Issue(followed.issue.reference.number),
        AnswerOn::PullRequest(number) => Subject::PullRequest(number),
    };
    let (text, marker) = (text(engine, &view).await, format!("answer {task}"));
    let own = OwnComment { project: followed.project(), subject, text: &text, marker: &marker };
    written(own.write(followed.forge.as_ref(), failures).await, failures)
}

/// The text of the comment. The runner has masked the secrets of the run; a token may have been set since.
async fn text(engine: &Engine, view: &RunView) -> String {
    let redactor = Redactor::new(secrets([], &engine.settings().variables));
    let last = match (view.task.state, &view.run) {
        (TaskState::Done, Some(run)) => transcript::last_text(engine, run.id).await,
        _ => None,
    };
    match last {
        Some(text) => answer(&redactor.mask(&text)),
        None if view.task.state == TaskState::Done => no_answer(&Reason::from("its turn ended without a text")),
        None => {
            let state = view.task.state.name();
            let reason = view.task.reason.clone().unwrap_or_default();
            let hint = reason.hint.map(|hint| redactor.mask(&hint));
            no_answer(&Reason::new(format!("its task is {state}: {}", redactor.mask(&reason.text)), hint))
        }
    }
}

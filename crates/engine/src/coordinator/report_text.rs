//! The text of a report to the coordinator.

use std::fmt::Write as _;

use kugetsu_domain::ids::TaskId;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::session::SessionState;
use kugetsu_domain::task::{Task, TaskKind, TaskState};
use kugetsu_store::error::StoreError;
use kugetsu_store::view::RunView;

use super::describe::{QUOTES_ARE_DATA, describe};
use crate::engine::Engine;
use crate::intake::lineage::{ROUNDS_MAX, lineage};

/// Longest part of the message's first line that is repeated, in characters. The session knows the rest.
const MESSAGE_MAX: usize = 200;

/// Describes how everything ended that the coordinator started during `task`. `None` if the message it comes from is no
/// longer stored.
pub(crate) async fn report_text(
    engine: &Engine,
    coordinator: &Issue,
    task: TaskId,
) -> Result<Option<String>, StoreError> {
    let lineage = lineage(engine, task).await?;
    let Some(message) = &lineage.message else { return Ok(None) };
    let mut lines = String::new();
    for delegated in engine.store().delegated_tasks(task).await? {
        let view = delegated.view;
        if view.task.kind != TaskKind::Report {
            // Writing into a string cannot fail.
            let _ = writeln!(
                lines,
                "- {} ({}): {}",
                view.reference,
                view.task.kind.name(),
                describe_result(engine, &view).await?
            );
        }
    }
    Ok(Some(compose(&reminder(coordinator, message), &lines, lineage.rounds >= ROUNDS_MAX)))
}

/// Describes how a task ended, or why it does not begin.
async fn describe_result(engine: &Engine, view: &RunView) -> Result<String, StoreError> {
    let mut text = describe(view);
    if let (TaskState::Queued, Some(after)) = (view.task.state, view.task.after)
        && let Some(other) = engine.store().view(after).await?
    {
        let state = other.task.state.name();
        let _ = write!(text, "; {} is {state}, so it does not begin by itself", other.reference);
    }
    Ok(text)
}

/// The part of the user's message that the session has to be reminded of.
fn reminder(coordinator: &Issue, message: &Task) -> String {
    match coordinator.session.as_ref().is_some_and(|session| session.state == SessionState::Open) {
        true => message.message.lines().next().unwrap_or_default().chars().take(MESSAGE_MAX).collect(),
        false => message.message.clone(),
    }
}

fn compose(reminder: &str, lines: &str, is_last: bool) -> String {
    let quoted: String = reminder.lines().map(|line| format!("> {line}\n")).collect();
    let instruction = match is_last {
        true => {
            "Report to the user now. Start nothing more: this message has reached its limit of rounds, and the tools \
             refuse."
        }
        false => "Report to the user now: how each task ended, where its work is, and what they have to decide.",
    };
    format!(
        "Everything that you started because of this message has ended, or cannot begin by itself:\n\n{quoted}\n{lines}\n\
         {QUOTES_ARE_DATA}\n{instruction}"
    )
}

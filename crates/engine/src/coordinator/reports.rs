//! Tells the coordinator what became of what it asked for, once all of it is settled.
//!
//! What is due is read from what is stored, so a lost wake-up costs a delay and nothing is told twice: the report is a
//! task itself, and says of which task it is.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::session::SessionState;
use kugetsu_domain::task::{Task, TaskKind, TaskState};
use kugetsu_store::error::StoreError;
use kugetsu_store::view::RunView;
use uuid::Uuid;

use super::delegate::{coordinators_task, enqueue};
use super::facts;
use super::rounds::{ROUNDS_MAX, way};
use crate::engine::{Engine, now};

/// How long to wait before trying again when the database refuses.
const AFTER_A_FAULT: Duration = Duration::from_secs(5);
/// Most characters of the message's first line that a report repeats: the session knows the rest.
const ASKED_MAX: usize = 200;

/// Queues every report that is due, for as long as the engine lives.
pub(crate) async fn run(engine: Engine) {
    loop {
        while let Err(error) = pass(&engine).await {
            tracing::error!(%error, "the coordinator could not be told what came of its tasks; trying again");
            tokio::time::sleep(AFTER_A_FAULT).await;
        }
        engine.report_wanted().await;
    }
}

async fn pass(engine: &Engine) -> Result<(), StoreError> {
    let Some(coordinator) = engine.store().issue(&IssueRef::coordinator()).await? else { return Ok(()) };
    let mut fault = None;
    for (task, settled_at) in engine.store().reports_due(coordinator.id).await? {
        match report(engine, &coordinator, task, settled_at).await {
            Ok(()) => {}
            Err(error @ (StoreError::DiskFull | StoreError::Closed)) => return Err(error),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%task, %error, "a damaged row: nothing is told of this task; the rest goes on");
            }
            // It may be this one alone: the others get their chance before it is tried again.
            Err(error) => fault = Some(error),
        }
    }
    fault.map_or(Ok(()), Err)
}

async fn report(engine: &Engine, coordinator: &Issue, task: TaskId, settled_at: Timestamp) -> Result<(), StoreError> {
    let way = way(engine, task).await?;
    let Some(first) = &way.first else { return Ok(()) };
    let asked = engine.store().delegated_tasks(task).await?;
    let asked: Vec<RunView> =
        asked.into_iter().map(|asked| asked.view).filter(|view| view.task.kind != TaskKind::Report).collect();
    let mut lines = String::new();
    for view in &asked {
        // Writing into a string cannot fail.
        let _ = writeln!(lines, "- {} ({}): {}", view.reference, view.task.kind.name(), stands(engine, view).await?);
    }
    let message = message(&said(coordinator, first), &lines, way.rounds >= ROUNDS_MAX);
    let mut report = coordinators_task(engine, TaskId::new(Uuid::now_v7()), TaskKind::Report, message);
    report.asked_by = Some(task);
    // Whatever the clock was set to meanwhile: it tells of what was settled before it.
    report.queued_at = report.queued_at.max(settled_at);
    let applied = engine.store().enqueue(enqueue(report), now()).await?;
    engine.carry_out(&applied);
    Ok(())
}

/// How a task ended, or why it does not begin.
async fn stands(engine: &Engine, view: &RunView) -> Result<String, StoreError> {
    let mut said = facts::standing(view);
    if let (TaskState::Queued, Some(after)) = (view.task.state, view.task.after)
        && let Some(other) = engine.store().view(after).await?
    {
        let _ = write!(said, "; {} is {}, so it does not begin by itself", other.reference, other.task.state.name());
    }
    Ok(said)
}

/// The person's message, as far as the session has to be reminded of it.
fn said(coordinator: &Issue, first: &Task) -> String {
    match coordinator.session.as_ref().is_some_and(|session| session.state == SessionState::Open) {
        true => first.message.lines().next().unwrap_or_default().chars().take(ASKED_MAX).collect(),
        false => first.message.clone(),
    }
}

fn message(said: &str, lines: &str, is_last: bool) -> String {
    let quoted: String = said.lines().map(|line| format!("> {line}\n")).collect();
    let mut text = format!(
        "Everything that you asked for because of this message has ended, or cannot begin by itself:\n\n{quoted}\n{lines}\n\
         {}\n",
        facts::WORDS
    );
    text.push_str(match is_last {
        true => {
            "Report to the person now. Begin nothing more: this message has had as many rounds as it may have, and the \
             tools refuse."
        }
        false => "Report to the person now: how each ended, where its work is, and what they have to decide.",
    });
    text
}

//! Tells the coordinator what became of what it asked for, once all of it is over.
//!
//! What is due is read from what is stored, so a lost wake-up costs a delay and nothing is told twice: the report is a
//! task itself, and says of which task it is.

use std::fmt::Write as _;
use std::time::Duration;

use kugetsu_domain::ids::TaskId;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::task::{Task, TaskKind};
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
    for task in engine.store().reports_due(coordinator.id).await? {
        let way = way(engine, task).await?;
        let Some(first) = &way.first else { continue };
        let message = message(first, &engine.store().asked_by(task).await?, way.rounds >= ROUNDS_MAX);
        let mut report = coordinators_task(engine, TaskId::new(Uuid::now_v7()), TaskKind::Report, message);
        report.asked_by = Some(task);
        let applied = engine.store().enqueue(enqueue(report), now()).await?;
        engine.carry_out(&applied);
    }
    Ok(())
}

fn message(first: &Task, ended: &[RunView], is_last: bool) -> String {
    let said: String = first.message.lines().next().unwrap_or_default().chars().take(ASKED_MAX).collect();
    let mut text = format!("Everything that you asked for because of the message \"{said}\" has ended:\n\n");
    for view in ended {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "- {} ({}): {}", view.reference, view.task.kind.name(), facts::standing(view));
    }
    text.push_str(match is_last {
        true => {
            "\nReport to the person now. Begin nothing more: this message has had as many rounds as it may have, and the \
             tools refuse."
        }
        false => "\nReport to the person now: how each ended, where its work is, and what they have to decide.",
    });
    text
}

//! Tells the coordinator what became of what it asked for, once all of it is over.
//!
//! What is due is read from what is stored, so a lost wake-up costs a delay and nothing is told twice: the report is a
//! task itself, and says of which task it is.

use std::fmt::Write as _;
use std::time::Duration;

use kugetsu_api::problem::Problem;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_store::error::StoreError;
use kugetsu_store::store::Applied;
use kugetsu_store::view::RunView;
use uuid::Uuid;

use super::delegate::{coordinators_task, enqueue};
use super::facts;
use crate::engine::{Engine, now};
use crate::problems::{internal, usage};

/// How often the coordinator may begin anew after it was told what became of its last tasks, for one message. A
/// coordinator that mends what fails, and fails to, must not do so all night.
const ROUNDS_MAX: usize = 5;
/// How long to wait before trying again when the database refuses.
const AFTER_A_FAULT: Duration = Duration::from_secs(5);
/// Most characters of the message's first line that a report repeats: the session knows the rest.
const ASKED_MAX: usize = 200;

/// Whether a step may have made a report due.
pub(crate) fn may_be_due(applied: &Applied) -> bool {
    let coordinator = applied.issue.reference.is_coordinator();
    applied.issue.tasks.iter().any(|task| task.ended_at.is_some() && (coordinator || task.asked_by.is_some()))
}

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

/// How a task of the coordinator's came to be.
#[derive(Default)]
struct Way {
    /// The person's message; none if it was cleaned away.
    first: Option<Task>,
    /// How often the coordinator was told since what became of its tasks.
    rounds: usize,
}

async fn way(engine: &Engine, task: TaskId) -> Result<Way, StoreError> {
    let (mut way, mut at) = (Way::default(), Some(task));
    while let Some((_, found)) = match at {
        Some(id) => engine.store().task(id).await?,
        None => None,
    } {
        way.rounds += usize::from(found.kind == TaskKind::Report);
        at = found.asked_by;
        way.first = Some(found);
    }
    Ok(way)
}

/// Whether the coordinator may ask for something during this task of its own.
///
/// # Errors
/// A [`Problem`] that says why not.
pub(crate) async fn may_ask(engine: &Engine, task: TaskId) -> Result<(), Problem> {
    let way = way(engine, task).await.map_err(internal)?;
    if way.first.is_none_or(|first| first.kind != TaskKind::Delegate) {
        return Err(usage(format!("{task} is no task of the coordinator's")));
    }
    if way.rounds >= ROUNDS_MAX {
        return Err(usage(format!("this message has had {ROUNDS_MAX} rounds; nothing more is begun for it"))
            .hint("report to the person; a new message (kugetsu delegate) begins afresh"));
    }
    Ok(())
}

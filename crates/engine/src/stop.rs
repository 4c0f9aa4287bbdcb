//! `kugetsu stop`: ends agents at once.
//!
//! A cancel lets an agent end its turn and takes seconds. A stop has two seconds: the runners get one to end their agents, then
//! the daemon kills what is left by the marks of the runs, also of runners that do not answer. The runners save the work
//! afterwards, as after any cancel.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kugetsu_api::problem::Problem;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::Issue;
use kugetsu_process::{MARKER, Marker};
use kugetsu_store::error::StoreError;
use kugetsu_store::query::IssueFilter;

use crate::engine::Engine;
use crate::home::reserve;
use crate::moved_home::marker;
use crate::pauses::{self, Changed};
use crate::problems::{internal, store_failed};
use crate::queue::stays_queued;
use crate::runners::watchdog;

/// How long the runners may take to end their agents.
const RUNNERS_LIMIT: Duration = Duration::from_millis(900);
/// Time between SIGTERM and SIGKILL for what is left then.
const GRACE: Duration = Duration::from_millis(300);
/// After this time, a runner that has not connected is killed: it may be about to start its agent.
const CONNECT_LIMIT: Duration = Duration::from_millis(1500);
/// How often is looked whether an agent is left.
const TICK: Duration = Duration::from_millis(50);
/// Looks in a row that have to find none: a process may be forked while the others are listed.
const EMPTY_LOOKS: usize = 2;
/// After this time, what is left is reported.
const LIMIT: Duration = Duration::from_secs(20);

/// The result of a stop.
#[derive(Clone, Debug, Default)]
pub struct Stopped {
    /// The issues whose runs were ended.
    pub issues: Vec<Issue>,
    /// Processes that survived SIGKILL: they hang in the kernel or belong to another user. Usually empty.
    pub survivors: Vec<i32>,
    /// Warnings about tasks that start next.
    pub notes: Vec<String>,
}

/// Pauses everything, then ends every run. Returns when no agent is left.
///
/// # Errors
/// The pause could not be stored, or the processes could not be listed.
pub async fn stop_all(engine: &Engine) -> Result<(Changed, Stopped), Problem> {
    // What fills the disk may be one of the runs.
    reserve::give_up_if_full(engine.home());
    let paused = pauses::pause(engine, None).await?;
    let running = engine.store().issues(IssueFilter::Running, usize::MAX).await.map_err(store_failed)?.issues;
    // Nothing starts next.
    Ok((paused, Stopped { notes: Vec::new(), ..end(engine, running).await? }))
}

/// Ends the runs of these issues. Returns when none of their agents is left.
///
/// # Errors
/// The processes could not be listed.
pub async fn end(engine: &Engine, issues: Vec<Issue>) -> Result<Stopped, Problem> {
    let began = Instant::now();
    let runs: Vec<(RunId, Issue)> =
        issues.into_iter().filter_map(|issue| Some((issue.live_run()?.id, issue))).collect();
    if runs.is_empty() {
        return Ok(Stopped::default());
    }
    // At once, whatever the database does.
    for (run, _) in &runs {
        engine.runners().stop(*run);
    }
    let canceled = join_all(runs.iter().map(|(_, issue)| cancel(engine, issue))).await;
    let mut marks = HashMap::new();
    for (run, _) in &runs {
        marks.insert(*run, marker(engine.home(), &run.to_string()).map_err(internal)?);
    }
    let survivors = end_agents(engine, &runs, &marks, began).await?;
    canceled.into_iter().collect::<Result<Vec<()>, StoreError>>().map_err(store_failed)?;
    let mut stopped = Stopped { survivors, ..Stopped::default() };
    for (_, issue) in runs {
        if let Some(task) = issue.running_task() {
            stopped.notes.extend(stays_queued(engine, &issue, task.id).await?);
        }
        stopped.issues.push(issue);
    }
    Ok(stopped)
}

/// Cancels the issue's running task, unless it was canceled before or has ended.
async fn cancel(engine: &Engine, issue: &Issue) -> Result<(), StoreError> {
    let Some(task) = issue.running_task().filter(|task| !task.cancel_requested) else { return Ok(()) };
    match engine.apply(issue.id, Event::CancelRequested { task: task.id }).await {
        Ok(_) | Err(StoreError::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn end_agents(
    engine: &Engine,
    runs: &[(RunId, Issue)],
    marks: &HashMap<RunId, Marker>,
    began: Instant,
) -> Result<Vec<i32>, Problem> {
    let (mut empty_looks, mut killed) = (0, BTreeSet::new());
    loop {
        let left = left(marks).await?;
        let starting = starting(engine, runs).await;
        let elapsed = began.elapsed();
        empty_looks = if left.is_empty() && starting.is_empty() { empty_looks + 1 } else { 0 };
        if empty_looks == EMPTY_LOOKS {
            return Ok(Vec::new());
        }
        if elapsed >= LIMIT {
            return Ok(left.into_values().flatten().collect());
        }
        if elapsed >= RUNNERS_LIMIT && !left.is_empty() {
            let marks: Vec<Marker> = left.keys().filter_map(|run| marks.get(run)).cloned().collect();
            tracing::warn!(runs = marks.len(), "agents did not end in time; ending them");
            let swept = kugetsu_process::sweep_all(&marks, GRACE).await.map_err(internal)?;
            if !swept.survivors.is_empty() {
                return Ok(swept.survivors.into_iter().map(kugetsu_process::Pid::as_raw).collect());
            }
        }
        if elapsed >= CONNECT_LIMIT {
            for run in starting.into_iter().filter(|run| killed.insert(*run)) {
                tracing::warn!(%run, "a runner that has not connected is killed");
                if let Err(error) = watchdog::kill(engine, run).await {
                    tracing::error!(%run, error, "a runner could not be killed");
                }
            }
        }
        tokio::time::sleep(TICK).await;
    }
}

/// The processes that are left, by their runs.
async fn left(marks: &HashMap<RunId, Marker>) -> Result<HashMap<RunId, Vec<i32>>, Problem> {
    let all = kugetsu_process::leftover_processes(MARKER).await.map_err(internal)?;
    let mut left: HashMap<RunId, Vec<i32>> = HashMap::new();
    for (run, mark) in marks {
        let pids: Vec<i32> =
            all.iter().filter(|(_, value)| value == OsStr::new(mark.id())).map(|(pid, _)| pid.as_raw()).collect();
        if !pids.is_empty() {
            left.insert(*run, pids);
        }
    }
    Ok(left)
}

/// The runs that are not over and whose runners do not know yet that they have to end.
async fn starting(engine: &Engine, runs: &[(RunId, Issue)]) -> Vec<RunId> {
    let mut starting = Vec::new();
    for (run, issue) in runs.iter().filter(|(run, _)| !engine.runners().is_connected(*run)) {
        let current = engine.store().issue_by_id(issue.id).await;
        // If that is not known, it counts as not over.
        if current.map_or(true, |current| current.live_run().is_some_and(|live| live.id == *run)) {
            starting.push(*run);
        }
    }
    starting
}

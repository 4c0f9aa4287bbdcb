//! Tasks that the coordinator delegated, and the reports due to it.
//!
//! A delegated task is *settled* when it has ended, or when it waits for an issue whose latest task ended other than
//! `done` and so does not start by itself. A report covers everything that was settled when it was queued. A task that
//! settles later, for example after a retry, gets another report.

use jiff::Timestamp;
use kugetsu_domain::ids::{IssueId, TaskId};
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::read::{explain, run_view, views};
use super::row::{self, issue_columns, run_columns, task_columns};
use crate::error::StoreError;
use crate::view::{DelegatedTask, RunView};

/// `stuck`: queued tasks that wait for an issue whose latest task ended other than `done`, and those that wait for them
/// in turn; `since` when. The condition for waiting is the one of the candidates in `read.rs`.
macro_rules! stuck {
    () => {
        "stuck (id, issue, seq, since) AS MATERIALIZED ( \
            SELECT w.id, w.issue, w.seq, max(w.queued_at, d.ended_at) FROM tasks w INDEXED BY tasks_after \
                JOIN tasks d ON d.seq = (SELECT max(l.seq) FROM tasks l WHERE l.issue = w.after) \
                WHERE w.state = 'queued' AND w.after IS NOT NULL AND d.state IN ('blocked', 'failed', 'timeout', 'canceled') \
            UNION SELECT w.id, w.issue, w.seq, max(w.queued_at, s.since) FROM stuck s \
                JOIN tasks w INDEXED BY tasks_live ON w.issue = s.issue AND w.seq > s.seq \
                    AND w.state IN ('queued', 'running') AND w.state = 'queued' \
            UNION SELECT w.id, w.issue, w.seq, max(w.queued_at, s.since) FROM stuck s \
                JOIN tasks w INDEXED BY tasks_after ON w.after = s.issue AND w.state = 'queued' AND w.after IS NOT NULL \
                WHERE s.seq = (SELECT max(l.seq) FROM tasks l WHERE l.issue = s.issue))"
    };
}

/// `delegated`: delegated tasks, during which task, and when they settled; NULL while they have not.
macro_rules! delegated {
    () => {
        "delegated (parent, seq, settled) AS MATERIALIZED ( \
            SELECT c.asked_by, c.seq, coalesce(c.ended_at, s.since) \
                FROM tasks c INDEXED BY tasks_asked_by LEFT JOIN stuck s ON s.id = c.id \
                WHERE c.asked_by IS NOT NULL AND c.kind <> 'report')"
    };
}

/// Whether a report covers the task `$seq` of `$parent` that settled at `$settled`.
macro_rules! reported {
    ($parent:literal, $seq:literal, $settled:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM tasks r INDEXED BY tasks_asked_by WHERE r.asked_by = ",
            $parent,
            " AND r.kind = 'report' AND r.seq > ",
            $seq,
            " AND r.queued_at >= ",
            $settled,
            ")"
        )
    };
}

pub(crate) use {delegated, reported, stuck};

/// Ended tasks of the coordinator. A canceled one gets no report: the user did not want it.
const DUE: &str = concat!(
    "WITH RECURSIVE ",
    stuck!(),
    ", ",
    delegated!(),
    " SELECT p.id AS t_id, max(a.settled) AS settled FROM delegated a JOIN tasks p ON p.id = a.parent \
        WHERE p.issue = ? AND p.state IN ('done', 'blocked', 'failed', 'timeout') GROUP BY p.id \
        HAVING count(*) = count(a.settled) AND sum(NOT ",
    reported!("p.id", "a.seq", "a.settled"),
    ") > 0 ORDER BY p.seq"
);

/// See [`Store::reports_due`](crate::store::Store::reports_due).
pub(crate) async fn due(pool: &SqlitePool, coordinator: IssueId) -> Result<Vec<(TaskId, Timestamp)>, StoreError> {
    let rows = sqlx::query(DUE).bind(coordinator.to_string()).fetch_all(pool).await.map_err(explain)?;
    let due = |found: &SqliteRow| Ok((row::parsed(found, "t_id")?, row::time(found, "settled")?));
    let readable = |found: Result<_, StoreError>| {
        found.inspect_err(|error| tracing::error!(%error, "skipping a damaged row in a report")).ok()
    };
    Ok(rows.iter().map(due).filter_map(readable).collect())
}

const SETTLED: &str = concat!(
    "WITH RECURSIVE ",
    stuck!(),
    ", ",
    delegated!(),
    " SELECT t.id AS t_id FROM delegated a JOIN tasks t ON t.seq = a.seq WHERE a.parent = ? AND a.settled IS NOT NULL"
);

/// See [`Store::delegated_tasks`](crate::store::Store::delegated_tasks).
pub(crate) async fn tasks(pool: &SqlitePool, task: TaskId) -> Result<Vec<DelegatedTask>, StoreError> {
    let rows = sqlx::query(run_view!("WHERE t.asked_by = ? ORDER BY t.seq")).bind(task.to_string());
    let views: Vec<RunView> = views(&rows.fetch_all(pool).await.map_err(explain)?);
    let rows = sqlx::query(SETTLED).bind(task.to_string()).fetch_all(pool).await.map_err(explain)?;
    let settled: Vec<TaskId> = rows.iter().map(|found| row::parsed(found, "t_id")).collect::<Result<_, _>>()?;
    Ok(views.into_iter().map(|view| DelegatedTask { is_settled: settled.contains(&view.task.id), view }).collect())
}

pub(crate) async fn count(pool: &SqlitePool, task: TaskId) -> Result<u64, StoreError> {
    let found = sqlx::query("SELECT count(*) AS count FROM tasks WHERE asked_by = ? AND kind <> 'report'")
        .bind(task.to_string())
        .fetch_one(pool)
        .await
        .map_err(explain)?;
    Ok(u64::try_from(row::get::<i64>(&found, "count")?).unwrap_or_default())
}

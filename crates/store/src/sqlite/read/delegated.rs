//! Tasks that the coordinator delegated, and the reports due to it.
//!
//! A delegated task is *settled* when it has ended, or when it waits for an issue whose latest task ended other than
//! `done` and so does not start by itself. A report covers everything that was settled when it was queued. A task that
//! settles later, for example after a retry, gets another report.

use std::collections::HashSet;

use jiff::Timestamp;
use kugetsu_domain::ids::{IssueId, TaskId};
use rusqlite::Connection;

use crate::error::StoreError;
use crate::sqlite::row::Columns;

/// `stuck`: queued tasks that wait for an issue whose latest task ended other than `done`, and those that wait for them
/// in turn; `since` when. The condition for waiting is the one of the candidates in `queue.rs`.
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

pub(in crate::sqlite) use {delegated, reported, stuck};

/// Ended tasks of the coordinator. A canceled one gets no report: the user did not want it.
const DUE: &str = concat!(
    "WITH RECURSIVE ",
    stuck!(),
    ", ",
    delegated!(),
    " SELECT p.id, max(a.settled) FROM delegated a JOIN tasks p ON p.id = a.parent \
        WHERE p.issue = ? AND p.state IN ('done', 'blocked', 'failed', 'timeout') GROUP BY p.id \
        HAVING count(*) = count(a.settled) AND sum(NOT ",
    reported!("p.id", "a.seq", "a.settled"),
    ") > 0 ORDER BY p.seq"
);

/// See [`Store::reports_due`](crate::store::Store::reports_due). Damaged tasks are logged and left out.
pub(in crate::sqlite) fn reports_due(
    connection: &Connection,
    coordinator: IssueId,
) -> Result<Vec<(TaskId, Timestamp)>, StoreError> {
    let mut statement = connection.prepare_cached(DUE)?;
    let mut rows = statement.query([coordinator.to_string()])?;
    let mut due = Vec::new();
    while let Some(found) = rows.next()? {
        let mut columns = Columns::of("task", found);
        match columns.parsed().and_then(|task| Ok((task, columns.time()?))) {
            Err(error) if error.is_damage() => tracing::error!(%error, "skipping a damaged task in a report"),
            task => due.push(task?),
        }
    }
    Ok(due)
}

const SETTLED: &str = concat!(
    "WITH RECURSIVE ",
    stuck!(),
    ", ",
    delegated!(),
    " SELECT t.id FROM delegated a JOIN tasks t ON t.seq = a.seq WHERE a.parent = ? AND a.settled IS NOT NULL"
);

/// Returns which of the tasks delegated during a task of the coordinator are settled.
pub(in crate::sqlite) fn settled(connection: &Connection, task: TaskId) -> Result<HashSet<TaskId>, StoreError> {
    let mut statement = connection.prepare_cached(SETTLED)?;
    let mut rows = statement.query([task.to_string()])?;
    let mut settled = HashSet::new();
    while let Some(found) = rows.next()? {
        settled.insert(Columns::of("task", found).parsed()?);
    }
    Ok(settled)
}

//! Deletes old tasks and events, and marks the directories of old runs for removal.

use jiff::Timestamp;
use kugetsu_domain::ids::RunId;
use rusqlite::{Connection, ToSql};

use super::read::{delegated, reported, stuck};
use super::row::{self, Columns};
use crate::error::StoreError;
use crate::write::Cleaned;

/// The condition for tasks to delete: they ended before a time and are not the latest of their issue, which `list` shows.
///
/// Of the coordinator's tasks, those are kept that a report still depends on (`open`): tasks with delegated tasks that have
/// not settled or were not reported, and everything that led to them. A report is kept as long as the tasks that it
/// covers, or these would be reported again.
macro_rules! old_tasks {
    () => {
        concat!(
            "id IN (WITH RECURSIVE ",
            stuck!(),
            ", ",
            delegated!(),
            ", open (parent) AS ( \
                SELECT c.asked_by FROM tasks c INDEXED BY tasks_asked_by \
                    WHERE c.asked_by IS NOT NULL AND c.state IN ('queued', 'running') \
                UNION SELECT a.parent FROM delegated a JOIN tasks p ON p.id = a.parent \
                    WHERE p.state <> 'canceled' AND a.settled IS NOT NULL AND NOT ",
            reported!("a.parent", "a.seq", "a.settled"),
            " UNION SELECT p.asked_by FROM open o JOIN tasks p ON p.id = o.parent WHERE p.asked_by IS NOT NULL) \
            SELECT t.id FROM tasks t WHERE t.state NOT IN ('queued', 'running') AND t.ended_at < ? \
                AND t.seq < (SELECT max(l.seq) FROM tasks l WHERE l.issue = t.issue) \
                AND t.id NOT IN (SELECT parent FROM open) \
                AND (t.asked_by IS NULL OR t.asked_by NOT IN (SELECT parent FROM open)) \
                AND NOT (t.kind = 'report' AND EXISTS (SELECT 1 FROM delegated a JOIN tasks p ON p.id = a.parent \
                    WHERE a.parent = t.asked_by)))"
        )
    };
}

const DELETE_RUNS: &str =
    concat!("DELETE FROM runs WHERE task IN (SELECT id FROM tasks WHERE ", old_tasks!(), ") RETURNING id");

const DELETE_TASKS: &str = concat!("DELETE FROM tasks WHERE ", old_tasks!());

/// The condition for runs whose directories may be removed: their tasks have ended.
macro_rules! ended_runs {
    () => {
        "has_files = 1 AND ended_at IS NOT NULL AND state NOT IN ('starting', 'working') \
         AND task NOT IN (SELECT id FROM tasks INDEXED BY tasks_live WHERE state IN ('queued', 'running'))"
    };
}

const ENDED_RUNS: &str = concat!("SELECT id, ended_at FROM runs WHERE ", ended_runs!());

const EXPIRE_RUN: &str = concat!("UPDATE runs SET has_files = 0 WHERE id = ? AND ", ended_runs!(), " RETURNING id");

const EXPIRE_RUNS: &str =
    concat!("UPDATE runs SET has_files = 0 WHERE ended_at < ? AND ", ended_runs!(), " RETURNING id");

/// The newest event is kept: numbers continue from it.
const DELETE_EVENTS: &str = "\
    DELETE FROM events WHERE at < ? AND seq < (SELECT max(seq) FROM events) AND (task IS NULL \
        OR task NOT IN (SELECT id FROM tasks INDEXED BY tasks_live WHERE state IN ('queued', 'running')))";

/// Deletes them with their runs, old events, and old effects that were given up, in the current transaction.
pub(super) fn clean(connection: &Connection, before: Timestamp) -> Result<Cleaned, StoreError> {
    let given_up = "DELETE FROM effects WHERE state = 'failed' AND created_at < ?";
    connection.execute(given_up, [before.as_millisecond()])?;
    let mut cleaned = Cleaned::default();
    expire(connection, EXPIRE_RUNS, before.as_millisecond(), &mut cleaned.runs)?;
    cleaned.events = connection.execute(DELETE_EVENTS, [before.as_millisecond()])? as u64;
    // A task of the coordinator goes first, then the reports on it.
    loop {
        expire(connection, DELETE_RUNS, before.as_millisecond(), &mut Vec::new())?;
        match connection.execute(DELETE_TASKS, [before.as_millisecond()])? {
            0 => return Ok(cleaned),
            tasks => cleaned.tasks += tasks as u64,
        }
    }
}

/// Executes a statement that returns runs, and marks their directories for removal.
fn expire(
    connection: &Connection,
    statement: &str,
    parameter: impl ToSql,
    expired: &mut Vec<RunId>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query([parameter])?;
    while let Some(found) = rows.next()? {
        // The directory of a run with a damaged identifier is left alone.
        if let Some(run) = row::unless_damaged(Columns::of("run", found).parsed::<RunId>())? {
            connection
                .prepare_cached("INSERT OR IGNORE INTO expired_runs (run) VALUES (?)")?
                .execute([run.to_string()])?;
            expired.push(run);
        }
    }
    Ok(())
}

/// Marks the directories of these runs for removal, in the current transaction, and changes nothing else. Those of tasks that
/// have not ended stay.
pub(super) fn expire_runs(connection: &Connection, runs: &[RunId]) -> Result<(), StoreError> {
    runs.iter().try_for_each(|run| expire(connection, EXPIRE_RUN, run.to_string(), &mut Vec::new()))
}

/// Returns the runs whose directories may be removed, with the times when they ended.
pub(super) fn ended_runs(connection: &Connection) -> Result<Vec<(RunId, Timestamp)>, StoreError> {
    let mut statement = connection.prepare(ENDED_RUNS)?;
    let mut rows = statement.query([])?;
    let mut runs = Vec::new();
    while let Some(found) = rows.next()? {
        let mut columns = Columns::of("run", found);
        let run = columns.parsed().and_then(|run| Ok((run, columns.time()?)));
        runs.extend(row::unless_damaged(run)?);
    }
    Ok(runs)
}

/// Returns the runs whose directories are to be removed.
pub(super) fn expired_runs(connection: &Connection) -> Result<Vec<RunId>, StoreError> {
    let mut statement = connection.prepare("SELECT run FROM expired_runs ORDER BY run")?;
    let mut rows = statement.query([])?;
    let mut runs = Vec::new();
    while let Some(found) = rows.next()? {
        runs.extend(row::unless_damaged(Columns::of("run", found).parsed::<RunId>())?);
    }
    Ok(runs)
}

/// Records that the directories of these runs are gone.
pub(super) fn forget_expired(connection: &Connection, runs: &[RunId]) -> Result<(), StoreError> {
    let mut statement = connection.prepare("DELETE FROM expired_runs WHERE run = ?")?;
    for run in runs {
        statement.execute([run.to_string()])?;
    }
    Ok(())
}

/// Bytes of free pages below which the file is not rewritten.
const FREE_MIN: i64 = 1024 * 1024;

/// Whether a quarter of the file is free, so that rewriting it pays.
pub(super) fn has_much_free(connection: &Connection) -> rusqlite::Result<bool> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (free, pages, size) = (pragma("freelist_count")?, pragma("page_count")?, pragma("page_size")?);
    Ok(free.saturating_mul(size) >= FREE_MIN && free >= pages / 4)
}

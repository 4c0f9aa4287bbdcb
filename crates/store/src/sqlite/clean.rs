//! Deletes old tasks. The log of events is not touched.

use jiff::Timestamp;
use rusqlite::Connection;

use super::read::{delegated, reported, stuck};
use super::row::Columns;
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

/// Deletes them with their runs, and old effects that were given up, in the current transaction.
pub(super) fn clean(connection: &Connection, before: Timestamp) -> Result<Cleaned, StoreError> {
    let given_up = "DELETE FROM effects WHERE state = 'failed' AND created_at < ?";
    connection.execute(given_up, [before.as_millisecond()])?;
    let mut cleaned = Cleaned::default();
    // A task of the coordinator goes first, then the reports on it.
    loop {
        let mut statement = connection.prepare(DELETE_RUNS)?;
        let mut rows = statement.query([before.as_millisecond()])?;
        while let Some(found) = rows.next()? {
            cleaned.runs.push(Columns::of("run", found).parsed()?);
        }
        match connection.execute(DELETE_TASKS, [before.as_millisecond()])? {
            0 => return Ok(cleaned),
            tasks => cleaned.tasks += tasks as u64,
        }
    }
}

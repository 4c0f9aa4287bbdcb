//! Forgets old tasks. The log of events is not touched.

use jiff::Timestamp;
use kugetsu_domain::ids::RunId;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::delegated::{delegated, reported, stuck};
use super::{result_code, row};
use crate::error::StoreError;
use crate::write::Cleaned;

/// Which tasks: over, old, and not the latest of their issue, which `list` shows.
///
/// The coordinator's are kept for as long as something hangs on them: those that it still waits for or was not told of,
/// everything that led to these, and a report while the tasks are there that it told of, as they would be told again.
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

/// Removes them with their runs, in one transaction.
pub(crate) async fn clean(connection: &mut SqliteConnection, before: Timestamp) -> Result<Cleaned, StoreError> {
    let explain = |error: sqlx::Error| result_code::explain(&error);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(explain)?;
    let mut cleaned = Cleaned::default();
    // A report goes after the task that it is about.
    loop {
        let runs = sqlx::query(concat!(
            "DELETE FROM runs WHERE task IN (SELECT id FROM tasks WHERE ",
            old_tasks!(),
            ") RETURNING id AS r_id"
        ))
        .bind(before.as_millisecond())
        .fetch_all(&mut *transaction)
        .await
        .map_err(explain)?;
        let tasks = sqlx::query(concat!("DELETE FROM tasks WHERE ", old_tasks!()))
            .bind(before.as_millisecond())
            .execute(&mut *transaction)
            .await
            .map_err(explain)?;
        let id = |found: &SqliteRow| row::parsed::<RunId>(found, "r_id");
        cleaned.runs.extend(runs.iter().map(id).collect::<Result<Vec<_>, _>>()?);
        cleaned.tasks += tasks.rows_affected();
        if tasks.rows_affected() == 0 {
            break;
        }
    }
    transaction.commit().await.map_err(explain)?;
    Ok(cleaned)
}

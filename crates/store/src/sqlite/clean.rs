//! Forgets old tasks. The log of events is not touched.

use jiff::Timestamp;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::{fault, row};
use crate::error::StoreError;
use crate::store::Cleaned;

/// Which tasks: over, old, and not the latest of their issue, which `list` shows.
macro_rules! old_tasks {
    () => {
        "state NOT IN ('queued', 'running') AND ended_at < ? \
         AND seq < (SELECT max(a.seq) FROM tasks a WHERE a.issue = tasks.issue)"
    };
}

/// Removes them with their runs, in one transaction.
pub(crate) async fn clean(connection: &mut SqliteConnection, before: Timestamp) -> Result<Cleaned, StoreError> {
    let explain = |error: sqlx::Error| fault::explain(&error);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(explain)?;
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
    let runs = runs.iter().map(|found| row::parsed(found, "r_id")).collect::<Result<_, _>>()?;
    transaction.commit().await.map_err(explain)?;
    Ok(Cleaned { tasks: tasks.rows_affected(), runs })
}

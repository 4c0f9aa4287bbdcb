//! The schema and its steps. A step that was shipped never changes; a new one is added behind it.

use std::cmp::Ordering;
use std::path::Path;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, SqlSafeStr};

use super::fault;
use crate::error::OpenError;

/// The steps, oldest first: number, name, statements.
const STEPS: &[(i64, &str, &str)] = &[
    (1, "issues, tasks, runs, events", include_str!("../../migrations/0001_issues_tasks_runs_events.sql")),
    (2, "coordinator, changes", include_str!("../../migrations/0002_coordinator_changes.sql")),
];

/// Brings the schema up to date.
///
/// # Errors
/// [`OpenError`].
pub(crate) async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    match compare(path, connection).await {
        Ok(()) | Err(OpenError::Older { .. }) => {}
        Err(error) => return Err(error),
    }
    let steps = STEPS
        .iter()
        .map(|&(number, name, sql)| {
            Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    Migrator::with_migrations(steps).run(connection).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => explain(path, &error),
        other => OpenError::Unreadable { path: path.to_owned(), why: other.to_string() },
    })
}

/// Whether the file has the schema that this program knows.
///
/// # Errors
/// [`OpenError`].
pub(crate) async fn compare(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let known = STEPS.last().map_or(0, |step| step.0);
    let found = match newest_step(connection).await {
        Some(found) => found,
        // Its tables would only be the first of ours.
        None => refuse_foreign(path, connection).await.map(|()| 0)?,
    };
    match found.cmp(&known) {
        Ordering::Greater => Err(OpenError::Newer { path: path.to_owned(), found, known }),
        Ordering::Less => Err(OpenError::Older { path: path.to_owned(), found, known }),
        Ordering::Equal => Ok(()),
    }
}

/// A database of another program is not made one of ours.
async fn refuse_foreign(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let tables = sqlx::query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name LIMIT 3");
    let tables = tables.fetch_all(connection).await.map_err(|error| unreadable(path, &error))?;
    if tables.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = tables.iter().filter_map(|row| row.try_get("name").ok()).collect();
    let why = format!("it holds the tables of another program ({})", names.join(", "));
    Err(OpenError::Unreadable { path: path.to_owned(), why })
}

/// The newest step that was applied to this file; `None` for a file that has none.
async fn newest_step(connection: &mut SqliteConnection) -> Option<i64> {
    // A new file has no such table, and a file of another kind fails here and again, with its reason, in the migration.
    let row = sqlx::query("SELECT max(version) AS newest FROM _sqlx_migrations").fetch_one(connection).await.ok()?;
    row.try_get("newest").ok()
}

/// Why the file could not be looked at, in words.
pub(crate) fn unreadable(path: &Path, error: &sqlx::Error) -> OpenError {
    match explain(path, error) {
        OpenError::NotWritable { path, why } => OpenError::NotReadable { path, why },
        other => other,
    }
}

/// Why the file could not be opened, in words.
pub(crate) fn explain(path: &Path, error: &sqlx::Error) -> OpenError {
    let path = path.to_owned();
    match fault::code(error) {
        Some(fault::SQLITE_CANTOPEN | fault::SQLITE_READONLY | fault::SQLITE_FULL | fault::SQLITE_IOERR) => {
            OpenError::NotWritable { path, why: error.to_string() }
        }
        _ => OpenError::Unreadable { path, why: error.to_string() },
    }
}

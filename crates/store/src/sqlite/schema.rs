//! The schema's migrations. A shipped migration never changes; a change of the schema is a new one.

use std::cmp::Ordering;
use std::path::Path;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, SqlSafeStr};

use super::result_code;
use crate::error::OpenError;

/// Version, description and statements, oldest first.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "issues, tasks, runs, events", include_str!("../../migrations/0001_issues_tasks_runs_events.sql")),
    (2, "coordinator, changes", include_str!("../../migrations/0002_coordinator_changes.sql")),
];

/// Applies the migrations that the file lacks.
pub(crate) async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    match compare(path, connection).await {
        Ok(()) | Err(OpenError::Older { .. }) => {}
        Err(error) => return Err(error),
    }
    let migrations = MIGRATIONS
        .iter()
        .map(|&(version, description, sql)| {
            Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    Migrator::with_migrations(migrations).run(connection).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => explain(path, &error),
        other => OpenError::Invalid { path: path.to_owned(), reason: other.to_string() },
    })
}

/// Fails unless the file has exactly this program's schema.
pub(crate) async fn compare(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.0);
    let found = match version(connection).await {
        Some(found) => found,
        None => refuse_foreign(path, connection).await.map(|()| 0)?,
    };
    match found.cmp(&known) {
        Ordering::Greater => Err(OpenError::Newer { path: path.to_owned(), found, known }),
        Ordering::Less => Err(OpenError::Older { path: path.to_owned(), found, known }),
        Ordering::Equal => Ok(()),
    }
}

/// Refuses a database that holds tables of another program.
async fn refuse_foreign(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let tables = sqlx::query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name LIMIT 3");
    let tables = tables.fetch_all(connection).await.map_err(|error| unreadable(path, &error))?;
    if tables.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = tables.iter().filter_map(|row| row.try_get("name").ok()).collect();
    let reason = format!("it holds the tables of another program ({})", names.join(", "));
    Err(OpenError::Invalid { path: path.to_owned(), reason })
}

/// Returns the version of the newest migration applied to the file; `None` if there is none.
async fn version(connection: &mut SqliteConnection) -> Option<i64> {
    // A new file has no such table. A file that is no database fails here, and again, with its reason, in the migration.
    let row = sqlx::query("SELECT max(version) AS newest FROM _sqlx_migrations").fetch_one(connection).await.ok()?;
    row.try_get("newest").ok()
}

/// As [`explain`], for a database opened read-only.
pub(crate) fn unreadable(path: &Path, error: &sqlx::Error) -> OpenError {
    match explain(path, error) {
        OpenError::Unwritable { path, reason } => OpenError::Unreadable { path, reason },
        other => other,
    }
}

pub(crate) fn explain(path: &Path, error: &sqlx::Error) -> OpenError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match result_code::code(error) {
        Some(
            result_code::SQLITE_CANTOPEN
            | result_code::SQLITE_READONLY
            | result_code::SQLITE_FULL
            | result_code::SQLITE_IOERR,
        ) => OpenError::Unwritable { path, reason },
        _ => OpenError::Invalid { path, reason },
    }
}

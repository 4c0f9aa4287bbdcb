//! The schema's migrations. A shipped migration never changes; a change of the schema is a new one.
//!
//! The applied ones are recorded in `_sqlx_migrations`, as earlier versions did, so that every version recognizes a
//! database of every other.

use std::cmp::Ordering;
use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha384};

use super::connection::make_durable;
use super::error::{unreadable, unwritable};
use crate::error::OpenError;

/// Version, description and statements, oldest first.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "issues, tasks, runs, events", include_str!("../../migrations/0001_issues_tasks_runs_events.sql")),
    (2, "coordinator, changes", include_str!("../../migrations/0002_coordinator_changes.sql")),
    (3, "effects", include_str!("../../migrations/0003_effects.sql")),
    (4, "stored views", include_str!("../../migrations/0004_stored_views.sql")),
    (5, "home, history", include_str!("../../migrations/0005_home_history.sql")),
    (6, "hints", include_str!("../../migrations/0006_hints.sql")),
    (7, "pushed", include_str!("../../migrations/0007_pushed.sql")),
    (8, "usage", include_str!("../../migrations/0008_usage.sql")),
    (9, "pauses", include_str!("../../migrations/0009_pauses.sql")),
    (10, "watches", include_str!("../../migrations/0010_watches.sql")),
    (11, "answers", include_str!("../../migrations/0011_answers.sql")),
    (12, "merges_and_rules", include_str!("../../migrations/0012_merges_and_rules.sql")),
    (13, "results of feedback", include_str!("../../migrations/0013_results_of_feedback.sql")),
    (14, "pauses of starts", include_str!("../../migrations/0014_pauses_of_starts.sql")),
    (15, "limits and usage", include_str!("../../migrations/0015_limits_and_usage.sql")),
    (16, "keys of runs", include_str!("../../migrations/0016_keys_of_runs.sql")),
];

const RECORD: &str = "
    CREATE TABLE IF NOT EXISTS _sqlx_migrations (
        version BIGINT PRIMARY KEY,
        description TEXT NOT NULL,
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        success BOOLEAN NOT NULL,
        checksum BLOB NOT NULL,
        execution_time BIGINT NOT NULL
    )";

/// Applies the migrations that the file lacks. Changes nothing in a newer database or another program's.
pub(super) fn migrate(path: &Path, connection: &mut Connection) -> Result<(), OpenError> {
    match compare(path, connection) {
        Ok(()) | Err(OpenError::Older { .. }) => {}
        Err(OpenError::Unreadable { path, reason }) => return Err(OpenError::Unwritable { path, reason }),
        Err(error) => return Err(error),
    }
    let failed = |error: rusqlite::Error| unwritable(path, &error);
    make_durable(connection).map_err(failed)?;
    connection.execute(RECORD, []).map_err(failed)?;
    for (version, description, statements) in MIGRATIONS {
        let begun = Instant::now();
        let checksum = Sha384::digest(statements);
        let transaction = connection.transaction().map_err(failed)?;
        let applied: Option<(bool, Vec<u8>)> = transaction
            .query_row("SELECT success, checksum FROM _sqlx_migrations WHERE version = ?", [version], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .map_err(failed)?;
        match applied {
            None => {}
            Some((true, recorded)) if recorded[..] == checksum[..] => continue,
            Some(_) => {
                let reason = format!("its schema's version {version} is another one than this program's");
                return Err(OpenError::Invalid { path: path.to_owned(), reason });
            }
        }
        transaction.execute_batch(statements).map_err(failed)?;
        transaction
            .execute(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (?, ?, true, ?, ?)",
                params![version, description, &checksum[..], begun.elapsed().as_nanos() as i64],
            )
            .map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}

/// Fails unless the file has exactly this program's schema.
pub(super) fn compare(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.0);
    let found = version(connection).map_err(|error| unreadable(path, &error))?;
    let path = path.to_owned();
    match found {
        Found::Version(found) => match found.cmp(&known) {
            Ordering::Greater => Err(OpenError::Newer { path, found, known }),
            Ordering::Less => Err(OpenError::Older { path, found, known }),
            Ordering::Equal => Ok(()),
        },
        Found::Foreign(tables) => {
            let reason = format!("it holds the tables of another program ({})", tables.join(", "));
            Err(OpenError::Invalid { path, reason })
        }
    }
}

enum Found {
    /// 0 for an empty database.
    Version(i64),
    /// Some tables of another program.
    Foreign(Vec<String>),
}

fn version(connection: &Connection) -> rusqlite::Result<Found> {
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if tables.iter().any(|table| table == "_sqlx_migrations") {
        let newest = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";
        return Ok(Found::Version(connection.query_row(newest, [], |row| row.get(0))?));
    }
    match tables.is_empty() {
        true => Ok(Found::Version(0)),
        false => Ok(Found::Foreign(tables.into_iter().take(3).collect())),
    }
}

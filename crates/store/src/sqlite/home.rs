//! The home that the database belongs to, and what is known of its directories.

use std::collections::HashSet;

use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::IssueState;
use kugetsu_domain::reference::IssueRef;
use rusqlite::{Connection, OptionalExtension};

use super::row::{self, Columns, issue_columns};
use crate::error::StoreError;

/// Returns the identifier of the home; `None` in a database that belongs to none yet.
pub(super) fn home(connection: &Connection) -> Result<Option<String>, StoreError> {
    Ok(connection.query_row("SELECT id FROM home", [], |row| row.get(0)).optional()?)
}

/// Makes the database that of a home.
pub(super) fn set_home(connection: &Connection, id: &str) -> Result<(), StoreError> {
    connection
        .execute("INSERT INTO home (one, id) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET id = excluded.id", [id])?;
    Ok(())
}

/// See [`Store::unknown_runs`](crate::store::Store::unknown_runs).
pub(super) fn unknown_runs(connection: &Connection, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
    let mut known = HashSet::new();
    let mut statement = connection.prepare("SELECT id FROM runs UNION SELECT run FROM expired_runs")?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        known.insert(Columns::of("run", found).parsed::<RunId>()?);
    }
    Ok(runs.into_iter().filter(|run| !known.contains(run)).collect())
}

/// See [`Store::directories`](crate::store::Store::directories).
pub(super) fn directories(connection: &Connection) -> Result<Vec<(IssueRef, Option<String>)>, StoreError> {
    let mut statement = connection.prepare(ISSUES)?;
    let mut rows = statement.query([])?;
    let mut directories = Vec::new();
    while let Some(found) = rows.next()? {
        let issue = row::issue(&mut Columns::of("issue", found))?;
        if issue.state != IssueState::Destroyed {
            directories.push((issue.reference, issue.worktree.map(|worktree| worktree.directory)));
        }
    }
    Ok(directories)
}

// From the issues: one whose repository is missing is damaged, too.
const ISSUES: &str = concat!("SELECT ", issue_columns!(), " FROM issues i LEFT JOIN repos p ON p.id = i.repo");

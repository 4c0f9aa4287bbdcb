//! Faults of the database.

use rusqlite::{Connection, Row};

use crate::error::StoreError;
use crate::sqlite::recover::missing_effects;
use crate::sqlite::row::{self, Columns, effect_columns, issue_columns, run_columns, task_columns};

/// Describes every fault that SQLite finds in the file, and every row that cannot be read.
pub(in crate::sqlite) fn check(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let found: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut problems: Vec<String> = found.into_iter().filter(|fault| fault != "ok").collect();
    read_all(connection, REPOS, |row| row::repo(row).map(drop), &mut problems)?;
    read_all(connection, ISSUES, |row| row::issue(&mut Columns::of("issue", row)).map(drop), &mut problems)?;
    read_all(connection, TASKS, |row| row::task(&mut Columns::of("task", row)).map(drop), &mut problems)?;
    read_all(connection, RUNS, |row| row::run(&mut Columns::of("run", row)).map(drop), &mut problems)?;
    read_all(connection, EFFECTS, |row| row::effect(row).map(drop), &mut problems)?;
    read_all(connection, EVENTS, |row| row::event(row).map(drop), &mut problems)?;
    problems.extend(missing_effects(connection)?.into_iter().map(|missing| {
        format!("{}: the effect is missing, so the work does not continue before the next daemon starts", missing.key)
    }));
    Ok(problems)
}

const REPOS: &str = "SELECT base, project, kind, source FROM repos";
const ISSUES: &str = concat!("SELECT ", issue_columns!(), " FROM issues i JOIN repos p ON p.id = i.repo");
const TASKS: &str = concat!("SELECT ", task_columns!(), " FROM tasks t");
const RUNS: &str = concat!("SELECT ", run_columns!(), " FROM runs r");
const EVENTS: &str = "SELECT seq, at, issue, task, run, kind, data FROM events";
const EFFECTS: &str = concat!("SELECT ", effect_columns!(), " FROM effects");

fn read_all(
    connection: &Connection,
    query: &str,
    read: impl Fn(&Row<'_>) -> Result<(), StoreError>,
    problems: &mut Vec<String>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        match read(found) {
            Err(StoreError::Damaged { what }) => problems.push(what),
            result => result?,
        }
    }
    Ok(())
}

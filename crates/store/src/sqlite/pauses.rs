//! What `kugetsu pause` holds back.

use kugetsu_domain::hold::Pause;
use kugetsu_domain::reference::RepoRef;
use rusqlite::{Connection, Row, params};

use super::row::{self, Columns};
use crate::error::StoreError;

pub(super) fn pauses(connection: &Connection) -> Result<Vec<Pause>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT since, base, project FROM pauses ORDER BY base, project")?;
    let mut rows = statement.query([])?;
    let mut pauses = Vec::new();
    while let Some(found) = rows.next()? {
        pauses.extend(row::unless_damaged(pause(found))?);
    }
    Ok(pauses)
}

fn pause(row: &Row<'_>) -> Result<Pause, StoreError> {
    let mut columns = Columns::of("pause", row);
    let since = columns.time()?;
    let is_global = row.get_ref(1)?.as_str().is_ok_and(str::is_empty);
    let repo = if is_global { None } else { Some(row::repo_ref(&mut columns)?) };
    Ok(Pause { repo, since })
}

/// The first time stays.
pub(super) fn add_pause(connection: &Connection, pause: &Pause) -> Result<(), StoreError> {
    let (base, project) = names(pause.repo.as_ref());
    let insert = "INSERT OR IGNORE INTO pauses (base, project, since) VALUES (?, ?, ?)";
    connection.prepare_cached(insert)?.execute(params![base, project, pause.since.as_millisecond()])?;
    Ok(())
}

pub(super) fn remove_pause(connection: &Connection, repo: Option<&RepoRef>) -> Result<(), StoreError> {
    let (base, project) = names(repo);
    connection.prepare_cached("DELETE FROM pauses WHERE base = ? AND project = ?")?.execute([base, project])?;
    Ok(())
}

/// Both are empty for everything.
fn names(repo: Option<&RepoRef>) -> (&str, &str) {
    repo.map_or(("", ""), |repo| (repo.base.as_str(), repo.project.as_str()))
}

//! Issues and repositories.

use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::Issue;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::driver::Rows;
use crate::error::StoreError;
use crate::query::IssueFilter;
use crate::sqlite::load::{self, number};
use crate::sqlite::row::{self, Columns};
use crate::view::Repo;

/// Returns the newest `limit` issues that match, and the number of issues that match.
pub(in crate::sqlite) fn issues(
    connection: &Connection,
    filter: &IssueFilter,
    limit: usize,
) -> Result<Rows<Issue, usize>, StoreError> {
    let ids = ids(connection, filter)?;
    let total = ids.len();
    let load = |id: Result<IssueId, StoreError>| match id {
        Ok(id) => load::issue(connection, id).map(|loaded| loaded.map(|(issue, _)| issue)).transpose(),
        Err(error) => Some(Err(error)),
    };
    let issues: Vec<_> = ids.into_iter().take(limit).filter_map(load).collect();
    // Damage is an error of the row, and everything else of the query.
    match issues.iter().find_map(|issue| issue.as_ref().err().filter(|error| !error.is_damage())) {
        Some(error) => Err(error.clone()),
        None => Ok((issues, total)),
    }
}

/// The identifiers of the issues that match, newest first.
fn ids(connection: &Connection, filter: &IssueFilter) -> Result<Vec<Result<IssueId, StoreError>>, StoreError> {
    let (query, params): (&str, Vec<Value>) = match filter {
        IssueFilter::Id(id) => return Ok(vec![Ok(*id)]),
        IssueFilter::Reference(reference) => (
            "SELECT i.id FROM repos p JOIN issues i ON i.repo = p.id WHERE p.base = ? AND p.project = ? AND i.number = ?",
            vec![
                reference.repo.base.as_str().to_owned().into(),
                reference.repo.project.as_str().to_owned().into(),
                number(reference.number).into(),
            ],
        ),
        IssueFilter::Session(session) => {
            ("SELECT id FROM issues INDEXED BY issues_by_session WHERE session = ?", vec![session.clone().into()])
        }
        IssueFilter::Directory(directory) => {
            ("SELECT id FROM issues INDEXED BY issues_by_directory WHERE directory = ?", vec![directory.clone().into()])
        }
        IssueFilter::Run(run) => ("SELECT issue FROM runs WHERE id = ?", vec![run.to_string().into()]),
        IssueFilter::Running => (RUNNING, vec![]),
        IssueFilter::Destroying => ("SELECT id FROM issues WHERE state = 'destroying'", vec![]),
        IssueFilter::OpenIn(repo) => (
            "SELECT i.id FROM repos p JOIN issues i ON i.repo = p.id \
             WHERE p.base = ? AND p.project = ? AND i.state = 'open' ORDER BY i.number DESC",
            vec![repo.base.as_str().to_owned().into(), repo.project.as_str().to_owned().into()],
        ),
        IssueFilter::Numbered(wanted) => (
            "SELECT i.id FROM repos p JOIN issues i ON i.repo = p.id \
             WHERE i.number = ? AND i.state = 'open' AND p.base <> 'coordinator' ORDER BY i.created_at DESC, i.id DESC",
            vec![number(*wanted).into()],
        ),
    };
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(params_from_iter(params))?;
    let mut ids = Vec::new();
    while let Some(found) = rows.next()? {
        ids.push(Columns::of("issue", found).parsed());
    }
    Ok(ids)
}

const RUNNING: &str = "\
    SELECT issue FROM runs INDEXED BY runs_one_live WHERE state IN ('starting', 'working') ORDER BY started_at DESC, id DESC";

/// Returns all repositories, oldest first. A damaged one is logged and left out.
pub(in crate::sqlite) fn repos(connection: &Connection) -> Result<Vec<Repo>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT base, project, kind, source FROM repos ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut repos = Vec::new();
    while let Some(found) = rows.next()? {
        repos.extend(row::unless_damaged(row::repo(found))?);
    }
    Ok(repos)
}

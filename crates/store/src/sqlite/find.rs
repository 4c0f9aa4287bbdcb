//! Which issue is meant: by its reference, its session, its directory, its repository.

use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reference::{IssueRef, RepoRef};
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::read::{explain, issue_by_id};
use super::row;
use crate::error::StoreError;

/// The issue with this reference.
pub(crate) async fn issue(pool: &SqlitePool, reference: &IssueRef) -> Result<Option<Issue>, StoreError> {
    let found = sqlx::query(
        "SELECT i.id AS i_id FROM issues i JOIN repos p ON p.id = i.repo \
         WHERE p.base = ? AND p.project = ? AND i.number = ?",
    )
    .bind(reference.repo.base.as_str())
    .bind(reference.repo.project.as_str())
    .bind(i64::try_from(reference.number).unwrap_or(i64::MAX))
    .fetch_optional(pool)
    .await
    .map_err(explain)?;
    by_found_id(pool, found).await
}

/// The issue whose current session this is.
pub(crate) async fn issue_by_session(pool: &SqlitePool, session: &str) -> Result<Option<Issue>, StoreError> {
    let found = sqlx::query("SELECT id AS i_id FROM issues INDEXED BY issues_by_session WHERE session = ?")
        .bind(session)
        .fetch_optional(pool)
        .await
        .map_err(explain)?;
    by_found_id(pool, found).await
}

async fn by_found_id(pool: &SqlitePool, found: Option<SqliteRow>) -> Result<Option<Issue>, StoreError> {
    match found {
        Some(found) => issue_by_id(pool, row::parsed(&found, "i_id")?).await.map(Some),
        None => Ok(None),
    }
}

/// The issue whose worktree has this name.
pub(crate) async fn issue_by_directory(pool: &SqlitePool, directory: &str) -> Result<Option<Issue>, StoreError> {
    let found = sqlx::query("SELECT id AS i_id FROM issues INDEXED BY issues_by_directory WHERE directory = ?")
        .bind(directory)
        .fetch_optional(pool)
        .await
        .map_err(explain)?;
    by_found_id(pool, found).await
}

/// The issues of a repository that were not destroyed, in their order.
pub(crate) async fn open_issues(pool: &SqlitePool, repo: &RepoRef) -> Result<Vec<IssueRef>, StoreError> {
    let rows = sqlx::query(
        "SELECT i.number AS i_number FROM issues i JOIN repos p ON p.id = i.repo \
         WHERE p.base = ? AND p.project = ? AND i.state = 'open' ORDER BY i.number",
    )
    .bind(repo.base.as_str())
    .bind(repo.project.as_str())
    .fetch_all(pool)
    .await
    .map_err(explain)?;
    rows.iter().map(|found| Ok(IssueRef { repo: repo.clone(), number: row::number(found, "i_number")? })).collect()
}

/// The issues with this number that were not destroyed, in whatever repository; the coordinator is none.
pub(crate) async fn issues_numbered(
    pool: &SqlitePool,
    number: u64,
    limit: usize,
) -> Result<(Vec<Issue>, usize), StoreError> {
    let rows = sqlx::query(
        "SELECT i.id AS i_id FROM repos p JOIN issues i ON i.repo = p.id \
         WHERE i.number = ? AND i.state = 'open' AND p.base <> 'coordinator' ORDER BY i.created_at DESC, i.id DESC",
    )
    .bind(i64::try_from(number).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
    .map_err(explain)?;
    let mut issues = Vec::new();
    for found in rows.iter().take(limit) {
        issues.push(issue_by_id(pool, row::parsed(found, "i_id")?).await?);
    }
    Ok((issues, rows.len()))
}

/// The issue's latest run before the one with this fence, if it was lost.
pub(crate) async fn lost_run_before(
    pool: &SqlitePool,
    issue: IssueId,
    fence: u64,
) -> Result<Option<RunId>, StoreError> {
    let found = sqlx::query(
        "SELECT r.id AS r_id, r.state AS r_state FROM tasks t JOIN runs r ON r.task = t.id \
         WHERE t.issue = ? AND r.fence < ? ORDER BY r.fence DESC LIMIT 1",
    )
    .bind(issue.to_string())
    .bind(i64::try_from(fence).unwrap_or(i64::MAX))
    .fetch_optional(pool)
    .await
    .map_err(explain)?;
    match found {
        Some(found) if row::get::<String>(&found, "r_state")? == "lost" => row::parsed(&found, "r_id").map(Some),
        _ => Ok(None),
    }
}

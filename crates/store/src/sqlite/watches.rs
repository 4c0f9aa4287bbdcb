//! Watched repositories, their candidates, and what came from their servers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::watch::feedback::Ending;
use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};

use super::load::number;
use super::row::Columns;
use crate::error::StoreError;
use crate::view::{Candidate, HookNews, Poll, WatchLoad, WatchState};

pub(super) fn watch(connection: &Connection, repo: &RepoRef) -> Result<WatchState, StoreError> {
    let select = "SELECT since, polled_at, error, hooked_at, missed_at FROM watches WHERE base = ? AND project = ?";
    let mut statement = connection.prepare_cached(select)?;
    let mut rows = statement.query([repo.base.as_str(), repo.project.as_str()])?;
    let Some(found) = rows.next()? else { return Ok(WatchState::default()) };
    let mut columns = Columns::of("watch", found);
    Ok(WatchState {
        since: columns.optional_time()?,
        polled_at: columns.optional_time()?,
        error: columns.optional_owned()?,
        hooked_at: columns.optional_time()?,
        missed_at: columns.optional_time()?,
    })
}

pub(super) fn set_poll(connection: &Connection, repo: &RepoRef, poll: &Poll) -> Result<(), StoreError> {
    let since = poll.since.map(Timestamp::as_millisecond);
    let upsert = "INSERT INTO watches (base, project, since, polled_at, error) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET since = excluded.since, polled_at = excluded.polled_at, error = excluded.error";
    let at = poll.at.as_millisecond();
    connection.prepare_cached(upsert)?.execute(params![
        repo.base.as_str(),
        repo.project.as_str(),
        since,
        at,
        poll.error
    ])?;
    Ok(())
}

pub(super) fn set_hook(
    connection: &Connection,
    repo: &RepoRef,
    news: HookNews,
    at: Timestamp,
) -> Result<(), StoreError> {
    let upsert = match news {
        HookNews::Worked => {
            "INSERT INTO watches (base, project, hooked_at) VALUES (?, ?, ?)
                ON CONFLICT DO UPDATE SET hooked_at = excluded.hooked_at"
        }
        HookNews::Missed => {
            "INSERT INTO watches (base, project, missed_at) VALUES (?, ?, ?)
                ON CONFLICT DO UPDATE SET missed_at = excluded.missed_at"
        }
    };
    let params = params![repo.base.as_str(), repo.project.as_str(), at.as_millisecond()];
    connection.prepare_cached(upsert)?.execute(params)?;
    Ok(())
}

/// The pull request of an issue that is worked on, or whose branch was pushed, is about to be opened, perhaps once the server takes
/// it. It counts, so that further issues wait.
pub(super) fn load(connection: &Connection, repo: &RepoRef) -> Result<WatchLoad, StoreError> {
    let count = "SELECT \
            count(*) FILTER (WHERE is_live), \
            count(*) FILTER (WHERE change_state IN ('open', 'draft', 'conflict') OR is_unopened), \
            count(*) FILTER (WHERE is_unopened), \
            count(*) FILTER (WHERE watch_ended = ?3) \
        FROM (SELECT *, change_url IS NULL AND (is_live OR pushed_sha IS NOT NULL AND is_active) AS is_unopened \
            FROM (SELECT i.watch_ended, i.change_state, i.change_url, i.pushed_sha, \
                i.watch_ended IS NULL AND i.watch_stopped = 0 AS is_active, \
                EXISTS (SELECT 1 FROM tasks t WHERE t.issue = i.id AND t.state IN ('queued', 'running')) AS is_live \
            FROM repos p JOIN issues i ON i.repo = p.id \
            WHERE p.base = ?1 AND p.project = ?2 AND i.state = 'open' AND i.watch IS NOT NULL))";
    let mut statement = connection.prepare_cached(count)?;
    let params = [repo.base.as_str(), repo.project.as_str(), Ending::ClosedUnmerged.name()];
    let running_by_rule = running_by_rule(connection, repo)?;
    let load = |row: &Row<'_>| {
        Ok(WatchLoad {
            running: row.get(0)?,
            running_by_rule,
            open_pull_requests: row.get(1)?,
            unopened_pull_requests: row.get(2)?,
            closed_pull_requests: row.get(3)?,
        })
    };
    Ok(statement.query_row(params, load)?)
}

fn running_by_rule(connection: &Connection, repo: &RepoRef) -> Result<BTreeMap<String, u32>, StoreError> {
    let count = "SELECT i.watch_rule, count(*) FROM repos p JOIN issues i ON i.repo = p.id \
        WHERE p.base = ?1 AND p.project = ?2 AND i.state = 'open' AND i.watch IS NOT NULL AND i.watch_rule IS NOT NULL \
            AND EXISTS (SELECT 1 FROM tasks t WHERE t.issue = i.id AND t.state IN ('queued', 'running')) \
        GROUP BY i.watch_rule";
    let mut statement = connection.prepare_cached(count)?;
    let rows =
        statement.query_map([repo.base.as_str(), repo.project.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// All of the repository, or one of them.
pub(super) fn candidates(
    connection: &Connection,
    repo: &RepoRef,
    issue: Option<u64>,
) -> Result<Vec<(u64, Candidate)>, StoreError> {
    let select = "SELECT number, text_hash, seen_at, conditions, rule, read_at FROM candidates
        WHERE base = ? AND project = ? AND number = coalesce(?, number) ORDER BY number";
    let mut statement = connection.prepare_cached(select)?;
    let mut rows = statement.query(params![repo.base.as_str(), repo.project.as_str(), issue.map(number)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of("candidate", row);
        let number = columns.number()?;
        let candidate = Candidate {
            text_hash: columns.owned()?,
            seen_at: columns.time()?,
            conditions: columns.conditions()?,
            rule: columns.optional_owned()?,
            read_at: columns.time()?,
        };
        found.push((number, candidate));
    }
    Ok(found)
}

/// The first text stays: a later one was not approved.
pub(super) fn set_candidate(
    connection: &Connection,
    repo: &RepoRef,
    issue: u64,
    candidate: &Candidate,
) -> Result<(), StoreError> {
    let upsert = "INSERT INTO candidates (base, project, number, text_hash, seen_at, conditions, rule, read_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET conditions = excluded.conditions, rule = excluded.rule, read_at = excluded.read_at";
    let conditions: Vec<Value> = candidate
        .conditions
        .iter()
        .map(|found| json!({ "name": found.kind.name(), "met": found.met.name(), "fact": found.fact }))
        .collect();
    connection.prepare_cached(upsert)?.execute(params![
        repo.base.as_str(),
        repo.project.as_str(),
        number(issue),
        candidate.text_hash,
        candidate.seen_at.as_millisecond(),
        Value::Array(conditions).to_string(),
        candidate.rule,
        candidate.read_at.as_millisecond(),
    ])?;
    Ok(())
}

pub(super) fn remove_candidate(connection: &Connection, repo: &RepoRef, issue: u64) -> Result<(), StoreError> {
    let delete = "DELETE FROM candidates WHERE base = ? AND project = ? AND number = ?";
    connection.prepare_cached(delete)?.execute(params![repo.base.as_str(), repo.project.as_str(), number(issue)])?;
    Ok(())
}

pub(super) fn is_handled(connection: &Connection, server: &str, id: &str) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM handled WHERE server = ? AND id = ?")?;
    Ok(statement.exists([server, id])?)
}

/// Earlier ones than `forget` are forgotten, unless they have no time.
pub(super) fn add_handled(
    connection: &Connection,
    server: &str,
    id: &str,
    at: Option<Timestamp>,
    forget: Timestamp,
) -> Result<(), StoreError> {
    let insert = "INSERT OR IGNORE INTO handled (server, id, at) VALUES (?, ?, ?)";
    connection.prepare_cached(insert)?.execute(params![server, id, at.map(Timestamp::as_millisecond)])?;
    connection.prepare_cached("DELETE FROM handled WHERE at < ?")?.execute([forget.as_millisecond()])?;
    Ok(())
}

//! What is known of watched repositories, and of the deliveries of their webhooks.

use jiff::Timestamp;
use kugetsu_domain::reference::RepoRef;
use rusqlite::{Connection, params};

use super::load::number;
use super::row::Columns;
use crate::error::StoreError;
use crate::view::{Handover, WatchState};

pub(super) fn watch(connection: &Connection, repo: &RepoRef) -> Result<WatchState, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT since, polled_at, error FROM watches WHERE base = ? AND project = ?")?;
    let mut rows = statement.query([repo.base.as_str(), repo.project.as_str()])?;
    let Some(found) = rows.next()? else { return Ok(WatchState::default()) };
    let mut columns = Columns::of("watch", found);
    Ok(WatchState {
        since: columns.optional_time()?,
        polled_at: columns.optional_time()?,
        error: columns.optional_owned()?,
    })
}

pub(super) fn set_watch(connection: &Connection, repo: &RepoRef, state: &WatchState) -> Result<(), StoreError> {
    let (since, polled_at) =
        (state.since.map(Timestamp::as_millisecond), state.polled_at.map(Timestamp::as_millisecond));
    let params = params![repo.base.as_str(), repo.project.as_str(), since, polled_at, state.error];
    let replace = "INSERT OR REPLACE INTO watches (base, project, since, polled_at, error) VALUES (?, ?, ?, ?, ?)";
    connection.prepare_cached(replace)?.execute(params)?;
    Ok(())
}

pub(super) fn handover(connection: &Connection, repo: &RepoRef, issue: u64) -> Result<Option<Handover>, StoreError> {
    let select = "SELECT text_hash, seen_at FROM candidates WHERE base = ? AND project = ? AND number = ?";
    let mut statement = connection.prepare_cached(select)?;
    let mut rows = statement.query(params![repo.base.as_str(), repo.project.as_str(), number(issue)])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::of("candidate", found);
    Ok(Some(Handover { text_hash: columns.owned()?, seen_at: columns.time()? }))
}

/// The first one stays: a later text was not approved.
pub(super) fn add_handover(
    connection: &Connection,
    repo: &RepoRef,
    issue: u64,
    handover: &Handover,
) -> Result<(), StoreError> {
    let insert = "INSERT OR IGNORE INTO candidates (base, project, number, text_hash, seen_at) VALUES (?, ?, ?, ?, ?)";
    let seen_at = handover.seen_at.as_millisecond();
    let params = params![repo.base.as_str(), repo.project.as_str(), number(issue), handover.text_hash, seen_at];
    connection.prepare_cached(insert)?.execute(params)?;
    Ok(())
}

pub(super) fn remove_handover(connection: &Connection, repo: &RepoRef, issue: u64) -> Result<(), StoreError> {
    let delete = "DELETE FROM candidates WHERE base = ? AND project = ? AND number = ?";
    connection.prepare_cached(delete)?.execute(params![repo.base.as_str(), repo.project.as_str(), number(issue)])?;
    Ok(())
}

pub(super) fn is_delivered(connection: &Connection, server: &str, id: &str) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM deliveries WHERE server = ? AND id = ?")?;
    Ok(statement.exists([server, id])?)
}

/// Deliveries from before `forget` are forgotten.
pub(super) fn add_delivery(
    connection: &Connection,
    server: &str,
    id: &str,
    at: Timestamp,
    forget: Timestamp,
) -> Result<(), StoreError> {
    let insert = "INSERT OR IGNORE INTO deliveries (server, id, at) VALUES (?, ?, ?)";
    connection.prepare_cached(insert)?.execute(params![server, id, at.as_millisecond()])?;
    connection.prepare_cached("DELETE FROM deliveries WHERE at < ?")?.execute([forget.as_millisecond()])?;
    Ok(())
}

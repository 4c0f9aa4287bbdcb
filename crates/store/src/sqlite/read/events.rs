//! The log of events.

use jiff::Timestamp;
use kugetsu_domain::ids::IssueId;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::StoreError;
use crate::sqlite::row;
use crate::view::StoredEvent;

/// See [`Store::events_after`](crate::store::Store::events_after).
pub(in crate::sqlite) fn events_after(
    connection: &Connection,
    issue: Option<IssueId>,
    after: i64,
    limit: u32,
) -> Result<Vec<StoredEvent>, StoreError> {
    let mut statement = connection.prepare_cached(match issue {
        Some(_) => OF_ISSUE,
        None => ALL,
    })?;
    let mut rows = statement.query(params![issue.map(|issue| issue.to_string()), after])?;
    let mut events = Vec::new();
    // A damaged event counts as none: a page of them must not look like the end.
    while events.len() < limit as usize
        && let Some(found) = rows.next()?
    {
        events.extend(row::unless_damaged(row::event(found))?);
    }
    Ok(events)
}

const ALL: &str = "\
    SELECT seq, at, issue, task, run, kind, data FROM events WHERE ?1 IS NULL AND seq > ?2 ORDER BY seq";

const OF_ISSUE: &str = "\
    SELECT seq, at, issue, task, run, kind, data FROM events WHERE issue = ?1 AND seq > ?2 ORDER BY seq";

/// See [`Store::last_event`](crate::store::Store::last_event).
pub(in crate::sqlite) fn last_event(
    connection: &Connection,
    issue: Option<IssueId>,
    before: Option<Timestamp>,
) -> Result<i64, StoreError> {
    // From the newest on: that is where the answer is, however long the log is.
    let mut statement = connection.prepare_cached(match issue {
        Some(_) => "SELECT seq FROM events WHERE issue = ?1 AND at < ?2 ORDER BY seq DESC LIMIT 1",
        None => "SELECT seq FROM events WHERE ?1 IS NULL AND at < ?2 ORDER BY seq DESC LIMIT 1",
    })?;
    let before = before.map_or(i64::MAX, Timestamp::as_millisecond);
    let last: Option<i64> =
        statement.query_row(params![issue.map(|issue| issue.to_string()), before], |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(0))
}

//! Effects that are not settled.

use std::collections::HashSet;

use jiff::Timestamp;
use kugetsu_domain::effect::EffectKind;
use kugetsu_domain::ids::IssueId;
use rusqlite::{Connection, params};

use crate::effect::{ClaimedEffect, DELAY_MAX, EffectId, EffectView};
use crate::error::StoreError;
use crate::sqlite::row::{self, Columns, effect_columns};

/// Returns at most `limit` pending effects that are due and not among `claimed`, oldest due first. One that was not executed
/// yet is due at once, also after the clock was set back, and so is one that is due later than any delay. A damaged one is
/// logged and left alone.
pub(in crate::sqlite) fn due_effects(
    connection: &Connection,
    claimed: &HashSet<EffectId>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<ClaimedEffect>, StoreError> {
    let mut statement = connection.prepare_cached(DUE)?;
    let mut rows = statement.query([now.as_millisecond(), latest(now)])?;
    let mut due = Vec::new();
    while due.len() < limit
        && let Some(found) = rows.next()?
    {
        match row::effect(found) {
            Ok(effect) if claimed.contains(&effect.id) => {}
            Ok(effect) => due.push(effect),
            Err(error) => tracing::error!(%error, "skipping a damaged effect"),
        }
    }
    Ok(due)
}

const DUE: &str = concat!(
    "SELECT ",
    effect_columns!(),
    " FROM effects INDEXED BY effects_due WHERE state = 'pending' AND (due_at <= ? OR attempt = 0 OR due_at > ?) \
     ORDER BY due_at, id"
);

/// Returns the time after `now` when the next pending effect is due that is not among `claimed`.
pub(in crate::sqlite) fn next_effect_due(
    connection: &Connection,
    claimed: &HashSet<EffectId>,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, due_at FROM effects INDEXED BY effects_due WHERE state = 'pending' AND due_at > ? AND due_at <= ? \
         ORDER BY due_at, id",
    )?;
    let mut rows = statement.query([now.as_millisecond(), latest(now)])?;
    while let Some(found) = rows.next()? {
        if !claimed.contains(&EffectId(found.get(0)?)) {
            return Ok(Timestamp::from_millisecond(found.get(1)?).ok());
        }
    }
    Ok(None)
}

/// The latest time for which an effect can be due, in milliseconds since 1970.
fn latest(now: Timestamp) -> i64 {
    now.as_millisecond().saturating_add(i64::try_from(DELAY_MAX.as_millis()).unwrap_or(i64::MAX))
}

/// Returns the effects of an issue that are not settled, oldest first.
pub(in crate::sqlite) fn effects_of(connection: &Connection, issue: IssueId) -> Result<Vec<EffectView>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT key, kind, state, attempt, due_at, error FROM effects INDEXED BY effects_by_issue \
         WHERE issue = ? ORDER BY id",
    )?;
    let mut rows = statement.query(params![issue.to_string()])?;
    let mut effects = Vec::new();
    while let Some(found) = rows.next()? {
        let mut columns = Columns::of("effect", found);
        effects.push(EffectView {
            key: columns.text()?.to_owned(),
            kind: EffectKind::from_name(columns.text()?),
            failed: columns.text()? == "failed",
            attempt: columns.number()?,
            due_at: columns.time()?,
            error: columns.optional_text()?.map(str::to_owned),
        });
    }
    Ok(effects)
}

//! Adds effects that are missing. What is in progress without an effect would stay so for ever.

use std::collections::HashSet;

use kugetsu_domain::effect::Effect;
use rusqlite::{Connection, Row, params};

use super::row::{self, effect_columns};
use crate::error::StoreError;

/// An effect that is missing.
pub(super) struct Missing {
    pub(super) key: String,
    issue: String,
    kind: String,
    data: String,
    created_at: i64,
}

/// Adds the effects that are missing. Returns their keys.
pub(super) fn add_missing_effects(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let missing = missing_effects(connection)?;
    for Missing { key, issue, kind, data, created_at } in &missing {
        connection.execute(ADD, params![key, issue, kind, data, created_at])?;
    }
    Ok(missing.into_iter().map(|missing| missing.key).collect())
}

/// Returns the effect `run` of every run in progress, the effect `remove_files` of every issue that is being destroyed and the
/// effect `end_pause` of every paused task, where it is missing or damaged.
pub(super) fn missing_effects(connection: &Connection) -> Result<Vec<Missing>, StoreError> {
    let mut running = HashSet::new();
    let mut destroying = HashSet::new();
    let mut paused = HashSet::new();
    let mut statement = connection.prepare(PENDING)?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        // A damaged one counts as missing.
        match row::effect(found) {
            Ok(effect) => match effect.effect {
                Effect::Run(lease) => {
                    running.insert((lease.run.to_string(), lease.fence));
                }
                Effect::RemoveFiles { .. } => {
                    destroying.insert(effect.issue.to_string());
                }
                Effect::EndPause { .. } => {
                    paused.insert(effect.key);
                }
                _ => {}
            },
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    let mut missing = read_missing(connection, RUNNING)?;
    missing.retain(|(_, run, fence)| !running.contains(&(run.clone(), u64::try_from(*fence).unwrap_or_default())));
    let mut removals = read_missing(connection, DESTROYING)?;
    removals.retain(|(removal, ..)| !destroying.contains(&removal.issue));
    let mut pauses = read_missing(connection, PAUSED)?;
    pauses.retain(|(pause, ..)| !paused.contains(&pause.key));
    Ok(missing.into_iter().chain(removals).chain(pauses).map(|(missing, ..)| missing).collect())
}

/// Reads effects, each with the run and the fence that it is about.
fn read_missing(connection: &Connection, query: &str) -> Result<Vec<(Missing, String, i64)>, StoreError> {
    let mut statement = connection.prepare(query)?;
    let read = |row: &Row<'_>| {
        let (key, issue, kind, data) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((Missing { key, issue, kind, data, created_at: row.get(4)? }, row.get(5)?, row.get(6)?))
    };
    Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
}

const PENDING: &str = concat!("SELECT ", effect_columns!(), " FROM effects WHERE state = 'pending'");

const RUNNING: &str = "\
    SELECT 'run/' || id, issue, 'run', json_object('run', id, 'fence', fence), started_at, id, fence \
    FROM runs INDEXED BY runs_one_live WHERE state IN ('starting', 'working') ORDER BY started_at";

const DESTROYING: &str = "\
    SELECT 'remove_files/' || i.id || '/' || i.version, i.id, 'remove_files', json_object('version', i.version), \
        coalesce((SELECT max(e.at) FROM events e WHERE e.issue = i.id AND e.kind = 'destroy_asked'), i.created_at), \
        '', 0 \
    FROM issues i WHERE i.state = 'destroying'";

const PAUSED: &str = "\
    SELECT 'end_pause/' || t.id || '/' || t.not_before, t.issue, 'end_pause', \
        json_object('task', t.id, 'until', t.not_before), \
        coalesce((SELECT max(r.ended_at) FROM runs r WHERE r.task = t.id), t.queued_at), '', 0 \
    FROM tasks t INDEXED BY tasks_paused WHERE t.not_before IS NOT NULL ORDER BY t.not_before";

const ADD: &str = "\
    INSERT INTO effects (key, issue, kind, data, state, attempt, due_at, created_at) \
    VALUES (?1, ?2, ?3, ?4, 'pending', 0, 0, ?5) \
    ON CONFLICT (key) DO UPDATE SET issue = excluded.issue, kind = excluded.kind, data = excluded.data, \
        state = 'pending', attempt = 0, due_at = 0, error = NULL, created_at = excluded.created_at";

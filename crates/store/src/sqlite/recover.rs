//! Adds effects that are missing. What is in progress without an effect would stay so for ever.

use std::collections::HashSet;

use kugetsu_domain::effect::Effect;
use kugetsu_domain::ids::IssueId;
use rusqlite::{Connection, Row, params};

use super::row::{self, effect_columns};
use crate::error::StoreError;

/// Adds the effect `run` of every run in progress and the effect `remove_files` of every issue that is being destroyed, where
/// it is missing or damaged. Returns the keys of those that were added.
pub(super) fn add_missing_effects(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut running = HashSet::new();
    let mut destroying = HashSet::new();
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
                    destroying.insert(effect.issue);
                }
                _ => {}
            },
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    let mut added = Vec::new();
    let mut add =
        |statement: &str, is_missing: &dyn Fn(&Row<'_>) -> rusqlite::Result<bool>| -> Result<(), StoreError> {
            let mut statement = connection.prepare(statement)?;
            let mut rows = statement.query([])?;
            while let Some(found) = rows.next()? {
                if is_missing(found)? {
                    let key: String = found.get(0)?;
                    let (issue, kind, data): (String, String, String) = (found.get(1)?, found.get(2)?, found.get(3)?);
                    connection.execute(ADD, params![key, issue, kind, data, found.get::<_, i64>(4)?])?;
                    added.push(key);
                }
            }
            Ok(())
        };
    add(RUNNING, &|found| {
        let fence = u64::try_from(found.get::<_, i64>(6)?).unwrap_or_default();
        Ok(!running.contains(&(found.get(5)?, fence)))
    })?;
    add(DESTROYING, &|found| {
        Ok(found.get::<_, String>(1)?.parse::<IssueId>().is_ok_and(|issue| !destroying.contains(&issue)))
    })?;
    Ok(added)
}

const PENDING: &str = concat!("SELECT ", effect_columns!(), " FROM effects WHERE state = 'pending'");

const RUNNING: &str = "\
    SELECT 'run/' || id, issue, 'run', json_object('run', id, 'fence', fence), started_at, id, fence \
    FROM runs INDEXED BY runs_one_live WHERE state IN ('starting', 'working') ORDER BY started_at";

const DESTROYING: &str = "\
    SELECT 'remove_files/' || i.id || '/' || i.version, i.id, 'remove_files', json_object('version', i.version), \
        coalesce((SELECT max(e.at) FROM events e WHERE e.issue = i.id AND e.kind = 'destroy_asked'), i.created_at) \
    FROM issues i WHERE i.state = 'destroying'";

const ADD: &str = "\
    INSERT INTO effects (key, issue, kind, data, state, attempt, due_at, created_at) \
    VALUES (?1, ?2, ?3, ?4, 'pending', 0, 0, ?5) \
    ON CONFLICT (key) DO UPDATE SET issue = excluded.issue, kind = excluded.kind, data = excluded.data, \
        state = 'pending', attempt = 0, due_at = 0, error = NULL, created_at = excluded.created_at";

//! The latest runs of agents.

use kugetsu_domain::run::RunState;
use kugetsu_domain::task::TaskKind;
use rusqlite::{Connection, Row, params};

use crate::error::StoreError;
use crate::sqlite::row::{Columns, unless_damaged};
use crate::view::{AgentRuns, EndedRun};

/// Jumps from agent to agent in the index, whatever the number of runs is.
const AGENTS: &str = "\
    WITH RECURSIVE a (agent) AS (SELECT min(agent) FROM runs UNION ALL \
        SELECT (SELECT min(agent) FROM runs WHERE agent > a.agent) FROM a WHERE a.agent IS NOT NULL) \
    SELECT agent FROM a WHERE agent IS NOT NULL";

const ENDED: &str = "\
    SELECT r.id, t.kind, r.state, r.session, r.answered = 1 OR coalesce(r.output_tokens, 0) > 0, r.ended_at, r.reason, r.hint \
    FROM runs r INDEXED BY runs_by_agent JOIN tasks t ON t.id = r.task \
    WHERE r.agent = ? AND r.ended_at IS NOT NULL ORDER BY r.ended_at DESC LIMIT ?";

const LIVE: &str = "\
    SELECT id, started_at, answered FROM runs INDEXED BY runs_one_live WHERE state IN ('starting', 'working') AND agent = ?";

pub(in crate::sqlite) fn agent_runs(connection: &Connection, limit: u32) -> Result<Vec<AgentRuns>, StoreError> {
    let mut statement = connection.prepare_cached(AGENTS)?;
    let agents: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    agents.into_iter().map(|agent| of_agent(connection, agent, limit)).collect()
}

fn of_agent(connection: &Connection, agent: String, limit: u32) -> Result<AgentRuns, StoreError> {
    let (mut ended, mut live) = (Vec::new(), Vec::new());
    let mut statement = connection.prepare_cached(ENDED)?;
    let mut rows = statement.query(params![agent, limit])?;
    while let Some(row) = rows.next()? {
        ended.extend(unless_damaged(ended_run(row))?);
    }
    let mut statement = connection.prepare_cached(LIVE)?;
    let mut rows = statement.query([&agent])?;
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of("run", row);
        let _: String = columns.owned()?;
        let mut started = || Ok((columns.time()?, columns.flag()?));
        live.extend(unless_damaged(started())?);
    }
    Ok(AgentRuns { agent, ended, live })
}

fn ended_run(row: &Row<'_>) -> Result<EndedRun, StoreError> {
    let mut columns = Columns::of("run", row);
    Ok(EndedRun {
        id: columns.parsed()?,
        kind: columns.named(TaskKind::from_name)?,
        state: columns.state::<RunState>()?,
        has_session: columns.optional_text()?.is_some(),
        answered: columns.flag()?,
        ended_at: columns.optional_time()?.unwrap_or_default(),
        reason: columns.reason()?,
    })
}

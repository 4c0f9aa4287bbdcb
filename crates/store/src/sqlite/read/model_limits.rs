//! Limits of providers that ended runs, as long as the model has answered no later run.

use jiff::Timestamp;
use kugetsu_domain::model_limit::{Account, ModelLimit};
use kugetsu_domain::reference::IssueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::sqlite::row::{Columns, repo_ref, unless_damaged};

/// The latest of each account, from the index alone.
const LATEST: &str = "\
    SELECT agent, provider, max(ended_at) FROM runs INDEXED BY runs_limited \
    WHERE limited_until IS NOT NULL GROUP BY agent, provider";

const LIMIT: &str = "\
    SELECT r.id, r.limited_until, r.reason, r.hint, \
        (SELECT a.at > r.ended_at FROM resumed_agents a WHERE a.agent = r.agent) \
    FROM runs r INDEXED BY runs_limited \
    WHERE r.limited_until IS NOT NULL AND r.agent = ? AND r.provider IS ? AND r.ended_at = ? LIMIT 1";

/// Whether the model has answered a run of the account that started later.
const ANSWERED: &str = "\
    SELECT 1 FROM runs INDEXED BY runs_answered \
    WHERE answered = 1 AND agent = ?1 AND started_at > ?3 AND (?2 IS NULL OR provider IS NULL OR provider = ?2) LIMIT 1";

const PROBE: &str = "\
    SELECT i.id, p.base, p.project, i.number FROM runs r INDEXED BY runs_one_live \
        JOIN tasks t ON t.id = r.task JOIN issues i ON i.id = r.issue JOIN repos p ON p.id = i.repo \
    WHERE r.state IN ('starting', 'working') AND r.answered = 0 AND t.kind <> 'push' AND r.agent = ?1 AND r.started_at > ?3 \
        AND (?2 IS NULL OR r.provider IS NULL OR r.provider = ?2) \
    ORDER BY r.started_at LIMIT 1";

pub(in crate::sqlite) fn model_limits(connection: &Connection) -> Result<Vec<ModelLimit>, StoreError> {
    // All from the same state of the database.
    let transaction = connection.unchecked_transaction()?;
    let mut statement = transaction.prepare_cached(LATEST)?;
    let mut rows = statement.query([])?;
    let mut limits = Vec::new();
    while let Some(found) = rows.next()? {
        let mut columns = Columns::of("run", found);
        let account = Account { agent: columns.owned()?, provider: columns.optional_owned()? };
        let since = columns.time()?;
        limits.extend(unless_damaged(limit(&transaction, account, since))?.flatten());
    }
    Ok(limits)
}

fn limit(connection: &Connection, account: Account, since: Timestamp) -> Result<Option<ModelLimit>, StoreError> {
    let key = params![account.agent, account.provider, since.as_millisecond()];
    if connection.prepare_cached(ANSWERED)?.query_row(key, |_| Ok(())).optional()?.is_some() {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(PROBE)?;
    let mut rows = statement.query(key)?;
    let probe = rows.next()?.map(probe).transpose()?;
    let mut statement = connection.prepare_cached(LIMIT)?;
    let mut rows = statement.query(key)?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::of("run", found);
    let _: String = columns.owned()?;
    let (until, reason) = (columns.time()?, columns.reason()?.unwrap_or_default());
    let is_resumed = !columns.is_null()? && columns.flag()?;
    Ok(Some(ModelLimit { account, since, until, reason, is_resumed, probe }))
}

fn probe(row: &Row<'_>) -> Result<IssueRef, StoreError> {
    let mut columns = Columns::of("issue", row);
    let _: String = columns.owned()?;
    Ok(IssueRef { repo: repo_ref(&mut columns)?, number: columns.number()? })
}

pub(in crate::sqlite) fn resumed_at(connection: &Connection, agent: &str) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT at FROM resumed_agents WHERE agent = ?")?;
    let mut rows = statement.query([agent])?;
    rows.next()?.map(|found| Columns::of("resumed agent", found).time()).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::read::queue::tests::plan;

    #[test]
    fn limits_are_found_without_reading_all_runs() {
        for query in [LATEST, LIMIT, ANSWERED, PROBE] {
            let plan = plan(query);
            let slow = |step: &&String| step.starts_with("SCAN r") && !step.contains("INDEX");
            assert_eq!(plan.iter().find(slow), None, "{plan:#?}");
        }
    }
}

//! Sums of the usage of runs, for budgets.

use jiff::Timestamp;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::run::Usage;
use rusqlite::{Connection, Params, Row, params};

use crate::error::StoreError;
use crate::sqlite::row::{Columns, repo_ref, unless_damaged};
use crate::view::{LiveUsage, RecentUsage, UsageSum};

/// Of runs `r`. The model got no prompt in those without a session.
macro_rules! sums {
    () => {
        "total(r.cost_usd), total(coalesce(r.input_tokens, 0) + coalesce(r.output_tokens, 0)), \
         count(*) FILTER (WHERE r.ended_at IS NOT NULL AND r.session IS NOT NULL AND r.cost_usd IS NULL), \
         count(*) FILTER (WHERE r.ended_at IS NOT NULL AND r.session IS NOT NULL AND r.input_tokens IS NULL \
         AND r.output_tokens IS NULL)"
    };
}

const SINCE: &str = concat!("SELECT ", sums!(), " FROM runs r INDEXED BY runs_by_end WHERE r.ended_at >= ?");

/// Of repositories with queued tasks. The queue is short beside the history.
const REPOS: &str = concat!(
    "SELECT p.base, p.project, ",
    sums!(),
    " FROM repos p JOIN issues i ON i.repo = p.id JOIN runs r INDEXED BY runs_by_issue ON r.issue = i.id ",
    "WHERE p.id IN (SELECT q.repo FROM tasks t INDEXED BY tasks_live JOIN issues q ON q.id = t.issue ",
    "WHERE t.state IN ('queued', 'running')) GROUP BY p.id"
);

const ISSUES: &str = concat!(
    "SELECT t.issue, ",
    sums!(),
    " FROM (SELECT DISTINCT issue FROM tasks INDEXED BY tasks_live WHERE state IN ('queued', 'running')) t ",
    "JOIN runs r INDEXED BY runs_by_issue ON r.issue = t.issue GROUP BY t.issue"
);

const LIVE: &str = "\
    SELECT r.issue, p.base, p.project, r.agent, r.cost_usd, r.input_tokens, r.output_tokens \
    FROM runs r INDEXED BY runs_one_live JOIN tasks t ON t.id = r.task JOIN issues i ON i.id = r.issue JOIN repos p ON p.id = i.repo \
    WHERE r.state IN ('starting', 'working') AND t.kind <> 'push'";

/// The pairs of repository and agent of live tasks.
const PAIRS: &str = "\
    SELECT DISTINCT p.base, p.project, t.agent, p.id FROM tasks t INDEXED BY tasks_live JOIN issues i ON i.id = t.issue \
        JOIN repos p ON p.id = i.repo \
    WHERE t.state IN ('queued', 'running') AND t.kind <> 'push'";

/// The latest runs of a repository and an agent that were done.
const RECENT: &str = "\
    SELECT cost_usd, input_tokens, output_tokens FROM (\
        SELECT r.issue, r.verdict, r.cost_usd, r.input_tokens, r.output_tokens FROM runs r INDEXED BY runs_by_agent \
        WHERE r.agent = ?1 AND r.ended_at IS NOT NULL ORDER BY r.ended_at DESC LIMIT 1000) r \
    JOIN issues i ON i.id = r.issue WHERE i.repo = ?2 AND r.verdict = 'done' LIMIT ?3";

fn sum(columns: &mut Columns<'_>) -> Result<UsageSum, StoreError> {
    Ok(UsageSum {
        cost_usd: columns.real()?,
        tokens: columns.real()?,
        unknown_costs: columns.number()?,
        unknown_tokens: columns.number()?,
    })
}

/// Reads all rows but those that are damaged.
fn all<T>(
    connection: &Connection,
    query: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(unless_damaged(read(row))?);
    }
    Ok(found)
}

/// Of the runs that ended since then.
pub(in crate::sqlite) fn usage_since(connection: &Connection, since: Timestamp) -> Result<UsageSum, StoreError> {
    let sums = all(connection, SINCE, [since.as_millisecond()], |row| sum(&mut Columns::of("run", row)))?;
    Ok(sums.into_iter().next().unwrap_or_default())
}

/// Of the repositories with live tasks, those in progress included.
pub(in crate::sqlite) fn usage_of_repos(connection: &Connection) -> Result<Vec<(RepoRef, UsageSum)>, StoreError> {
    all(connection, REPOS, [], |row| {
        let mut columns = Columns::of("repository", row);
        Ok((repo_ref(&mut columns)?, sum(&mut columns)?))
    })
}

/// Of the issues with live tasks, those in progress included.
pub(in crate::sqlite) fn usage_of_issues(connection: &Connection) -> Result<Vec<(IssueId, UsageSum)>, StoreError> {
    all(connection, ISSUES, [], |row| {
        let mut columns = Columns::of("issue", row);
        Ok((columns.parsed()?, sum(&mut columns)?))
    })
}

pub(in crate::sqlite) fn live_usage(connection: &Connection) -> Result<Vec<LiveUsage>, StoreError> {
    all(connection, LIVE, [], |row| {
        let mut columns = Columns::of("run", row);
        Ok(LiveUsage {
            issue: columns.parsed()?,
            repo: repo_ref(&mut columns)?,
            agent: columns.owned()?,
            used: columns.usage()?,
        })
    })
}

/// The latest runs that were done of each pair of repository and agent that has live tasks, at most `limit` of each.
pub(in crate::sqlite) fn recent_usage(connection: &Connection, limit: u32) -> Result<Vec<RecentUsage>, StoreError> {
    let pairs = all(connection, PAIRS, [], |row| {
        let mut columns = Columns::of("task", row);
        Ok((repo_ref(&mut columns)?, columns.owned()?, columns.number::<i64>()?))
    })?;
    let mut recent = Vec::new();
    for (repo, agent, key) in pairs {
        let used: Vec<Usage> =
            all(connection, RECENT, params![agent, key, limit], |row| Columns::of("run", row).usage())?;
        recent.push(RecentUsage { repo, agent, used });
    }
    Ok(recent)
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::sqlite::schema;

    const MANY: &str = "
        INSERT INTO repos (id, base, project, source, created_at) VALUES (1, 'https://h', 'a/b', '', 0);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
        INSERT INTO issues (id, repo, number, state, title, fence, version, created_at)
        SELECT printf('00000000-0000-7000-8000-%012d', i), 1, i, 'open', '', 0, 1, 0 FROM n;
        INSERT INTO tasks (id, issue, kind, state, message, agent, priority, attempt, cancel_asked, queued_at)
        SELECT id, id, 'start', CASE WHEN number % 10 THEN 'done' ELSE 'queued' END, '', 'a', 0, 0, 0, 0 FROM issues;
        INSERT INTO runs (id, task, issue, state, fence, agent, session, started_at, ended_at, verdict, cost_usd, input_tokens, output_tokens,
            acknowledged)
        SELECT id, id, id, 'done', 1, 'a', 's', 0, number, 'done', CASE WHEN number % 2 THEN 1.5 END, 7, 3, 0 FROM issues;";

    #[test]
    fn usage_of_10_000_runs_is_added_up() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate("memory".as_ref(), &mut connection).unwrap();
        connection.execute_batch(MANY).unwrap();
        let day = usage_since(&connection, Timestamp::from_millisecond(1001).unwrap()).unwrap();
        let repos = usage_of_repos(&connection).unwrap();
        let issues = usage_of_issues(&connection).unwrap();
        let recent = recent_usage(&connection, 20).unwrap();
        let expected = UsageSum { cost_usd: 6750.0, tokens: 90_000.0, unknown_costs: 4500, unknown_tokens: 0 };
        assert_eq!(day, expected);
        assert_eq!((repos.len(), repos[0].1.cost_usd, repos[0].1.unknown_costs), (1, 7500.0, 5000));
        assert_eq!((issues.len(), issues[0].1.tokens), (1000, 10.0));
        assert_eq!((recent.len(), recent[0].used.len()), (1, 20));
    }
}

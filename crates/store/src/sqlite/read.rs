//! What is asked of the database.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reference::{ForgeKind, RepoRef};
use kugetsu_domain::schedule::Candidate;
use kugetsu_domain::task::{Task, TaskKind};
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::result_code;
use super::row::{self, issue_columns, run_columns, task_columns};
use crate::error::StoreError;
use crate::transaction::StoredTask;
use crate::view::{Repo, RunView, StoredEvent};

/// At most this many tasks of a kind that needs no place are looked at in one pass; the next pass sees the rest.
const UNLIMITED_PER_PASS: i64 = 1000;

type LoadedIssue = (IssueId, Result<Issue, StoreError>, Vec<(TaskId, StoredTask)>);

/// Loads issues, each with its live tasks and run, and the positions of those tasks.
pub(crate) async fn load(connection: &mut SqliteConnection, ids: &[IssueId]) -> Result<Vec<LoadedIssue>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = Value::from(ids.iter().map(ToString::to_string).collect::<Vec<_>>()).to_string();
    let issues = sqlx::query(concat!(
        "SELECT ",
        issue_columns!(),
        " FROM issues i JOIN repos p ON p.id = i.repo ",
        "WHERE i.id IN (SELECT value FROM json_each(?))"
    ));
    let issues = issues.bind(&ids).fetch_all(&mut *connection).await.map_err(explain)?;
    let tasks = sqlx::query(concat!(
        "SELECT ",
        task_columns!(),
        " FROM tasks t INDEXED BY tasks_live WHERE t.issue IN (SELECT value FROM json_each(?)) ",
        "AND t.state IN ('queued', 'running') ORDER BY t.seq"
    ));
    let tasks = by_issue(tasks.bind(&ids).fetch_all(&mut *connection).await.map_err(explain)?, "t_issue");
    let runs = sqlx::query(concat!(
        "SELECT ",
        run_columns!(),
        " FROM runs r WHERE r.issue IN (SELECT value FROM json_each(?)) ",
        "AND r.state IN ('starting', 'working')"
    ));
    let runs = by_issue(runs.bind(&ids).fetch_all(&mut *connection).await.map_err(explain)?, "r_issue");
    let mut loaded = Vec::with_capacity(issues.len());
    for found in &issues {
        let id: String = row::get(found, "i_id")?;
        let Ok(key) = id.parse() else {
            tracing::error!(%id, "skipping an issue with a damaged identifier");
            continue;
        };
        let tasks = tasks.get(&id).map(Vec::as_slice).unwrap_or_default();
        let position = |found| {
            Some((row::parsed(found, "t_id").ok()?, StoredTask { issue: key, seq: row::get(found, "t_seq").ok()? }))
        };
        let positions = tasks.iter().filter_map(position).collect();
        loaded.push((key, assemble(found, tasks, runs.get(&id)), positions));
    }
    Ok(loaded)
}

fn assemble(found: &SqliteRow, tasks: &[SqliteRow], runs: Option<&Vec<SqliteRow>>) -> Result<Issue, StoreError> {
    let mut issue = row::issue(found)?;
    issue.tasks = tasks.iter().map(row::task).collect::<Result<_, _>>()?;
    issue.run = runs.and_then(|runs| runs.first()).map(row::run).transpose()?;
    Ok(issue)
}

fn by_issue(rows: Vec<SqliteRow>, column: &'static str) -> HashMap<String, Vec<SqliteRow>> {
    let mut sorted: HashMap<String, Vec<SqliteRow>> = HashMap::new();
    for found in rows {
        if let Ok(issue) = found.try_get::<String, _>(column) {
            sorted.entry(issue).or_default().push(found);
        }
    }
    sorted
}

/// The issues of a repository with these numbers, each with its number.
pub(crate) async fn issue_ids(
    connection: &mut SqliteConnection,
    repo: i64,
    numbers: &[u64],
) -> Result<Vec<(u64, IssueId)>, StoreError> {
    let rows = sqlx::query(
        "SELECT id AS i_id, number AS i_number FROM issues \
         WHERE repo = ? AND number IN (SELECT value FROM json_each(?))",
    )
    .bind(repo)
    .bind(Value::from(numbers).to_string())
    .fetch_all(connection)
    .await
    .map_err(explain)?;
    rows.iter().map(|found| Ok((row::number(found, "i_number")?, row::parsed(found, "i_id")?))).collect()
}

/// How much of these runs' reports is stored.
pub(crate) async fn acknowledged(
    connection: &mut SqliteConnection,
    runs: &[String],
) -> Result<HashMap<RunId, u64>, StoreError> {
    let rows = sqlx::query("SELECT id AS r_id, acknowledged FROM runs WHERE id IN (SELECT value FROM json_each(?))")
        .bind(Value::from(runs).to_string())
        .fetch_all(connection)
        .await
        .map_err(explain)?;
    rows.iter()
        .map(|found| {
            let bytes: i64 = row::get(found, "acknowledged")?;
            Ok((row::parsed(found, "r_id")?, u64::try_from(bytes).unwrap_or_default()))
        })
        .collect()
}

/// Finds out which of these tasks are stored.
pub(crate) async fn stored_tasks(
    connection: &mut SqliteConnection,
    tasks: &HashSet<TaskId>,
) -> Result<HashMap<TaskId, StoredTask>, StoreError> {
    let ids = Value::from(tasks.iter().map(ToString::to_string).collect::<Vec<_>>()).to_string();
    let rows = sqlx::query(
        "SELECT id AS t_id, issue AS t_issue, seq AS t_seq FROM tasks WHERE id IN (SELECT value FROM json_each(?))",
    );
    let rows = rows.bind(ids).fetch_all(connection).await.map_err(explain)?;
    let stored = |found: &SqliteRow| {
        let task = StoredTask { issue: row::parsed(found, "t_issue")?, seq: row::get(found, "t_seq")? };
        Ok((row::parsed(found, "t_id")?, task))
    };
    rows.iter().map(stored).collect()
}

/// The issue that a run belongs to.
pub(crate) async fn issue_of_run(pool: &SqlitePool, run: RunId) -> Result<Option<IssueId>, StoreError> {
    let found = sqlx::query("SELECT issue AS r_issue FROM runs WHERE id = ?")
        .bind(run.to_string())
        .fetch_optional(pool)
        .await
        .map_err(explain)?;
    found.map(|found| row::parsed(&found, "r_issue")).transpose()
}

/// The issue with this identifier.
pub(crate) async fn issue_by_id(pool: &SqlitePool, id: IssueId) -> Result<Issue, StoreError> {
    one(&mut *pool.acquire().await.map_err(explain)?, id).await
}

async fn one(connection: &mut SqliteConnection, id: IssueId) -> Result<Issue, StoreError> {
    let (_, issue, _) = load(connection, &[id]).await?.pop().ok_or(StoreError::NoSuchIssue)?;
    issue
}

/// The issues on which a run is going on.
pub(crate) async fn running(pool: &SqlitePool) -> Result<Vec<Issue>, StoreError> {
    let rows = sqlx::query("SELECT issue AS r_issue FROM runs WHERE state IN ('starting', 'working') ORDER BY id")
        .fetch_all(pool)
        .await
        .map_err(explain)?;
    let ids = identifiers(&rows, "r_issue");
    let loaded = load(&mut *pool.acquire().await.map_err(explain)?, &ids).await?;
    Ok(loaded.into_iter().filter_map(|(id, issue, _)| readable(id, issue)).collect())
}

/// The issues whose removal was begun and not ended.
pub(crate) async fn destroying(pool: &SqlitePool) -> Result<Vec<IssueId>, StoreError> {
    let rows = sqlx::query("SELECT id AS i_id FROM issues WHERE state = 'destroying'")
        .fetch_all(pool)
        .await
        .map_err(explain)?;
    Ok(identifiers(&rows, "i_id"))
}

fn identifiers(rows: &[SqliteRow], column: &'static str) -> Vec<IssueId> {
    rows.iter()
        .filter_map(|found| {
            row::parsed(found, column)
                .inspect_err(|error| tracing::error!(%error, "a row without a usable identifier is left alone"))
                .ok()
        })
        .collect()
}

/// The value, or nothing with a visible error when its rows are damaged.
fn readable<T>(id: IssueId, value: Result<T, StoreError>) -> Option<T> {
    value.inspect_err(|error| tracing::error!(issue = %id, %error, "an issue's stored state is damaged; left out")).ok()
}

/// A task whatever its state.
pub(crate) async fn task(pool: &SqlitePool, id: TaskId) -> Result<Option<(IssueId, Task)>, StoreError> {
    let found = sqlx::query(concat!("SELECT ", task_columns!(), " FROM tasks t WHERE t.id = ?"))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await
        .map_err(explain)?;
    found.map(|found| Ok((row::parsed(&found, "t_issue")?, row::task(&found)?))).transpose()
}

const QUEUE_POSITION: &str = "\
    SELECT (SELECT count(*) FROM tasks q INDEXED BY tasks_queue WHERE q.state = 'queued' AND q.kind = t.kind \
        AND (q.priority > t.priority OR (q.priority = t.priority AND q.seq < t.seq))) AS before \
    FROM tasks t WHERE t.id = ? AND t.state = 'queued'";

/// How many tasks stand before this queued one.
pub(crate) async fn queue_position(pool: &SqlitePool, id: TaskId) -> Result<Option<u64>, StoreError> {
    let found = sqlx::query(QUEUE_POSITION).bind(id.to_string()).fetch_optional(pool).await.map_err(explain)?;
    found.map(|found| Ok(u64::try_from(row::get::<i64>(&found, "before")?).unwrap_or_default())).transpose()
}

/// Queued tasks of one kind that could begin now: kind, how many at most, how many to leave out.
// INDEXED BY: after ANALYZE on a full queue SQLite's planner leaves this index and sorts the whole table.
const CANDIDATES: &str = "\
    SELECT t.id AS t_id, t.issue AS t_issue FROM tasks t INDEXED BY tasks_queue \
    WHERE t.state = 'queued' AND t.kind = ? \
        AND NOT EXISTS (SELECT 1 FROM tasks o INDEXED BY tasks_live WHERE o.issue = t.issue \
            AND o.state IN ('queued', 'running') AND (o.state = 'running' OR o.seq < t.seq)) \
        AND (SELECT i.state FROM issues i WHERE i.id = t.issue) = 'open' \
        AND (t.after IS NULL \
            OR (SELECT d.state FROM tasks d WHERE d.issue = t.after ORDER BY d.seq DESC LIMIT 1) = 'done') \
    ORDER BY t.priority DESC, t.seq LIMIT ? OFFSET ?";

/// Queued tasks that could begin now.
pub(crate) async fn candidates(pool: &SqlitePool, slots: usize) -> Result<Vec<Candidate>, StoreError> {
    let mut all = Vec::new();
    let slots = i64::try_from(slots).unwrap_or(i64::MAX);
    for kind in TaskKind::ALL {
        let limit = if kind.needs_slot() { slots } else { UNLIMITED_PER_PASS };
        let (mut missing, mut seen) = (limit, 0);
        while missing > 0 {
            let rows = sqlx::query(CANDIDATES).bind(kind.name()).bind(missing).bind(seen);
            let rows = rows.fetch_all(pool).await.map_err(explain)?;
            if rows.is_empty() {
                break;
            }
            seen += rows.len() as i64;
            for found in &rows {
                match (row::parsed(found, "t_id"), row::parsed(found, "t_issue")) {
                    (Ok(task), Ok(issue)) => {
                        missing -= 1;
                        all.push(Candidate { task, issue, kind });
                    }
                    // It must not stand in the way of those behind it either: the next page makes up for it.
                    (Err(error), _) | (_, Err(error)) => {
                        tracing::error!(%error, "a queued task's row is damaged; it is set aside, the rest goes on");
                    }
                }
            }
        }
    }
    Ok(all)
}

const SLOTS_IN_USE: &str = "\
    SELECT count(*) AS taken FROM runs r JOIN tasks t ON t.id = r.task \
    WHERE r.state IN ('starting', 'working') AND t.kind = 'start'";

/// How many runs that need a place are going on.
pub(crate) async fn slots_in_use(pool: &SqlitePool) -> Result<usize, StoreError> {
    let found = sqlx::query(SLOTS_IN_USE).fetch_one(pool).await.map_err(explain)?;
    Ok(usize::try_from(row::get::<i64>(&found, "taken")?).unwrap_or_default())
}

macro_rules! run_view {
    ($rest:literal) => {
        run_view!("t.message", $rest)
    };
    ($message:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            issue_columns!(),
            ", ",
            task_columns!($message),
            ", ",
            run_columns!(),
            " FROM tasks t JOIN issues i ON i.id = t.issue JOIN repos p ON p.id = i.repo ",
            "LEFT JOIN runs r ON r.id = (SELECT x.id FROM runs x WHERE x.task = t.id ORDER BY x.fence DESC LIMIT 1) ",
            $rest
        )
    };
}

pub(crate) use run_view;

/// Every issue's latest task, without its message, with its latest run; the coordinator is none.
pub(crate) async fn latest_runs(pool: &SqlitePool) -> Result<Vec<RunView>, StoreError> {
    let rows = sqlx::query(run_view!(
        "''",
        "WHERE p.base <> 'coordinator' AND t.seq = coalesce((SELECT a.seq FROM tasks a WHERE a.issue = i.id AND a.state = 'running'), \
         (SELECT max(a.seq) FROM tasks a WHERE a.issue = i.id)) ORDER BY t.seq"
    ));
    Ok(views(&rows.fetch_all(pool).await.map_err(explain)?))
}

/// One issue's latest task with its latest run.
pub(crate) async fn latest_run(pool: &SqlitePool, issue: IssueId) -> Result<Option<RunView>, StoreError> {
    let found = sqlx::query(run_view!("WHERE t.issue = ? ORDER BY t.state = 'running' DESC, t.seq DESC LIMIT 1"));
    let found = found.bind(issue.to_string()).fetch_optional(pool).await.map_err(explain)?;
    found.as_ref().map(view).transpose()
}

/// One task with its latest run.
pub(crate) async fn run_of_task(pool: &SqlitePool, task: TaskId) -> Result<Option<RunView>, StoreError> {
    let found = sqlx::query(run_view!("WHERE t.id = ?"));
    let found = found.bind(task.to_string()).fetch_optional(pool).await.map_err(explain)?;
    found.as_ref().map(view).transpose()
}

/// Tasks in the queue and, if wanted, those that ended.
pub(crate) async fn queue(pool: &SqlitePool, ended_too: bool) -> Result<Vec<RunView>, StoreError> {
    let rows = sqlx::query(run_view!("WHERE ? OR t.state IN ('queued', 'running') ORDER BY t.seq"));
    Ok(views(&rows.bind(ended_too).fetch_all(pool).await.map_err(explain)?))
}

pub(crate) fn views(rows: &[SqliteRow]) -> Vec<RunView> {
    rows.iter()
        .filter_map(|found| {
            view(found).inspect_err(|error| tracing::error!(%error, "a damaged row is left out of the list")).ok()
        })
        .collect()
}

fn view(found: &SqliteRow) -> Result<RunView, StoreError> {
    let issue = row::issue(found)?;
    let run = match row::optional(found, "r_id")? {
        Some(_) => Some(row::run(found)?),
        None => None,
    };
    Ok(RunView::new(issue, row::task(found)?, run))
}

/// The runs of an issue, oldest first.
pub(crate) async fn runs_of(
    pool: &SqlitePool,
    issue: IssueId,
    since: Option<Timestamp>,
) -> Result<Vec<RunId>, StoreError> {
    let rows = sqlx::query(
        "SELECT r.id AS r_id FROM tasks t JOIN runs r ON r.task = t.id \
         WHERE t.issue = ? AND (r.ended_at IS NULL OR r.ended_at >= ?) ORDER BY r.fence",
    )
    .bind(issue.to_string())
    .bind(since.map_or(0, Timestamp::as_millisecond))
    .fetch_all(pool)
    .await
    .map_err(explain)?;
    rows.iter().map(|found| row::parsed(found, "r_id")).collect()
}

/// How many tasks wait.
pub(crate) async fn queued(pool: &SqlitePool) -> Result<u64, StoreError> {
    let found = sqlx::query("SELECT count(*) AS waiting FROM tasks INDEXED BY tasks_queue WHERE state = 'queued'");
    let found = found.fetch_one(pool).await.map_err(explain)?;
    Ok(u64::try_from(row::get::<i64>(&found, "waiting")?).unwrap_or_default())
}

/// The head that the issue's latest successful push left.
pub(crate) async fn last_pushed(pool: &SqlitePool, issue: IssueId) -> Result<Option<String>, StoreError> {
    let found = sqlx::query(
        "SELECT r.head_sha FROM tasks t JOIN runs r ON r.task = t.id WHERE t.issue = ? AND r.pushed = 1 \
         ORDER BY r.fence DESC LIMIT 1",
    )
    .bind(issue.to_string())
    .fetch_optional(pool)
    .await
    .map_err(explain)?;
    match found {
        Some(found) => row::optional(&found, "head_sha"),
        None => Ok(None),
    }
}

/// What an issue's earlier tasks asked, oldest first.
pub(crate) async fn earlier_messages(
    pool: &SqlitePool,
    issue: IssueId,
    task: TaskId,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query(
        "SELECT message FROM tasks WHERE issue = ? AND seq < (SELECT seq FROM tasks WHERE id = ?) \
         ORDER BY seq DESC LIMIT ?",
    )
    .bind(issue.to_string())
    .bind(task.to_string())
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(explain)?;
    rows.iter().rev().map(|found| row::get(found, "message")).collect()
}

/// The number of the last event before a time, 0 if there is none.
pub(crate) async fn last_event_before(
    pool: &SqlitePool,
    issue: Option<IssueId>,
    time: Timestamp,
) -> Result<i64, StoreError> {
    // From the newest on: that is where the answer is, also after a long history.
    let query = match issue {
        Some(issue) => sqlx::query("SELECT seq FROM events WHERE issue = ? AND at < ? ORDER BY seq DESC LIMIT 1")
            .bind(issue.to_string()),
        None => sqlx::query("SELECT seq FROM events WHERE at < ? ORDER BY seq DESC LIMIT 1"),
    };
    let found = query.bind(time.as_millisecond()).fetch_optional(pool).await.map_err(explain)?;
    found.map_or(Ok(0), |found| row::get(&found, "seq"))
}

/// The events with a number above `after`.
pub(crate) async fn events_after(
    pool: &SqlitePool,
    issue: Option<IssueId>,
    after: i64,
    limit: u32,
) -> Result<Vec<StoredEvent>, StoreError> {
    let query = match issue {
        Some(issue) => {
            sqlx::query("SELECT * FROM events WHERE issue = ? AND seq > ? ORDER BY seq LIMIT ?").bind(issue.to_string())
        }
        None => sqlx::query("SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?"),
    };
    let rows = query.bind(after).bind(limit).fetch_all(pool).await.map_err(explain)?;
    rows.iter().map(event).collect()
}

fn event(found: &SqliteRow) -> Result<StoredEvent, StoreError> {
    let data: String = row::get(found, "data")?;
    Ok(StoredEvent {
        seq: row::get(found, "seq")?,
        at: row::time(found, "at")?,
        issue: row::parsed(found, "issue")?,
        task: row::parsed_optional(found, "task")?,
        run: row::parsed_optional(found, "run")?,
        kind: row::get(found, "kind")?,
        data: serde_json::from_str(&data)
            .map_err(|error| StoreError::Damaged { what: format!("events.data: {error}") })?,
    })
}

/// The number of the newest event.
pub(crate) async fn last_event(pool: &SqlitePool) -> Result<i64, StoreError> {
    let found =
        sqlx::query("SELECT coalesce(max(seq), 0) AS last FROM events").fetch_one(pool).await.map_err(explain)?;
    row::get(&found, "last")
}

/// The repository with this name.
pub(crate) async fn repo(pool: &SqlitePool, repo: &RepoRef) -> Result<Option<Repo>, StoreError> {
    let found = sqlx::query(
        "SELECT base AS p_base, project AS p_project, kind, source FROM repos WHERE base = ? AND project = ?",
    )
    .bind(repo.base.as_str())
    .bind(repo.project.as_str())
    .fetch_optional(pool)
    .await
    .map_err(explain)?;
    found.as_ref().map(repo_of).transpose()
}

/// All repositories.
pub(crate) async fn repos(pool: &SqlitePool) -> Result<Vec<Repo>, StoreError> {
    let rows = sqlx::query("SELECT base AS p_base, project AS p_project, kind, source FROM repos ORDER BY id")
        .fetch_all(pool)
        .await
        .map_err(explain)?;
    rows.iter().map(repo_of).collect()
}

fn repo_of(found: &SqliteRow) -> Result<Repo, StoreError> {
    let kind = row::optional(found, "kind")?;
    Ok(Repo {
        name: row::repo_ref(found)?,
        kind: kind.as_deref().and_then(ForgeKind::from_name),
        source: row::get(found, "source")?,
    })
}

/// What is wrong with the file, in the engine's words.
pub(crate) async fn check(pool: &SqlitePool) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query("PRAGMA quick_check").fetch_all(pool).await.map_err(explain)?;
    let words = rows.iter().map(|found| row::get(found, "quick_check")).collect::<Result<Vec<String>, _>>()?;
    Ok(words.into_iter().filter(|word| word != "ok").collect())
}

pub(crate) fn explain(error: sqlx::Error) -> StoreError {
    result_code::explain(&error)
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{AssertSqlSafe, Connection};

    use super::*;
    use crate::sqlite::schema;

    /// As after a day on which much was asked: SQLite then knows how full each index is, and plans by that.
    const FULL_AND_ANALYZED: &str = "
        INSERT INTO repos (id, base, project, source, created_at) VALUES (1, 'https://h', 'a/b', 'https://h/a/b', 0);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO issues (id, repo, number, state, title, fence, version, created_at)
        SELECT 'issue-' || i, 1, i, 'open', '', 0, 1, 0 FROM n;
        INSERT INTO tasks (id, issue, kind, state, message, agent, priority, attempt, cancel_asked, queued_at)
        SELECT 'task-' || number, id, 'start', CASE WHEN number % 10 THEN 'queued' ELSE 'done' END, '', '', number % 3,
            0, 0, 0 FROM issues;
        INSERT INTO runs (id, task, issue, state, fence, agent, started_at, acknowledged)
        SELECT 'run-' || i.number, t.id, i.id, 'done', 1, '', 0, 0 FROM issues i JOIN tasks t ON t.issue = i.id;
        ANALYZE;";

    /// What SQLite says it will do, one step a line.
    async fn plan(query: &'static str) -> Vec<String> {
        let mut connection =
            SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(":memory:")).await.unwrap();
        schema::migrate("memory".as_ref(), &mut connection).await.unwrap();
        sqlx::raw_sql(FULL_AND_ANALYZED).execute(&mut connection).await.unwrap();
        // Statistics are read when a schema is; asking for it anew stands for the next start.
        sqlx::raw_sql("ANALYZE sqlite_schema").execute(&mut connection).await.unwrap();
        let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"))).fetch_all(&mut connection).await;
        rows.unwrap().iter().map(|found| found.try_get("detail").unwrap()).collect()
    }

    #[tokio::test]
    async fn the_queue_is_read_by_its_index_also_when_it_is_full_and_analyzed() {
        for query in [CANDIDATES, QUEUE_POSITION] {
            let plan = plan(query).await;
            assert!(plan.iter().any(|step| step.contains("INDEX tasks_queue")), "{plan:#?}");
            let slow = |step: &&String| step.contains("SCAN") || step.contains("TEMP B-TREE");
            assert_eq!(plan.iter().find(slow), None, "{plan:#?}");
        }
    }

    #[tokio::test]
    async fn the_places_taken_are_counted_without_reading_all_runs() {
        let plan = plan(SLOTS_IN_USE).await;
        assert!(plan.iter().any(|step| step.contains("INDEX runs_one_live")), "{plan:#?}");
    }
}

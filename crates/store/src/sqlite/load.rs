//! Loads the rows that a transaction needs.

use std::collections::HashMap;

use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::{ForgeKind, IssueRef, RepoRef};
use kugetsu_domain::task::TaskState;
use rusqlite::{Connection, OptionalExtension, params};

use super::row::{self, Columns, issue_columns, run_columns, task_columns};
use crate::error::StoreError;
use crate::transaction::{LatestTask, Loaded, Numbers, Plan, StoredRepo, StoredTask};

/// What the only writer knows of its own commits and need not read again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) numbers: Numbers,
    /// With their keys.
    pub(super) repos: HashMap<RepoRef, (i64, StoredRepo)>,
}

impl Memory {
    pub(super) fn new(connection: &Connection) -> Result<Self, StoreError> {
        let numbers = "\
            SELECT (SELECT coalesce(max(seq), 0) FROM events), (SELECT coalesce(max(seq), 0) FROM tasks), \
                (SELECT coalesce(max(id), 0) FROM effects)";
        let numbers = connection
            .query_row(numbers, [], |row| Ok(Numbers { event: row.get(0)?, task: row.get(1)?, effect: row.get(2)? }))?;
        Ok(Self { numbers, repos: HashMap::new() })
    }

    /// The key of a repository that was loaded or saved.
    pub(super) fn repo(&self, name: &RepoRef) -> Option<i64> {
        self.repos.get(name).map(|(key, _)| *key)
    }
}

pub(super) fn load(connection: &Connection, memory: &mut Memory, plan: Plan) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded { numbers: memory.numbers, ..Loaded::default() };
    for name in plan.repos {
        if !memory.repos.contains_key(&name)
            && let Some(stored) = repo(connection, &name)?
        {
            memory.repos.insert(name.clone(), stored);
        }
        if let Some((_, stored)) = memory.repos.get(&name) {
            loaded.repos.insert(name, stored.clone());
        }
    }
    let mut issues = plan.issues;
    for reference in plan.references {
        if let Some(key) = memory.repo(&reference.repo)
            && let Some(id) = issue_id(connection, key, &reference)?
        {
            issues.insert(id);
            loaded.references.insert(reference, id);
        }
    }
    for task in plan.tasks {
        if let Some(stored) = stored_task(connection, task)? {
            issues.insert(stored.issue);
            loaded.tasks.insert(task, stored);
        }
    }
    for run in plan.runs {
        if let Some(bytes) = acknowledged(connection, run)? {
            loaded.acknowledged.insert(run, bytes);
        }
    }
    for id in issues {
        match issue(connection, id) {
            Ok(None) => {}
            Ok(Some((issue, tasks))) => {
                loaded.latest.extend(latest_task(connection, id)?.map(|latest| (id, latest)));
                loaded.tasks.extend(tasks.into_iter().map(|(task, seq)| (task, StoredTask { issue: id, seq })));
                loaded.issues.insert(id, Ok(issue));
            }
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "skipping a damaged issue");
                loaded.issues.insert(id, Err(error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(loaded)
}

/// An issue with its live tasks and run, and the positions of those tasks in the order of queueing.
type LoadedIssue = (Issue, Vec<(TaskId, i64)>);

pub(super) fn issue(connection: &Connection, id: IssueId) -> Result<Option<LoadedIssue>, StoreError> {
    let id = id.to_string();
    let mut statement = connection.prepare_cached(ISSUE)?;
    let mut rows = statement.query([&id])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let mut issue = row::issue(&mut Columns::of("issue", found))?;
    if let Some(follow) = &mut issue.follow {
        let mut statement = connection.prepare_cached(FEEDBACK)?;
        let mut rows = statement.query([&id])?;
        while let Some(found) = rows.next()? {
            follow.records.push(row::feedback(&mut Columns::of("feedback", found))?);
        }
        follow.records.sort_by_key(|record| record.kind);
    }
    let mut positions = Vec::new();
    let mut statement = connection.prepare_cached(LIVE_TASKS)?;
    let mut rows = statement.query([&id])?;
    while let Some(found) = rows.next()? {
        let mut columns = Columns::of("task", found);
        let seq = columns.number()?;
        let task = row::task(&mut columns)?;
        positions.push((task.id, seq));
        issue.tasks.push(task);
    }
    let mut statement = connection.prepare_cached(LIVE_RUN)?;
    let mut rows = statement.query([&id])?;
    if let Some(found) = rows.next()? {
        issue.run = Some(row::run(&mut Columns::of("run", found))?);
    }
    Ok(Some((issue, positions)))
}

const ISSUE: &str = concat!("SELECT ", issue_columns!(), " FROM issues i JOIN repos p ON p.id = i.repo WHERE i.id = ?");

const FEEDBACK: &str =
    "SELECT issue, kind, fingerprint, given, state, task, reason, answered FROM feedback WHERE issue = ?";

// An issue may have had many tasks and runs: only the live ones are read.
const LIVE_TASKS: &str = concat!(
    "SELECT t.seq, ",
    task_columns!(),
    " FROM tasks t INDEXED BY tasks_live WHERE t.issue = ? AND t.state IN ('queued', 'running') ORDER BY t.seq"
);

const LIVE_RUN: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM runs r INDEXED BY runs_one_live WHERE r.issue = ? AND r.state IN ('starting', 'working')"
);

fn repo(connection: &Connection, name: &RepoRef) -> Result<Option<(i64, StoredRepo)>, StoreError> {
    let mut statement = connection.prepare_cached(REPO)?;
    let mut rows = statement.query([name.base.as_str(), name.project.as_str()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::of("repository", found);
    let key = columns.number()?;
    let kind = columns.optional_text()?.and_then(ForgeKind::from_name);
    let source = columns.text()?.to_owned();
    Ok(Some((key, StoredRepo { kind, source, last_number: columns.number()? })))
}

// A local issue may have got its number from elsewhere.
const REPO: &str = "\
    SELECT id, kind, source, CASE WHEN base = 'local' \
        THEN max(last_number, (SELECT coalesce(max(number), 0) FROM issues WHERE repo = repos.id)) \
        ELSE last_number END \
    FROM repos WHERE base = ? AND project = ?";

fn issue_id(connection: &Connection, repo: i64, reference: &IssueRef) -> Result<Option<IssueId>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM issues WHERE repo = ? AND number = ?")?;
    let mut rows = statement.query(params![repo, number(reference.number)])?;
    rows.next()?.map(|found| Columns::of("issue", found).parsed()).transpose()
}

fn stored_task(connection: &Connection, id: TaskId) -> Result<Option<StoredTask>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT seq, issue FROM tasks WHERE id = ?")?;
    let mut rows = statement.query([id.to_string()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::of("task", found);
    let seq = columns.number()?;
    Ok(Some(StoredTask { issue: columns.parsed()?, seq }))
}

fn latest_task(connection: &Connection, issue: IssueId) -> Result<Option<LatestTask>, StoreError> {
    let mut statement = connection.prepare_cached(LATEST_TASK)?;
    let mut rows = statement.query([issue.to_string()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::of("task", found);
    let seq = columns.number()?;
    Ok(Some(LatestTask { seq, state: columns.optional_text()?.and_then(TaskState::from_name) }))
}

const LATEST_TASK: &str = "\
    SELECT i.latest_task, t.state FROM issues i LEFT JOIN tasks t ON t.seq = i.latest_task \
    WHERE i.id = ? AND i.latest_task IS NOT NULL";

/// See [`Store::run_key`](crate::store::Store::run_key).
pub(super) fn run_key(connection: &Connection, run: RunId) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT key FROM runs WHERE id = ?")?;
    Ok(statement.query_row([run.to_string()], |row| row.get(0)).optional()?.flatten())
}

fn acknowledged(connection: &Connection, run: RunId) -> Result<Option<u64>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT acknowledged FROM runs WHERE id = ?")?;
    let bytes: Option<i64> = statement.query_row([run.to_string()], |row| row.get(0)).optional()?;
    Ok(bytes.map(|bytes| u64::try_from(bytes).unwrap_or_default()))
}

/// A number as SQLite stores it. Larger ones do not occur; they match nothing.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

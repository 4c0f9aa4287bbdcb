//! One commit: loads the rows that the writes need, applies the writes, saves what changed.
//!
//! However many writes there are, the statements stay the same few: sets of rows travel as one JSON parameter.

use std::collections::{HashMap, HashSet};

use kugetsu_domain::ids::IssueId;
use kugetsu_domain::reference::{ForgeKind, IssueRef, RepoRef};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::transaction::Transaction;
use super::{read, result_code, row};
use crate::error::StoreError;
use crate::transaction::{Changes, Loaded, Numbers, Plan, RepoChange, StoredRepo, apply};
use crate::view::StoredEvent;
use crate::write::{Applied, Write};

pub(crate) struct Committed {
    /// An answer for each write, in order.
    pub(crate) answers: Vec<Result<Applied, StoreError>>,
    pub(crate) events: Vec<StoredEvent>,
}

/// What the only writer remembers of its own commits.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) numbers: Numbers,
    /// Row numbers and rows.
    pub(crate) repos: HashMap<RepoRef, (i64, StoredRepo)>,
}

/// Carries out all writes in one transaction.
///
/// # Errors
/// The database refused the transaction as a whole; nothing was stored. Why a single write was refused is in its answer.
pub(crate) async fn commit(
    connection: &mut SqliteConnection,
    memory: &mut Memory,
    writes: &[Write],
) -> Result<Committed, StoreError> {
    let loaded = load(connection, memory, writes).await?;
    let (answers, changes) = apply(loaded, writes);
    let mut transaction = Transaction::new(connection);
    match save(&mut transaction, memory, &changes).await {
        Ok(repos) => {
            memory.repos.extend(repos);
            memory.numbers = changes.numbers;
            Ok(Committed { answers, events: changes.events })
        }
        Err(error) => {
            transaction.roll_back().await;
            Err(result_code::explain(&error))
        }
    }
}

async fn load(connection: &mut SqliteConnection, memory: &mut Memory, writes: &[Write]) -> Result<Loaded, StoreError> {
    let plan = Plan::of(writes);
    let mut loaded = Loaded { numbers: memory.numbers, ..Loaded::default() };
    for name in &plan.repos {
        if !memory.repos.contains_key(name)
            && let Some(stored) = repo(connection, name).await.map_err(|error| result_code::explain(&error))?
        {
            memory.repos.insert(name.clone(), stored);
        }
        if let Some((_, row)) = memory.repos.get(name) {
            loaded.repos.insert(name.clone(), row.clone());
        }
    }
    let mut issues: HashSet<IssueId> = plan.issues;
    let mut numbers: HashMap<&RepoRef, Vec<u64>> = HashMap::new();
    for reference in &plan.references {
        numbers.entry(&reference.repo).or_default().push(reference.number);
    }
    for (name, numbers) in numbers {
        let Some((repo, _)) = memory.repos.get(name) else { continue };
        for (number, id) in read::issue_ids(connection, *repo, &numbers).await? {
            loaded.references.insert(IssueRef { repo: name.clone(), number }, id);
            issues.insert(id);
        }
    }
    if !plan.tasks.is_empty() {
        loaded.tasks = read::stored_tasks(connection, &plan.tasks).await?;
        issues.extend(loaded.tasks.values().map(|task| task.issue));
    }
    if !plan.runs.is_empty() {
        let runs: Vec<String> = plan.runs.iter().map(ToString::to_string).collect();
        loaded.acknowledged = read::acknowledged(connection, &runs).await?;
    }
    let ids: Vec<IssueId> = issues.into_iter().collect();
    for (id, issue, tasks) in read::load(connection, &ids).await? {
        if let Err(error) = &issue {
            tracing::error!(issue = %id, %error, "skipping a damaged issue");
        }
        loaded.issues.insert(id, issue);
        loaded.tasks.extend(tasks);
    }
    Ok(loaded)
}

async fn repo(connection: &mut SqliteConnection, name: &RepoRef) -> Result<Option<(i64, StoredRepo)>, sqlx::Error> {
    let found = sqlx::query("SELECT id, kind, source, last_number FROM repos WHERE base = ? AND project = ?")
        .bind(name.base.as_str())
        .bind(name.project.as_str())
        .fetch_optional(connection)
        .await?;
    let Some(found) = found else { return Ok(None) };
    let kind: Option<String> = found.try_get("kind")?;
    let row = StoredRepo {
        kind: kind.as_deref().and_then(ForgeKind::from_name),
        source: found.try_get("source")?,
        last_number: u64::try_from(found.try_get::<i64, _>("last_number")?).unwrap_or_default(),
    };
    Ok(Some((found.try_get("id")?, row)))
}

/// Returns the repositories that were created or changed.
async fn save(
    transaction: &mut Transaction<'_>,
    memory: &Memory,
    changes: &Changes,
) -> Result<Vec<(RepoRef, (i64, StoredRepo))>, sqlx::Error> {
    let mut repos = Vec::new();
    for change in &changes.repos {
        let id = save_repo(transaction, change).await?;
        repos.push((change.name.clone(), (id, change.row.clone())));
    }
    let id_of = |name: &RepoRef| {
        let saved = repos.iter().find(|(saved, _)| saved == name).map(|(_, (id, _))| *id);
        saved.or_else(|| memory.repos.get(name).map(|(id, _)| *id))
    };
    let (mut new_issues, mut old_issues) = (Vec::new(), Vec::new());
    for change in changes.issues.values() {
        let row = row::issue_json(&change.issue, id_of(&change.issue.reference.repo), change.stored_version);
        if change.stored_version.is_none() { &mut new_issues } else { &mut old_issues }.push(row);
    }
    let (mut new_tasks, mut old_tasks) = (Vec::new(), Vec::new());
    for (seq, change) in &changes.tasks {
        let row = row::task_json(*seq, change.issue, &change.task);
        if change.is_new { &mut new_tasks } else { &mut old_tasks }.push(row);
    }
    let runs = changes.runs.values().map(|(issue, run)| row::run_json(*issue, run)).collect();
    let events = changes.events.iter().map(|event| {
        json!({
            "seq": event.seq,
            "at": event.at.as_millisecond(),
            "issue": event.issue.to_string(),
            "task": event.task.map(|id| id.to_string()),
            "run": event.run.map(|id| id.to_string()),
            "kind": event.kind,
            "data": event.data.to_string(),
        })
    });
    let events: Vec<Value> = events.collect();
    transaction
        .put_all([
            (INSERT_ISSUES, new_issues),
            (UPDATE_ISSUES, old_issues),
            (INSERT_TASKS, new_tasks),
            (UPDATE_TASKS, old_tasks),
            (PUT_RUNS, runs),
            (INSERT_EVENTS, events),
        ])
        .await?;
    transaction.commit().await?;
    Ok(repos)
}

async fn save_repo(transaction: &mut Transaction<'_>, change: &RepoChange) -> Result<i64, sqlx::Error> {
    transaction.begin().await?;
    let row = sqlx::query(
        "INSERT INTO repos (base, project, kind, source, last_number, created_at) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (base, project) DO UPDATE SET kind = excluded.kind, source = excluded.source, \
            last_number = excluded.last_number \
         RETURNING id",
    )
    .bind(change.name.base.as_str())
    .bind(change.name.project.as_str())
    .bind(change.row.kind.map(|kind| kind.name()))
    .bind(&change.row.source)
    .bind(i64::try_from(change.row.last_number).unwrap_or(i64::MAX))
    .bind(change.now.as_millisecond())
    .fetch_one(&mut *transaction.connection)
    .await?;
    row.try_get("id")
}

const INSERT_ISSUES: &str = "\
    INSERT INTO issues (id, repo, number, state, title, directory, branch, base_branch, base_sha, session, \
        session_agent, session_state, change_url, change_by, change_state, change_seen_at, fence, version, \
        created_at) \
    SELECT value ->> 'id', value ->> 'repo', value ->> 'number', value ->> 'state', value ->> 'title', \
        value ->> 'directory', value ->> 'branch', value ->> 'base_branch', value ->> 'base_sha', \
        value ->> 'session', value ->> 'session_agent', value ->> 'session_state', value ->> 'change_url', \
        value ->> 'change_by', value ->> 'change_state', value ->> 'change_seen_at', \
        value ->> 'fence', value ->> 'version', value ->> 'created_at' FROM json_each(?)";

const UPDATE_ISSUES: &str = "\
    UPDATE issues SET state = j.value ->> 'state', title = j.value ->> 'title', \
        directory = j.value ->> 'directory', branch = j.value ->> 'branch', \
        base_branch = j.value ->> 'base_branch', base_sha = j.value ->> 'base_sha', \
        session = j.value ->> 'session', session_agent = j.value ->> 'session_agent', \
        session_state = j.value ->> 'session_state', change_url = j.value ->> 'change_url', \
        change_by = j.value ->> 'change_by', change_state = j.value ->> 'change_state', \
        change_seen_at = j.value ->> 'change_seen_at', fence = j.value ->> 'fence', \
        version = j.value ->> 'version' \
    FROM json_each(?) AS j WHERE issues.id = j.value ->> 'id' AND issues.version = j.value ->> 'was'";

const INSERT_TASKS: &str = "\
    INSERT INTO tasks (seq, id, issue, kind, state, message, agent, model, base, priority, after, asked_by, attempt, \
        cancel_asked, queued_at, ended_at, reason) \
    SELECT value ->> 'seq', value ->> 'id', value ->> 'issue', value ->> 'kind', value ->> 'state', \
        value ->> 'message', value ->> 'agent', value ->> 'model', value ->> 'base', value ->> 'priority', value ->> 'after', \
        value ->> 'asked_by', value ->> 'attempt', value ->> 'cancel_asked', value ->> 'queued_at', value ->> 'ended_at', \
        value ->> 'reason' FROM json_each(?)";

const UPDATE_TASKS: &str = "\
    UPDATE tasks SET state = j.value ->> 'state', attempt = j.value ->> 'attempt', \
        cancel_asked = j.value ->> 'cancel_asked', queued_at = j.value ->> 'queued_at', \
        ended_at = j.value ->> 'ended_at', reason = j.value ->> 'reason' \
    FROM json_each(?) AS j WHERE tasks.id = j.value ->> 'id'";

const PUT_RUNS: &str = "\
    INSERT INTO runs (id, task, issue, state, fence, agent, session, started_at, ended_at, verdict, reason, \
        head_sha, commits, pushed, cost_usd, input_tokens, output_tokens, acknowledged) \
    SELECT value ->> 'id', value ->> 'task', value ->> 'issue', value ->> 'state', value ->> 'fence', \
        value ->> 'agent', value ->> 'session', value ->> 'started_at', value ->> 'ended_at', value ->> 'verdict', \
        value ->> 'reason', value ->> 'head_sha', value ->> 'commits', value ->> 'pushed', value ->> 'cost_usd', \
        value ->> 'input_tokens', value ->> 'output_tokens', value ->> 'acknowledged' FROM json_each(?) WHERE true \
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, session = excluded.session, \
        ended_at = excluded.ended_at, verdict = excluded.verdict, reason = excluded.reason, \
        head_sha = excluded.head_sha, commits = excluded.commits, pushed = excluded.pushed, \
        cost_usd = excluded.cost_usd, input_tokens = excluded.input_tokens, \
        output_tokens = excluded.output_tokens, acknowledged = excluded.acknowledged";

const INSERT_EVENTS: &str = "\
    INSERT INTO events (seq, at, issue, task, run, kind, data) \
    SELECT value ->> 'seq', value ->> 'at', value ->> 'issue', value ->> 'task', value ->> 'run', value ->> 'kind', \
        value ->> 'data' FROM json_each(?)";

//! Rows and words: the one place where a row becomes a word of the domain and back.
//!
//! A row that makes no sense is an error of its own ([`StoreError::Damaged`]), never a guess and never a panic: the
//! other rows go on without it.

use std::str::FromStr;

use jiff::Timestamp;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::{Issue, IssueState, Worktree};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::pull_request::{PrLink, PrOrigin, PrState};
use kugetsu_domain::reference::{IssueRef, ProjectPath, RepoRef, ServerBase};
use kugetsu_domain::run::{Outcome, Run, RunState, Usage, Verdict};
use kugetsu_domain::session::{Session, SessionState};
use kugetsu_domain::task::{Task, TaskKind, TaskState};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Row, Sqlite, Type};

use crate::error::StoreError;

/// The columns that [`issue`] reads, from `issues i JOIN repos p`.
macro_rules! issue_columns {
    () => {
        "i.id AS i_id, i.number AS i_number, i.state AS i_state, i.title AS i_title, i.directory AS i_directory, \
         i.branch AS i_branch, i.base_branch AS i_base_branch, i.base_sha AS i_base_sha, i.session AS i_session, \
         i.session_agent AS i_session_agent, i.session_state AS i_session_state, i.change_url AS i_change_url, \
         i.change_by AS i_change_by, i.change_state AS i_change_state, i.change_seen_at AS i_change_seen_at, \
         i.fence AS i_fence, \
         i.version AS i_version, i.created_at AS i_created_at, i.repo AS i_repo, \
         p.base AS p_base, p.project AS p_project"
    };
}
/// The columns that [`task`] reads, from `tasks t`.
macro_rules! task_columns {
    () => {
        task_columns!("t.message")
    };
    // A message may be a megabyte, and a list of ten thousand tasks shows none.
    ($message:literal) => {
        concat!(
            $message,
            " AS t_message, t.seq AS t_seq, t.id AS t_id, t.issue AS t_issue, t.kind AS t_kind, t.state AS t_state, \
         t.agent AS t_agent, t.model AS t_model, t.base AS t_base, t.priority AS t_priority, t.after AS t_after, t.asked_by AS t_asked_by, \
         t.attempt AS t_attempt, t.cancel_asked AS t_cancel_asked, t.queued_at AS t_queued_at, \
         t.ended_at AS t_ended_at, t.reason AS t_reason"
        )
    };
}
/// The columns that [`run`] reads, from `runs r`.
macro_rules! run_columns {
    () => {
        "r.id AS r_id, r.task AS r_task, r.issue AS r_issue, r.state AS r_state, r.fence AS r_fence, \
         r.agent AS r_agent, r.session AS r_session, r.started_at AS r_started_at, r.ended_at AS r_ended_at, \
         r.verdict AS r_verdict, r.reason AS r_reason, r.head_sha AS r_head_sha, r.commits AS r_commits, \
         r.pushed AS r_pushed, r.cost_usd AS r_cost_usd, r.input_tokens AS r_input_tokens, \
         r.output_tokens AS r_output_tokens, r.acknowledged AS r_acknowledged"
    };
}
pub(crate) use {issue_columns, run_columns, task_columns};

/// An issue without its tasks and its run.
pub(crate) fn issue(row: &SqliteRow) -> Result<Issue, StoreError> {
    let worktree = match (optional(row, "i_directory")?, optional(row, "i_branch")?) {
        (Some(directory), Some(branch)) => Some(Worktree {
            directory,
            branch,
            base_branch: optional(row, "i_base_branch")?,
            base_sha: optional(row, "i_base_sha")?,
        }),
        _ => None,
    };
    let session = match (optional(row, "i_session")?, optional(row, "i_session_agent")?) {
        (Some(id), Some(agent)) => Some(Session { id, agent, state: state::<SessionState>(row, "i_session_state")? }),
        _ => None,
    };
    Ok(Issue {
        id: parsed(row, "i_id")?,
        reference: reference(row)?,
        state: state::<IssueState>(row, "i_state")?,
        title: get(row, "i_title")?,
        worktree,
        session,
        pr: pr_link(row)?,
        tasks: Vec::new(),
        run: None,
        fence: number(row, "i_fence")?,
        version: number(row, "i_version")?,
        created_at: time(row, "i_created_at")?,
    })
}

fn pr_link(row: &SqliteRow) -> Result<Option<PrLink>, StoreError> {
    let Some(url) = optional(row, "i_change_url")? else { return Ok(None) };
    let checked = match (optional(row, "i_change_state")?, time_optional(row, "i_change_seen_at")?) {
        (Some(name), Some(at)) => {
            let state = PrState::from_name(&name).ok_or_else(|| damaged(row, "i_change_state", &name))?;
            Some((state, at))
        }
        _ => None,
    };
    let origin: Option<String> = optional(row, "i_change_by")?;
    let origin = match origin {
        Some(name) => PrOrigin::from_name(&name).ok_or_else(|| damaged(row, "i_change_by", &name))?,
        None => PrOrigin::Set,
    };
    Ok(Some(PrLink { url, origin, checked }))
}

/// The reference of the row's issue.
pub(crate) fn reference(row: &SqliteRow) -> Result<IssueRef, StoreError> {
    Ok(IssueRef { repo: repo_ref(row)?, number: number(row, "i_number")? })
}

/// The row's repository.
pub(crate) fn repo_ref(row: &SqliteRow) -> Result<RepoRef, StoreError> {
    let base: String = get(row, "p_base")?;
    let project: String = get(row, "p_project")?;
    Ok(RepoRef {
        base: ServerBase::new(base).map_err(|error| damaged(row, "p_base", &error))?,
        project: ProjectPath::new(project).map_err(|error| damaged(row, "p_project", &error))?,
    })
}

/// A task.
pub(crate) fn task(row: &SqliteRow) -> Result<Task, StoreError> {
    let kind: String = get(row, "t_kind")?;
    Ok(Task {
        id: parsed(row, "t_id")?,
        kind: TaskKind::from_name(&kind).ok_or_else(|| damaged(row, "t_kind", &kind))?,
        state: state::<TaskState>(row, "t_state")?,
        message: get(row, "t_message")?,
        agent: get(row, "t_agent")?,
        model: optional(row, "t_model")?,
        base: optional(row, "t_base")?,
        priority: get(row, "t_priority")?,
        after: parsed_optional(row, "t_after")?,
        asked_by: parsed_optional(row, "t_asked_by")?,
        attempt: number(row, "t_attempt")?,
        cancel_requested: get(row, "t_cancel_asked")?,
        queued_at: time(row, "t_queued_at")?,
        ended_at: time_optional(row, "t_ended_at")?,
        reason: optional(row, "t_reason")?,
    })
}

/// A run.
pub(crate) fn run(row: &SqliteRow) -> Result<Run, StoreError> {
    let verdict: Option<String> = optional(row, "r_verdict")?;
    let outcome = match verdict {
        None => None,
        Some(verdict) => Some(Outcome {
            verdict: Verdict::from_name(&verdict).ok_or_else(|| damaged(row, "r_verdict", &verdict))?,
            reason: optional(row, "r_reason")?.unwrap_or_default(),
            head_sha: optional(row, "r_head_sha")?,
            commits: number(row, "r_commits")?,
            pushed: get(row, "r_pushed")?,
            usage: Usage {
                cost_usd: get(row, "r_cost_usd")?,
                input_tokens: number(row, "r_input_tokens")?,
                output_tokens: number(row, "r_output_tokens")?,
            },
        }),
    };
    Ok(Run {
        id: parsed(row, "r_id")?,
        task: parsed(row, "r_task")?,
        state: state::<RunState>(row, "r_state")?,
        fence: number(row, "r_fence")?,
        agent: get(row, "r_agent")?,
        session: optional(row, "r_session")?,
        started_at: time(row, "r_started_at")?,
        ended_at: time_optional(row, "r_ended_at")?,
        outcome,
        acknowledged: number(row, "r_acknowledged")?,
    })
}

/// An issue as the writer's statements take it. `was` is the version that the row must still have.
pub(crate) fn issue_json(issue: &Issue, repo: Option<i64>, was: Option<u64>) -> Value {
    json!({
        "id": issue.id.to_string(),
        "repo": repo,
        "number": issue.reference.number,
        "state": issue.state.name(),
        "title": issue.title,
        "directory": issue.worktree.as_ref().map(|worktree| &worktree.directory),
        "branch": issue.worktree.as_ref().map(|worktree| &worktree.branch),
        "base_branch": issue.worktree.as_ref().and_then(|worktree| worktree.base_branch.as_ref()),
        "base_sha": issue.worktree.as_ref().and_then(|worktree| worktree.base_sha.as_ref()),
        "session": issue.session.as_ref().map(|session| &session.id),
        "session_agent": issue.session.as_ref().map(|session| &session.agent),
        "session_state": issue.session.as_ref().map(|session| session.state.name()),
        "change_url": issue.pr.as_ref().map(|pr| &pr.url),
        "change_by": issue.pr.as_ref().map(|pr| pr.origin.name()),
        "change_state": issue.pr.as_ref().and_then(|pr| pr.checked).map(|(state, _)| state.name()),
        "change_seen_at": issue.pr.as_ref().and_then(|pr| pr.checked).map(|(_, at)| at.as_millisecond()),
        "fence": issue.fence,
        "version": issue.version,
        "created_at": issue.created_at.as_millisecond(),
        "was": was,
    })
}

/// A task as the writer's statements take it.
pub(crate) fn task_json(seq: i64, issue: IssueId, task: &Task) -> Value {
    json!({
        "seq": seq,
        "id": task.id.to_string(),
        "issue": issue.to_string(),
        "kind": task.kind.name(),
        "state": task.state.name(),
        "message": task.message,
        "agent": task.agent,
        "model": task.model,
        "base": task.base,
        "priority": task.priority,
        "after": task.after.map(|id| id.to_string()),
        "asked_by": task.asked_by.map(|id| id.to_string()),
        "attempt": task.attempt,
        "cancel_asked": i64::from(task.cancel_requested),
        "queued_at": task.queued_at.as_millisecond(),
        "ended_at": task.ended_at.map(Timestamp::as_millisecond),
        "reason": task.reason,
    })
}

/// A run as the writer's statements take it.
pub(crate) fn run_json(issue: IssueId, run: &Run) -> Value {
    let outcome = run.outcome.as_ref();
    json!({
        "id": run.id.to_string(),
        "task": run.task.to_string(),
        "issue": issue.to_string(),
        "state": run.state.name(),
        "fence": run.fence,
        "agent": run.agent,
        "session": run.session,
        "started_at": run.started_at.as_millisecond(),
        "ended_at": run.ended_at.map(Timestamp::as_millisecond),
        "verdict": outcome.map(|outcome| outcome.verdict.name()),
        "reason": outcome.map(|outcome| &outcome.reason),
        "head_sha": outcome.and_then(|outcome| outcome.head_sha.as_ref()),
        "commits": outcome.map(|outcome| outcome.commits),
        "pushed": outcome.map(|outcome| i64::from(outcome.pushed)),
        "cost_usd": outcome.map(|outcome| outcome.usage.cost_usd),
        "input_tokens": outcome.map(|outcome| outcome.usage.input_tokens),
        "output_tokens": outcome.map(|outcome| outcome.usage.output_tokens),
        "acknowledged": run.acknowledged,
    })
}

/// A column that must be there.
pub(crate) fn get<'r, T>(row: &'r SqliteRow, column: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
    &'static str: ColumnIndex<SqliteRow>,
{
    row.try_get(column).map_err(|error| damaged(row, column, &error))
}

/// A column that may be empty.
pub(crate) fn optional(row: &SqliteRow, column: &'static str) -> Result<Option<String>, StoreError> {
    get(row, column)
}

/// A column that holds an identifier.
pub(crate) fn parsed<T: FromStr<Err: std::fmt::Display>>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, StoreError> {
    get::<String>(row, column)?.parse().map_err(|error| damaged(row, column, &error))
}

/// A column that may hold an identifier.
pub(crate) fn parsed_optional<T: FromStr<Err: std::fmt::Display>>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    optional(row, column)?.map(|text| text.parse().map_err(|error| damaged(row, column, &error))).transpose()
}

/// A column that holds a time.
pub(crate) fn time(row: &SqliteRow, column: &'static str) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(get(row, column)?).map_err(|error| damaged(row, column, &error))
}

/// A column that may hold a time.
fn time_optional(row: &SqliteRow, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    get::<Option<i64>>(row, column)?
        .map(|ms| Timestamp::from_millisecond(ms).map_err(|error| damaged(row, column, &error)))
        .transpose()
}

/// A column that holds a number of a narrower type.
pub(crate) fn number<T: TryFrom<i64, Error: std::fmt::Display>>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, StoreError> {
    T::try_from(get::<i64>(row, column)?).map_err(|error| damaged(row, column, &error))
}

fn state<S: Machine>(row: &SqliteRow, column: &'static str) -> Result<S, StoreError> {
    let name: String = get(row, column)?;
    S::from_name(&name).ok_or_else(|| damaged(row, column, &format!("unknown state {name:?}")))
}

fn damaged(row: &SqliteRow, column: &str, why: &dyn std::fmt::Display) -> StoreError {
    // A row may be joined from several tables: the column's prefix says which one it is from.
    let (id, table) = match column.split_once('_') {
        Some(("t", _)) => ("t_id", "task "),
        Some(("r", _)) => ("r_id", "run "),
        Some(("i" | "p", _)) => ("i_id", "issue "),
        _ => ("", ""),
    };
    let which = row.try_get::<String, _>(id).map(|id| format!("{table}{id}: ")).unwrap_or_default();
    StoreError::Damaged { what: format!("{which}{column}: {why}") }
}

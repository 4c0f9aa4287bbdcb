//! Tasks with their issues and runs.

use kugetsu_domain::run::Run;
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use crate::driver::Rows;
use crate::error::StoreError;
use crate::query::{RunQuery, ViewFilter, ViewQuery};
use crate::sqlite::load::number;
use crate::sqlite::row::{self, Columns, issue_columns, run_columns, task_columns};
use crate::view::RunView;

macro_rules! view {
    ($message:literal, $where:literal) => {
        concat!(
            "SELECT t.seq, ",
            task_columns!($message),
            ", ",
            issue_columns!(),
            ", ",
            run_columns!(),
            " FROM tasks t JOIN issues i ON i.id = t.issue JOIN repos p ON p.id = i.repo ",
            "LEFT JOIN runs r ON r.id = (SELECT x.id FROM runs x WHERE x.task = t.id ORDER BY x.fence DESC LIMIT 1) ",
            "WHERE ",
            $where,
            " AND t.seq < ?2 ORDER BY t.seq DESC LIMIT ?3"
        )
    };
}

/// The query with and without messages. `?1` is the filter's identifier.
macro_rules! views {
    ($with_messages:expr, $where:literal) => {
        if $with_messages { view!("t.message", $where) } else { view!("''", $where) }
    };
}

pub(in crate::sqlite) fn views(
    connection: &Connection,
    query: &ViewQuery,
) -> Result<Rows<RunView, Option<i64>>, StoreError> {
    let full = query.with_messages;
    let (statement, id) = match query.filter {
        ViewFilter::Task(task) => (views!(full, "t.id = ?1"), Some(task.to_string())),
        ViewFilter::Issue(issue) => (
            views!(
                full,
                "t.issue = ?1 AND t.seq = coalesce((SELECT a.seq FROM tasks a WHERE a.issue = i.id AND a.state = 'running'), \
                 (SELECT max(a.seq) FROM tasks a WHERE a.issue = i.id))"
            ),
            Some(issue.to_string()),
        ),
        ViewFilter::Issues => (
            views!(
                full,
                "?1 IS NULL AND p.base <> 'coordinator' AND t.seq = coalesce((SELECT a.seq FROM tasks a WHERE a.issue = i.id AND a.state = 'running'), \
                 (SELECT max(a.seq) FROM tasks a WHERE a.issue = i.id))"
            ),
            None,
        ),
        ViewFilter::TasksOf(issue) => (views!(full, "t.issue = ?1"), Some(issue.to_string())),
        ViewFilter::Before(task) => (
            views!(
                full,
                "t.issue = (SELECT issue FROM tasks WHERE id = ?1) AND t.seq < (SELECT seq FROM tasks WHERE id = ?1)"
            ),
            Some(task.to_string()),
        ),
        ViewFilter::DelegatedBy(task) => (views!(full, "t.asked_by = ?1"), Some(task.to_string())),
        ViewFilter::Live => (views!(full, "?1 IS NULL AND t.state IN ('queued', 'running')"), None),
        ViewFilter::All => (views!(full, "?1 IS NULL"), None),
    };
    let limit = query.limit.map_or(i64::MAX, i64::from);
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(params![id, query.before.unwrap_or(i64::MAX), limit])?;
    let (mut views, mut last) = (Vec::new(), None);
    while let Some(found) = rows.next()? {
        let mut columns = Columns::of("task", found);
        last = Some(columns.number()?);
        match view(&mut columns) {
            Err(error) if !error.is_damage() => return Err(error),
            view => views.push(view),
        }
    }
    let is_full = views.len() as i64 == limit;
    Ok((views, last.filter(|_| is_full)))
}

fn view(columns: &mut Columns<'_>) -> Result<RunView, StoreError> {
    let task = row::task(columns)?;
    let issue = row::issue(columns)?;
    let run = if columns.is_null()? { None } else { Some(row::run(columns)?) };
    Ok(RunView::new(issue, task, run))
}

const RUNS: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM tasks t JOIN runs r ON r.task = t.id WHERE t.issue = ?1 AND r.fence < ?2 AND (NOT ?3 OR r.pushed) \
     AND (r.ended_at IS NULL OR r.ended_at >= ?4) ORDER BY r.fence DESC LIMIT ?5"
);

pub(in crate::sqlite) fn runs(connection: &Connection, query: &RunQuery) -> Result<Vec<Run>, StoreError> {
    let mut statement = connection.prepare_cached(RUNS)?;
    let mut rows = statement.query(params![
        query.issue.to_string(),
        query.below_fence.map_or(i64::MAX, number),
        query.pushed,
        query.since.map_or(Value::Integer(i64::MIN), |since| Value::Integer(since.as_millisecond())),
        query.limit.map_or(i64::MAX, i64::from),
    ])?;
    let mut runs = Vec::new();
    while let Some(found) = rows.next()? {
        runs.push(row::run(&mut Columns::of("run", found))?);
    }
    Ok(runs)
}

//! Tasks with their issues and runs.

use std::cmp::Reverse;

use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::run::Run;
use kugetsu_domain::task::TaskKind;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use crate::driver::Rows;
use crate::error::StoreError;
use crate::query::{Order, RunQuery, ShownAs, ViewFilter, ViewQuery};
use crate::sqlite::load::number;
use crate::sqlite::row::{self, Columns, issue_columns, run_columns, task_columns};
use crate::view::RunView;

/// A page of the positions of tasks, then a query for each: no list reads a row that it does not return.
pub(in crate::sqlite) fn views(
    connection: &Connection,
    query: &ViewQuery,
) -> Result<Rows<RunView, Option<i64>>, StoreError> {
    // Both from the same state of the database.
    let transaction = connection.unchecked_transaction()?;
    let page = positions(&transaction, query)?;
    let mut statement = transaction.prepare_cached(if query.with_messages { VIEW } else { VIEW_WITHOUT_MESSAGE })?;
    let mut views = Vec::with_capacity(page.len());
    for seq in &page {
        let mut rows = statement.query([seq])?;
        let Some(found) = rows.next()? else { continue };
        match view(&mut Columns::of("task", found)) {
            Err(error) if !error.is_damage() => return Err(error),
            view => views.push(view),
        }
    }
    let has_next = !matches!(query.filter, ViewFilter::Next);
    let is_full = has_next && query.limit.is_some_and(|limit| page.len() == limit as usize);
    Ok((views, page.last().copied().filter(|_| is_full)))
}

macro_rules! view {
    ($message:literal) => {
        concat!(
            "SELECT ",
            task_columns!($message),
            ", ",
            issue_columns!(),
            ", ",
            run_columns!(),
            " FROM tasks t JOIN issues i ON i.id = t.issue JOIN repos p ON p.id = i.repo ",
            "LEFT JOIN runs r ON r.id = (SELECT x.id FROM runs x WHERE x.task = t.id ORDER BY x.fence DESC LIMIT 1) ",
            "WHERE t.seq = ?"
        )
    };
}

const VIEW: &str = view!("t.message");
const VIEW_WITHOUT_MESSAGE: &str = view!("''");

/// Returns the positions of the tasks of a page, in its order.
fn positions(connection: &Connection, query: &ViewQuery) -> Result<Vec<i64>, StoreError> {
    let (statements, key) = match &query.filter {
        ViewFilter::Task(task) => (&TASK, Some(task.to_string())),
        ViewFilter::Issue(issue) => (&SHOWN_OF, Some(issue.to_string())),
        ViewFilter::Issues { shown_as, repo } => {
            let repo = match repo {
                None => None,
                Some(repo) => match repo_id(connection, repo)? {
                    None => return Ok(Vec::new()),
                    id => id,
                },
            };
            let mut page = Vec::new();
            for shown_as in shown_as {
                page.extend(shown_numbers(connection, shown_as.name(), repo, query)?);
            }
            match query.order {
                Order::NewestFirst => page.sort_unstable_by_key(|seq| Reverse(*seq)),
                Order::OldestFirst => page.sort_unstable(),
            }
            page.truncate(query.limit.map_or(usize::MAX, |limit| limit as usize));
            return Ok(page);
        }
        ViewFilter::TasksOf(issue) => (&TASKS_OF, Some(issue.to_string())),
        ViewFilter::Before(task) => (&BEFORE, Some(task.to_string())),
        ViewFilter::DelegatedBy(task) => (&DELEGATED_BY, Some(task.to_string())),
        ViewFilter::Live => (&LIVE, None),
        ViewFilter::Next => return next(connection, query.limit.map_or(i64::MAX, i64::from)),
        ViewFilter::All => (&ALL, None),
    };
    numbers(connection, statements, key, query)
}

fn numbers(
    connection: &Connection,
    statements: &[&str; 2],
    key: Option<String>,
    query: &ViewQuery,
) -> Result<Vec<i64>, StoreError> {
    let (statement, cursor, limit) = page_of(statements, query);
    let mut statement = connection.prepare_cached(statement)?;
    let numbers = statement.query_map(params![key, cursor, limit], |row| row.get(0))?;
    Ok(numbers.collect::<Result<_, _>>()?)
}

fn shown_numbers(
    connection: &Connection,
    shown_as: &str,
    repo: Option<i64>,
    query: &ViewQuery,
) -> Result<Vec<i64>, StoreError> {
    let (statement, cursor, limit) = page_of(&SHOWN, query);
    let mut statement = connection.prepare_cached(statement)?;
    let numbers = statement.query_map(params![shown_as, cursor, limit, repo], |row| row.get(0))?;
    Ok(numbers.collect::<Result<_, _>>()?)
}

/// Returns the statement for the query's order, and its cursor and limit.
fn page_of<'a>(statements: &[&'a str; 2], query: &ViewQuery) -> (&'a str, i64, i64) {
    let [newest_first, oldest_first] = *statements;
    let (statement, start) = match query.order {
        Order::NewestFirst => (newest_first, i64::MAX),
        Order::OldestFirst => (oldest_first, i64::MIN),
    };
    (statement, query.cursor.unwrap_or(start), query.limit.map_or(i64::MAX, i64::from))
}

fn next(connection: &Connection, limit: i64) -> Result<Vec<i64>, StoreError> {
    let running = connection.prepare_cached(RUNNING)?.query_map([limit], |row| row.get(0))?.collect::<Result<_, _>>();
    let mut page: Vec<i64> = running?;
    let mut queued: Vec<(Reverse<i64>, i64)> = Vec::new();
    let mut statement = connection.prepare_cached(BY_PRIORITY)?;
    for kind in TaskKind::ALL {
        let rows = statement.query_map(params![kind.name(), limit], |row| Ok((Reverse(row.get(0)?), row.get(1)?)))?;
        queued.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    queued.sort_unstable();
    page.extend(queued.into_iter().map(|(_, seq)| seq));
    page.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(page)
}

const RUNNING: &str = "SELECT seq FROM tasks INDEXED BY tasks_one_running WHERE state = 'running' ORDER BY seq LIMIT ?";

const BY_PRIORITY: &str = "\
    SELECT priority, seq FROM tasks INDEXED BY tasks_queue WHERE state = 'queued' AND kind = ?1 \
    ORDER BY priority DESC, seq LIMIT ?2";

fn repo_id(connection: &Connection, repo: &RepoRef) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM repos WHERE base = ?1 AND project = ?2")?;
    let id = statement.query_row(params![repo.base.as_str(), repo.project.as_str()], |row| row.get(0));
    Ok(id.optional()?)
}

/// A statement for both orders. `?1` is the filter's key, `?2` the cursor, `?3` the limit.
macro_rules! page {
    ($seq:literal, $from_where:literal) => {
        [
            concat!("SELECT ", $seq, " FROM ", $from_where, " AND ", $seq, " < ?2 ORDER BY ", $seq, " DESC LIMIT ?3"),
            concat!("SELECT ", $seq, " FROM ", $from_where, " AND ", $seq, " > ?2 ORDER BY ", $seq, " LIMIT ?3"),
        ]
    };
}

const TASK: [&str; 2] = page!("seq", "tasks WHERE id = ?1");
const SHOWN_OF: [&str; 2] = page!("shown_task", "issues WHERE id = ?1");
/// `?4` is the repository, or null for all.
const SHOWN: [&str; 2] =
    page!("shown_task", "issues INDEXED BY issues_shown WHERE shown_as = ?1 AND (?4 IS NULL OR repo = ?4)");
const TASKS_OF: [&str; 2] = page!("seq", "tasks INDEXED BY tasks_by_issue WHERE issue = ?1");
const BEFORE: [&str; 2] = page!(
    "seq",
    "tasks INDEXED BY tasks_by_issue WHERE issue = (SELECT issue FROM tasks WHERE id = ?1) \
         AND seq < (SELECT seq FROM tasks WHERE id = ?1)"
);
const DELEGATED_BY: [&str; 2] = page!("seq", "tasks INDEXED BY tasks_asked_by WHERE asked_by = ?1");
const LIVE: [&str; 2] =
    page!("seq", "tasks INDEXED BY tasks_live_by_seq WHERE state IN ('queued', 'running') AND ?1 IS NULL");
const ALL: [&str; 2] = page!("seq", "tasks WHERE ?1 IS NULL");

/// Returns the number of issues that appear in lists, by how they appear.
pub(in crate::sqlite) fn shown(connection: &Connection) -> Result<Vec<(ShownAs, u64)>, StoreError> {
    let count = "SELECT count(*) FROM issues INDEXED BY issues_shown WHERE shown_as = ?";
    let mut statement = connection.prepare_cached(count)?;
    let mut counts = Vec::new();
    for shown_as in ShownAs::ALL {
        let count: i64 = statement.query_row([shown_as.name()], |row| row.get(0))?;
        counts.push((*shown_as, count as u64));
    }
    Ok(counts)
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
    " FROM tasks t JOIN runs r ON r.task = t.id WHERE t.issue = ?1 AND r.fence < ?2 \
     AND (r.ended_at IS NULL OR r.ended_at >= ?3) ORDER BY r.fence DESC LIMIT ?4"
);

pub(in crate::sqlite) fn runs(connection: &Connection, query: &RunQuery) -> Result<Vec<Run>, StoreError> {
    let mut statement = connection.prepare_cached(RUNS)?;
    let mut rows = statement.query(params![
        query.issue.to_string(),
        query.below_fence.map_or(i64::MAX, number),
        query.since.map_or(Value::Integer(i64::MIN), |since| Value::Integer(since.as_millisecond())),
        query.limit.map_or(i64::MAX, i64::from),
    ])?;
    let mut runs = Vec::new();
    while let Some(found) = rows.next()? {
        runs.extend(row::unless_damaged(row::run(&mut Columns::of("run", found)))?);
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::read::queue::tests::plan;

    #[test]
    fn pages_are_read_by_an_index_in_its_order() {
        let indexes = [
            (SHOWN, "issues_shown"),
            (LIVE, "tasks_live_by_seq"),
            (TASKS_OF, "tasks_by_issue"),
            (BEFORE, "tasks_by_issue"),
            (DELEGATED_BY, "tasks_asked_by"),
            (ALL, "INTEGER PRIMARY KEY"),
            (SHOWN_OF, "PRIMARY KEY"),
        ];
        for (queries, index) in indexes {
            for query in queries {
                let plan = plan(query);
                assert!(plan.iter().any(|step| step.contains(index)), "{query}: {plan:#?}");
                assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{query}: {plan:#?}");
            }
        }
    }

    #[test]
    fn a_view_reads_no_table_as_a_whole() {
        for query in [VIEW, VIEW_WITHOUT_MESSAGE, RUNS, BY_PRIORITY] {
            let plan = plan(query);
            assert!(!plan.iter().any(|step| step.contains("SCAN")), "{query}: {plan:#?}");
        }
    }
}

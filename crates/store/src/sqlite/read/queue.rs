//! The queue, and what is paused.

use kugetsu_domain::hold::{Hold, Pause, hold_of};
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::schedule::Candidate;
use kugetsu_domain::task::TaskKind;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::query::Queue;
use crate::sqlite::row::{Columns, repo_ref, unless_damaged};

/// Most candidates of a kind that needs no slot. The next pass of the scheduler gets the rest.
const UNLIMITED_PER_PASS: usize = 1000;

pub(in crate::sqlite) fn queue(connection: &Connection, slots: usize, holds: &[Hold]) -> Result<Queue, StoreError> {
    let mut queue = Queue::default();
    for kind in TaskKind::ALL {
        let queued: u64 =
            connection.prepare_cached(QUEUED)?.query_row([kind.name()], |row| row.get::<_, i64>(0))? as u64;
        queue.queued += queued;
        if matches!(kind, TaskKind::Delegate | TaskKind::Report) {
            queue.coordinator_queued += queued;
        }
        // While everything is held, a long queue is not even read.
        let is_held = kind.needs_agent() && holds.iter().any(Hold::is_global);
        if queued > 0 && !is_held {
            let limit = if kind.needs_slot() { slots } else { UNLIMITED_PER_PASS };
            candidates(connection, (kind, limit), holds, &mut queue.candidates)?;
        }
    }
    let mut statement = connection.prepare_cached(RUNNING)?;
    (queue.running, queue.slots_in_use) =
        statement.query_row([], |row| Ok((row.get::<_, i64>(0)? as usize, row.get::<_, i64>(1)? as usize)))?;
    Ok(queue)
}

const QUEUED: &str = "SELECT count(*) FROM tasks INDEXED BY tasks_queue WHERE state = 'queued' AND kind = ?";

const RUNNING: &str = "\
    SELECT count(*), count(t.id) FROM runs r INDEXED BY runs_one_live LEFT JOIN tasks t ON t.id = r.task AND t.kind = 'start' \
    WHERE r.state IN ('starting', 'working')";

fn candidates(
    connection: &Connection,
    (kind, limit): (TaskKind, usize),
    holds: &[Hold],
    candidates: &mut Vec<Candidate>,
) -> Result<(), StoreError> {
    if limit == 0 {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(CANDIDATES)?;
    let mut rows = statement.query([kind.name()])?;
    let mut found = 0;
    while found < limit
        && let Some(row) = rows.next()?
    {
        let mut columns = Columns::of("task", row);
        let candidate = columns.parsed().and_then(|task| {
            let (issue, repo) = (columns.parsed()?, repo_ref(&mut columns)?);
            let agent = columns.owned()?;
            Ok(Candidate { task, issue, kind, repo, agent, model: columns.optional_owned()? })
        });
        match candidate {
            Ok(candidate) if hold_of(holds, &candidate.start()).is_some() => {}
            Ok(candidate) => {
                candidates.push(candidate);
                found += 1;
            }
            // It must not block those behind it.
            Err(error) if error.is_damage() => tracing::error!(%error, "skipping a damaged task in the queue"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Queued tasks of one kind that can start: the oldest live task of an open issue, not paused, and what it comes after is done.
// INDEXED BY: after ANALYZE on a full queue, SQLite's planner does not use this index and sorts the whole table.
const CANDIDATES: &str = "\
    SELECT t.id, t.issue, p.base, p.project, t.agent, t.model FROM tasks t INDEXED BY tasks_queue \
        CROSS JOIN issues i ON i.id = t.issue LEFT JOIN repos p ON p.id = i.repo \
    WHERE t.state = 'queued' AND t.kind = ? AND t.not_before IS NULL \
        AND NOT EXISTS (SELECT 1 FROM tasks o INDEXED BY tasks_live WHERE o.issue = t.issue \
            AND o.state IN ('queued', 'running') AND (o.state = 'running' OR o.seq < t.seq)) \
        AND i.state = 'open' \
        AND (t.after IS NULL \
            OR (SELECT d.state FROM tasks d WHERE d.issue = t.after ORDER BY d.seq DESC LIMIT 1) = 'done') \
    ORDER BY t.priority DESC, t.seq";

const QUEUE_POSITION: &str = "\
    SELECT (SELECT count(*) FROM tasks q INDEXED BY tasks_queue WHERE q.state = 'queued' AND q.kind = t.kind \
        AND q.not_before IS NULL AND (q.priority > t.priority OR (q.priority = t.priority AND q.seq < t.seq))) \
    FROM tasks t WHERE t.id = ? AND t.state = 'queued'";

pub(in crate::sqlite) fn queue_position(connection: &Connection, task: TaskId) -> Result<Option<u64>, StoreError> {
    let mut statement = connection.prepare_cached(QUEUE_POSITION)?;
    let position: Option<i64> = statement.query_row(params![task.to_string()], |row| row.get(0)).optional()?;
    Ok(position.map(|position| position as u64))
}

/// The pauses of `kugetsu pause`.
pub(in crate::sqlite) fn pauses(connection: &Connection) -> Result<Vec<Pause>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT since, base, project FROM pauses ORDER BY base, project")?;
    let mut rows = statement.query([])?;
    let mut pauses = Vec::new();
    while let Some(found) = rows.next()? {
        pauses.extend(unless_damaged(pause(found))?);
    }
    Ok(pauses)
}

fn pause(row: &Row<'_>) -> Result<Pause, StoreError> {
    let mut columns = Columns::of("pause", row);
    let since = columns.time()?;
    let is_global = row.get_ref(1)?.as_str().is_ok_and(str::is_empty);
    let repo = if is_global { None } else { Some(repo_ref(&mut columns)?) };
    Ok(Pause { repo, since })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sqlite::schema;

    /// A long queue whose statistics SQLite knows, and plans by.
    const FULL_AND_ANALYZED: &str = "
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
        INSERT INTO repos (id, base, project, source, created_at) SELECT i, 'https://h', 'a/' || i, '', 0 FROM n;
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO issues (id, repo, number, state, title, fence, version, created_at, latest_task, shown_task, shown_as)
        SELECT 'issue-' || i, i % 50 + 1, i, 'open', '', 0, 1, 0, i, i, CASE WHEN i % 10 THEN 'queued' ELSE 'done' END FROM n;
        INSERT INTO tasks (id, issue, kind, state, message, agent, priority, attempt, cancel_asked, queued_at)
        SELECT 'task-' || number, id, 'start', CASE WHEN number % 10 THEN 'queued' ELSE 'done' END, '', '', number % 3,
            0, 0, 0 FROM issues;
        INSERT INTO runs (id, task, issue, state, fence, agent, started_at, acknowledged)
        SELECT 'run-' || i.number, t.id, i.id, 'done', 1, '', 0, 0 FROM issues i JOIN tasks t ON t.issue = i.id;
        ANALYZE;";

    /// The steps of SQLite's plan.
    pub(in crate::sqlite) fn plan(query: &str) -> Vec<String> {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate("memory".as_ref(), &mut connection).unwrap();
        connection.execute_batch(FULL_AND_ANALYZED).unwrap();
        // Statistics are read with the schema; this reads both again, as the next start does.
        connection.execute_batch("ANALYZE sqlite_schema").unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get("detail").unwrap());
        }
        steps
    }

    #[test]
    fn a_full_and_analyzed_queue_is_read_by_its_index() {
        for query in [CANDIDATES, QUEUE_POSITION, QUEUED] {
            let plan = plan(query);
            assert!(plan.iter().any(|step| step.contains("INDEX tasks_queue")), "{plan:#?}");
            let slow = |step: &&String| step.contains("SCAN") || step.contains("TEMP B-TREE");
            assert_eq!(plan.iter().find(slow), None, "{plan:#?}");
        }
    }

    #[test]
    fn live_runs_are_counted_without_reading_all_runs() {
        let plan = plan(RUNNING);
        assert!(plan.iter().any(|step| step.contains("INDEX runs_one_live")), "{plan:#?}");
    }
}

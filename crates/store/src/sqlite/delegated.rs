//! What the coordinator asked for, and whether it is to be told what became of it.

use kugetsu_domain::ids::{IssueId, TaskId};
use sqlx::sqlite::SqlitePool;

use super::read::{explain, run_view, views};
use super::row::{self, issue_columns, run_columns, task_columns};
use crate::error::StoreError;
use crate::view::RunView;

/// The coordinator's tasks that are over, whose own tasks are all over, and of which no report was made yet. A canceled
/// one gets none: somebody did not want it.
const DUE: &str = "\
    SELECT p.id AS t_id FROM tasks p WHERE p.issue = ? AND p.state IN ('done', 'blocked', 'failed', 'timeout') \
        AND EXISTS (SELECT 1 FROM tasks c INDEXED BY tasks_asked_by WHERE c.asked_by = p.id AND c.kind <> 'report') \
        AND NOT EXISTS (SELECT 1 FROM tasks c INDEXED BY tasks_asked_by WHERE c.asked_by = p.id \
            AND (c.kind = 'report' OR c.state IN ('queued', 'running'))) \
    ORDER BY p.seq";

/// The tasks of the coordinator that a report is due of, oldest first.
pub(crate) async fn due(pool: &SqlitePool, coordinator: IssueId) -> Result<Vec<TaskId>, StoreError> {
    let rows = sqlx::query(DUE).bind(coordinator.to_string()).fetch_all(pool).await.map_err(explain)?;
    rows.iter().map(|found| row::parsed(found, "t_id")).collect()
}

/// What was asked for during this task of the coordinator's, oldest first, each with its latest run.
pub(crate) async fn asked_by(pool: &SqlitePool, task: TaskId) -> Result<Vec<RunView>, StoreError> {
    let rows = sqlx::query(run_view!("WHERE t.asked_by = ? ORDER BY t.seq"));
    Ok(views(&rows.bind(task.to_string()).fetch_all(pool).await.map_err(explain)?))
}

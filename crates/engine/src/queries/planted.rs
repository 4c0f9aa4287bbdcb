//! What an agent left in an issue's worktree for programs of the user to execute.

use kugetsu_api::issue::IssueQuery;
use kugetsu_api::problem::{Problem, ProblemKind};

use super::diff::opened;
use crate::engine::Engine;

/// # Errors
/// There is no such issue, it has no worktree, or it cannot be read.
pub async fn planted(engine: &Engine, query: &IssueQuery) -> Result<Vec<String>, Problem> {
    let (issue, worktree) = opened(engine, &query.reference, &query.cwd).await?;
    let base = issue.worktree.as_ref().and_then(|files| files.base_sha.as_deref()?.parse().ok());
    worktree.planted(base.as_ref()).await.map_err(|error| {
        Problem::new(ProblemKind::Failed, format!("could not look at the worktree of {}: {error}", issue.reference))
    })
}

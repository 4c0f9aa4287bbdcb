//! `kugetsu diff`: what an issue's worktree changes.

use std::io::ErrorKind;
use std::path::Path;

use kugetsu_api::issue::{DiffObject, DiffQuery, IssueQuery};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::issue::Issue;
use kugetsu_forge::references::reference::Reference;
use kugetsu_git::worktree::Worktree;

use crate::engine::Engine;
use crate::problems::{problem, usage};
use crate::{repositories, resolve};

/// Longest difference that is returned, in bytes.
const DIFF_MAX: usize = 16 * 1024 * 1024;

/// Compares the files of an issue with the commit that its work began at.
///
/// # Errors
/// There is no such issue, it has no worktree, or git cannot compare.
pub async fn diff(engine: &Engine, query: &DiffQuery) -> Result<DiffObject, Problem> {
    let (issue, worktree) = opened(engine, &query.reference, &query.cwd).await?;
    let base_sha = issue.worktree.as_ref().and_then(|files| files.base_sha.clone());
    let base = base_sha.as_deref().and_then(|sha| sha.parse().ok());
    let compared = worktree.diff(base.as_ref(), query.stat).await;
    let mut diff = compared.map_err(|error| {
        Problem::new(ProblemKind::Failed, format!("could not compare the files of {}: {error}", issue.reference))
    })?;
    let truncated = diff.len() > DIFF_MAX;
    diff.truncate(DIFF_MAX);
    let diff = String::from_utf8_lossy(&diff).into_owned();
    Ok(DiffObject { issue: issue.reference.to_string(), base_sha, diff, truncated })
}

/// Lists what an agent left in an issue's worktree for programs of the user to execute.
///
/// # Errors
/// There is no such issue, it has no worktree, or it cannot be read.
pub async fn planted(engine: &Engine, query: &IssueQuery) -> Result<Vec<String>, Problem> {
    let (issue, worktree) = opened(engine, &query.reference, &query.cwd).await?;
    let base = issue.worktree.as_ref().and_then(|files| files.base_sha.as_deref()?.parse().ok());
    worktree.planted(base.as_ref()).await.map_err(|error| {
        Problem::new(ProblemKind::Failed, format!("could not look at the worktree of {}: {error}", issue.reference))
    })
}

/// The worktree of an issue, for a person to look at.
async fn opened(engine: &Engine, reference: &str, cwd: &str) -> Result<(Issue, Worktree), Problem> {
    let issue = resolve::issue(engine, &Reference::new(reference), Path::new(cwd)).await?;
    if issue.reference.is_coordinator() {
        return Err(usage("the coordinator has no worktree"));
    }
    let mirror = repositories::mirror(engine, &issue).await;
    let mirror = mirror.map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?;
    let worktree = repositories::worktree(engine, &issue, &mirror).await;
    let worktree = worktree.map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?;
    let worktree = worktree.ok_or_else(|| no_worktree(&issue))?;
    if worktree.dir().symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        let reference = &issue.reference;
        let message = format!("the worktree of {reference} was removed: {} is missing", worktree.dir().display());
        return Err(Problem::new(ProblemKind::Failed, message).hint(format!(
            "make it again from what was pushed with `kugetsu continue {reference} \"<message>\"`; list rescues with \
             `kugetsu rescue list {reference}`"
        )));
    }
    Ok((issue, worktree))
}

fn no_worktree(issue: &Issue) -> Problem {
    let reference = &issue.reference;
    Problem::new(ProblemKind::NotFound, format!("{reference} has no worktree"))
        .hint(format!("list its rescues with `kugetsu rescue list {reference}`"))
}

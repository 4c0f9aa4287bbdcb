//! Lists, restores and deletes rescues.

use std::path::Path;

use kugetsu_api::issue::IssueQuery;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::rescue::{DropRescuesRequest, RescueObject, RestoreRequest, Restored};
use kugetsu_domain::issue::Issue;
use kugetsu_forge::references::reference::Reference;
use kugetsu_git::mirror::Mirror;
use kugetsu_git::rescue::{self, Rescue, RescueError};

use crate::engine::Engine;
use crate::problems::{internal, problem, store_failed};
use crate::repositories;
use crate::resolve;
use kugetsu_domain::rescue_time;
use kugetsu_domain::text::counted;

/// Rescues that a note names.
const LISTED: usize = 3;

/// Returns the rescues of an issue, or of all issues, newest first.
pub async fn list(engine: &Engine, query: Option<&IssueQuery>) -> Result<Vec<RescueObject>, Problem> {
    let mut all = Vec::new();
    match query {
        Some(query) => {
            let issue = resolve::issue(engine, &Reference::new(&query.reference), Path::new(&query.cwd)).await?;
            let repo = engine.store().repo(&issue.reference.repo).await.map_err(store_failed)?;
            if let Some(repo) = repo
                && let Some(mirror) = repositories::mirror_if_there(engine, &repo)
                    .await
                    .map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?
            {
                all = of_issue(&mirror, &issue).await?;
            }
        }
        None => {
            for repo in engine.store().repos().await.map_err(store_failed)? {
                let Some(mirror) = repositories::mirror_if_there(engine, &repo)
                    .await
                    .map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?
                else {
                    continue;
                };
                let found = rescue::list(&mirror, None)
                    .await
                    .map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?;
                all.extend(found.into_iter().map(|rescue| object(format!("{}#{}", repo.name, rescue.issue), rescue)));
            }
        }
    }
    all.sort_by(|one, two| two.at.cmp(&one.at));
    Ok(all)
}

/// Restores a rescue into a new directory.
///
/// # Errors
/// There is no such rescue, or the directory exists.
pub async fn restore(engine: &Engine, request: &RestoreRequest) -> Result<Restored, Problem> {
    let issue = resolve::issue(engine, &Reference::new(&request.reference), Path::new(&request.cwd)).await?;
    let mirror = repositories::mirror(engine, &issue)
        .await
        .map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?;
    let all = of_issue(&mirror, &issue).await?;
    let no_rescue = || {
        Problem::new(ProblemKind::NotFound, format!("{} has no rescue", issue.reference))
            .hint("list all rescues with `kugetsu rescue list`")
    };
    let chosen = match &request.rescue {
        None => all.first().ok_or_else(no_rescue)?,
        Some(name) => all.iter().find(|rescue| rescue.is_called(name)).ok_or_else(|| {
            Problem::new(ProblemKind::NotFound, format!("{} has no rescue {name:?}", issue.reference))
                .hint(format!("list its rescues with `kugetsu rescue list {}`", issue.reference))
        })?,
    };
    let into = Path::new(&request.cwd).join(&request.into);
    match rescue::restore(&mirror, &chosen.reference, &into).await {
        Ok(restored) => Ok(Restored {
            directory: restored.dir.canonicalize().unwrap_or(restored.dir).display().to_string(),
            notes: restored.notices.into_iter().chain(others(&all, Some(&restored.name))).collect(),
            reference: restored.name,
        }),
        Err(error @ (RescueError::Git(_) | RescueError::File(_))) => {
            Err(problem(ProblemKind::Failed, &error, error.hint()))
        }
        Err(error) => Err(problem(ProblemKind::Usage, &error, error.hint())),
    }
}

/// Deletes rescues of an issue for good. Returns those that are deleted.
///
/// # Errors
/// One of them does not exist; then none is deleted.
pub async fn drop_rescues(engine: &Engine, request: &DropRescuesRequest) -> Result<Vec<RescueObject>, Problem> {
    let query = IssueQuery { reference: request.reference.clone(), cwd: request.cwd.clone() };
    let all = match list(engine, Some(&query)).await {
        // After the database was lost there may be rescues of issues that it does not know.
        Err(problem) if problem.kind == ProblemKind::NotFound => {
            let mut all = list(engine, None).await?;
            all.retain(|rescue| rescue.issue == request.reference);
            if all.is_empty() {
                return Err(problem);
            }
            all
        }
        all => all?,
    };
    let mut chosen = Vec::new();
    for name in &request.rescues {
        let found = all.iter().find(|rescue| rescue.is_called(name)).ok_or_else(|| {
            Problem::new(ProblemKind::NotFound, format!("{} has no rescue {name:?}", request.reference))
                .hint(format!("list its rescues with `kugetsu rescue list {}`", request.reference))
        })?;
        chosen.push(found.clone());
    }
    let Some(issue) = chosen.first().map(|rescue| rescue.issue.clone()) else { return Ok(chosen) };
    let repo = issue.rsplit_once('#').map_or(issue.as_str(), |(repo, _)| repo);
    let stored = engine.store().repos().await.map_err(store_failed)?;
    let repo = stored.into_iter().find(|stored| stored.name.to_string() == repo);
    let repo = repo.ok_or_else(|| internal(format!("the repository of {issue} is no longer stored")))?;
    let failed = |error: &RescueError| problem(ProblemKind::Failed, error, error.hint());
    let mirror = repositories::mirror_if_there(engine, &repo)
        .await
        .map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?
        .ok_or_else(|| internal(format!("the mirror of {} is gone", repo.name)))?;
    for rescue in &chosen {
        rescue::remove(&mirror, &rescue.reference).await.map_err(|error| failed(&error))?;
        tracing::info!(issue = rescue.issue, reference = rescue.reference, "the user deleted a rescue");
    }
    Ok(chosen)
}

/// Returns a note about the rescues of an issue besides the one that is named to the user; none if there are no others.
pub(crate) async fn note_on_others(engine: &Engine, issue: &Issue, named: Option<&str>) -> Option<String> {
    let repo = engine.store().repo(&issue.reference.repo).await.ok()??;
    let all = match repositories::mirror_if_there(engine, &repo).await {
        Ok(None) => return None,
        Ok(Some(mirror)) => of_issue(&mirror, issue).await.map_err(|problem| problem.message),
        Err(error) => Err(error.to_string()),
    };
    match all {
        Ok(all) => others(&all, named),
        Err(why) => Some(format!("{} may have more rescues, but they could not be listed: {why}", issue.reference)),
    }
}

fn others(all: &[RescueObject], named: Option<&str>) -> Option<String> {
    let others: Vec<&RescueObject> = all.iter().filter(|rescue| Some(rescue.reference.as_str()) != named).collect();
    let issue = &others.first()?.issue;
    let listed = others.iter().take(LISTED).map(|rescue| {
        let name = rescue.reference.rsplit('/').next().unwrap_or_default();
        format!("{name} ({})", rescue.why)
    });
    let more = if others.len() > LISTED { ", ..." } else { "" };
    Some(format!(
        "{issue} has {} with other work: {}{more}; list them with `kugetsu rescue list {issue}`",
        counted(others.len() as u64, if named.is_some() { "more rescue" } else { "rescue" }),
        listed.collect::<Vec<_>>().join(", ")
    ))
}

async fn of_issue(mirror: &Mirror, issue: &Issue) -> Result<Vec<RescueObject>, Problem> {
    let found = rescue::list(mirror, Some(issue.reference.number))
        .await
        .map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?;
    let mut all: Vec<RescueObject> =
        found.into_iter().map(|rescue| object(issue.reference.to_string(), rescue)).collect();
    all.sort_by(|one, two| (&two.at, &two.reference).cmp(&(&one.at, &one.reference)));
    Ok(all)
}

fn object(issue: String, rescue: Rescue) -> RescueObject {
    RescueObject {
        issue,
        reference: rescue.name,
        commit: rescue.commit.to_string(),
        at: rescue_time::shown(&rescue.at),
        why: rescue.reason,
        files: rescue.files as u64,
    }
}

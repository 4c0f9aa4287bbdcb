//! Lists repositories, and follows local ones that were moved or deleted.

use std::path::Path;

use kugetsu_api::discard::discard;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::repo::{MoveRepoRequest, RepoObject};
use kugetsu_domain::redact::Redactor;
use kugetsu_domain::text::counted;
use kugetsu_git::rescue;
use kugetsu_store::query::IssueFilter;
use kugetsu_store::view::Repo;

use crate::engine::Engine;
use crate::problems::{absolute, internal, problem, store_failed, usage};
use crate::queries::repos::{find, stored};
use crate::sizes::size;
use crate::{repositories, resolve};

/// Issues that an error lists.
const LISTED: usize = 5;

/// Returns all repositories, oldest first.
///
/// # Errors
/// The store failed.
pub async fn list(engine: &Engine) -> Result<Vec<RepoObject>, Problem> {
    let mut objects = Vec::new();
    for repo in stored(engine).await? {
        objects.push(object(engine, &repo).await?);
    }
    Ok(objects)
}

/// The new path of a local repository, which was looked at.
#[derive(Debug)]
pub struct CheckedMove {
    repo: Repo,
    source: String,
}

/// Checks that a local repository is at its new path. Nothing is changed.
///
/// # Errors
/// It is on a server, or another repository is at the path, or one that has a name already.
pub async fn check_move(engine: &Engine, request: &MoveRepoRequest) -> Result<CheckedMove, Problem> {
    let cwd = absolute(&request.repo.cwd)?;
    let repo = find(engine, &request.repo.repo, cwd).await?;
    if !repo.name.base.is_local() {
        return Err(usage(format!("{} is on a server; only local repositories are moved", repo.name))
            .hint("name another clone address in repos.json in kugetsu's home"));
    }
    let path = resolve::expand(&request.path, cwd)?;
    if !resolve::look(&path, Path::is_dir).await? {
        return Err(usage(format!("{} is not a directory", path.display()))
            .hint(format!("name the directory to which {} was moved", repo.name)));
    }
    let located = resolve::locate(engine, &path).await?;
    let directory = resolve::main_directory(&located);
    let source = directory
        .to_str()
        .ok_or_else(|| usage(format!("the path {} is not UTF-8", directory.display())).hint("rename the directory"))?;
    if is_known_there(engine, &repo, source).await? {
        return Ok(CheckedMove { source: source.to_owned(), repo });
    }
    let mirror = repositories::mirror_if_there(engine, &repo).await;
    if let Some(mirror) = mirror.map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?
        && !mirror.is_of(&located).await.map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?
    {
        return Err(usage(format!("{source} is another repository than {}: they have no commit in common", repo.name))
            .hint("name the directory to which it was moved"));
    }
    Ok(CheckedMove { source: source.to_owned(), repo })
}

/// Makes kugetsu use a local repository at its new path.
///
/// # Errors
/// Another repository has been given the path since.
pub async fn move_to(engine: &Engine, CheckedMove { repo, source }: CheckedMove) -> Result<RepoObject, Problem> {
    // Two requests must not give one path to two repositories.
    let naming = engine.naming().lock().await;
    if !is_known_there(engine, &repo, &source).await? {
        engine.store().set_source(repo.name.clone(), source.clone()).await.map_err(store_failed)?;
    }
    drop(naming);
    object(engine, &Repo { source, ..repo }).await
}

/// Whether this path is that of the repository already.
///
/// # Errors
/// It is that of another one.
async fn is_known_there(engine: &Engine, repo: &Repo, source: &str) -> Result<bool, Problem> {
    let Some(other) = stored(engine).await?.into_iter().find(|known| known.source == source) else { return Ok(false) };
    if other.name == repo.name {
        return Ok(true);
    }
    Err(Problem::new(ProblemKind::Conflict, format!("{source} is known as {}", other.name)).hint(format!(
        "continue with the issues of {}, or make kugetsu forget it: kugetsu repo forget {}",
        other.name, other.name
    )))
}

/// Removes the mirror of a repository, and the repository from lists. Its name and the numbers of its issues stay taken.
///
/// # Errors
/// It has issues that are not destroyed, or rescues, which are in the mirror.
pub async fn forget(engine: &Engine, repo: &Repo) -> Result<RepoObject, Problem> {
    let _naming = engine.naming().lock().await;
    let open = engine.store().issues(IssueFilter::OpenIn(repo.name.clone()), LISTED).await.map_err(store_failed)?;
    if open.total > 0 {
        let names: Vec<String> = open.issues.iter().map(|issue| issue.reference.to_string()).collect();
        let count = counted(open.total as u64, "open issue");
        return Err(Problem::new(ProblemKind::Conflict, format!("{} has {count}: {}", repo.name, names.join(", ")))
            .hint(format!("destroy them first: kugetsu destroy {}", names.join(" "))));
    }
    let destroying = engine.store().issues(IssueFilter::Destroying, usize::MAX).await.map_err(store_failed)?;
    if destroying.issues.iter().any(|issue| issue.reference.repo == repo.name) {
        return Err(Problem::new(ProblemKind::Conflict, format!("an issue of {} is being destroyed", repo.name))
            .hint("try again when it is gone from `kugetsu list`"));
    }
    let before = object(engine, repo).await?;
    let mirror = repositories::mirror_if_there(engine, repo).await;
    if let Some(mirror) = mirror.map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))? {
        let rescues = rescue::list(&mirror, None).await;
        let rescues = rescues.map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?;
        if let Some(newest) = rescues.last() {
            let count = counted(rescues.len() as u64, "rescue");
            return Err(Problem::new(ProblemKind::Conflict, format!("the mirror of {} holds {count}", repo.name)).hint(
                format!(
                    "look at them with `kugetsu rescue list`, and delete those of an issue for good with `kugetsu rescue \
                     drop {}#{} --all`",
                    repo.name, newest.issue
                ),
            ));
        }
    }
    engine.store().set_source(repo.name.clone(), String::new()).await.map_err(store_failed)?;
    let directory = repositories::directory(engine, repo);
    discard(directory.clone())
        .await
        .map_err(|error| internal(format!("could not remove {}: {error}", directory.display())))?;
    Ok(before)
}

async fn object(engine: &Engine, repo: &Repo) -> Result<RepoObject, Problem> {
    let open = engine.store().issues(IssueFilter::OpenIn(repo.name.clone()), 1).await.map_err(store_failed)?;
    let directory = repositories::directory(engine, repo);
    let mirror_bytes = tokio::task::spawn_blocking(move || size(&directory)).await.map_err(internal)?;
    Ok(RepoObject {
        name: repo.name.to_string(),
        source: Redactor::new(Vec::<String>::new()).mask(&repo.source),
        kind: repo.kind.map(|kind| kind.name().to_owned()),
        open_issues: open.total as u64,
        mirror_bytes,
    })
}

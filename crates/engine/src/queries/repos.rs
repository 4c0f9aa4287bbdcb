//! Repositories that kugetsu has worked on.

use std::path::Path;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_forge::references::parser::parse;
use kugetsu_forge::references::reference::Reference;
use kugetsu_store::view::Repo;

use crate::engine::Engine;
use crate::problems::store_failed;
use crate::resolve;

/// Returns all repositories, oldest first, without the coordinator's and forgotten ones.
pub(crate) async fn stored(engine: &Engine) -> Result<Vec<Repo>, Problem> {
    let stored: Vec<Repo> = engine.store().repos().await.map_err(store_failed)?;
    Ok(stored.into_iter().filter(|repo| !repo.name.base.is_coordinator() && !repo.source.is_empty()).collect())
}

/// Returns the stored repository that `typed` names: a path, the whole name as kugetsu prints it, `owner/repo`, the last
/// part of the name, or a URL.
pub async fn find(engine: &Engine, typed: &str, cwd: &Path) -> Result<Repo, Problem> {
    let unknown = || {
        Problem::new(ProblemKind::NotFound, format!("kugetsu has not worked on a repository {typed}"))
            .hint("list issues with their repositories with `kugetsu list`")
    };
    let stored: Vec<Repo> = stored(engine).await?;
    // A local repository that was moved away is still named by its path.
    if let Reference::Path(path) = Reference::new(typed)
        && let path = resolve::expand(&path, cwd)?
        && let Some(repo) = stored.iter().find(|repo| Path::new(&repo.source) == path)
    {
        return Ok(repo.clone());
    }
    if let Some(found) = resolve::repo_at(engine, typed, cwd).await? {
        return found.ok_or_else(unknown);
    }
    if let Ok(address) = parse(typed, &engine.settings().servers.known(), None)
        && let Some(name) = address.repo()
        && let Some(repo) = stored.iter().find(|repo| repo.name == name)
    {
        return Ok(repo.clone());
    }
    let is_named = |repo: &&Repo| {
        let project = &repo.name.project;
        let whole = repo.name.to_string();
        [whole.as_str(), project.as_str(), project.name()].iter().any(|name| name.eq_ignore_ascii_case(typed))
    };
    let found: Vec<&Repo> = stored.iter().filter(is_named).collect();
    resolve::only_named(typed, found.iter().map(|repo| repo.name.to_string()).collect())?;
    found.first().map(|only| (*only).clone()).ok_or_else(unknown)
}

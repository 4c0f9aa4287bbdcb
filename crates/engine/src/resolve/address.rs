//! Parses addresses of issues and repositories, whose short forms depend on what is stored and where the user is.

use std::path::Path;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::reference::{ForgeKind, IssueRef, RepoRef};
use kugetsu_forge::clone_source::clone_source;
use kugetsu_forge::references::address::{Address, CurrentRepo};
use kugetsu_forge::references::parser::{needs_current_repo, parse};
use kugetsu_forge::references::server_index::KnownServer;
use kugetsu_git::command::GitError;
use kugetsu_git::mirror::{LocalRepo, SourceError};
use kugetsu_store::view::Repo;

use crate::engine::Engine;
use crate::problems::{problem, store_failed, usage};
use crate::resolve::directory::{known_local_repo, main_directory, worktree_issue};
use crate::settings::Settings;

/// Maximum number of candidates that an error lists.
pub(super) const LISTED: usize = 10;

/// Parses an address. One without a repository refers to that of the user's directory.
pub(super) async fn read(
    engine: &Engine,
    settings: &Settings,
    reference: &str,
    cwd: &Path,
) -> Result<Address, Problem> {
    let mut known = settings.servers.known();
    if !reference.contains("://") {
        known.extend(stored_servers(engine).await?);
    }
    let context = match needs_current_repo(reference) {
        true => context(engine, settings, cwd).await?,
        false => None,
    };
    match parse(reference, &known, context.as_ref()) {
        Ok(address) => Ok(address),
        Err(error) => match issue_by_repo_name(engine, reference).await? {
            Some(full) => parse(&full, &known, None),
            None => Err(error),
        }
        .map_err(|error| problem(ProblemKind::Usage, &error, error.hint())),
    }
}

/// Completes `name#12`, where `name` is the last part of the name of one stored repository, or the name of a watch.
///
/// # Errors
/// Several repositories have that name, and no watch.
async fn issue_by_repo_name(engine: &Engine, reference: &str) -> Result<Option<String>, Problem> {
    let Some((name, number)) = reference.split_once('#') else { return Ok(None) };
    let is_plain = !name.is_empty() && !name.contains(['/', ':']) && number.bytes().all(|byte| byte.is_ascii_digit());
    let Some(number) = number.parse().ok().filter(|_| is_plain) else { return Ok(None) };
    let stored = engine.store().repos().await.map_err(store_failed)?;
    let named = |repo: &Repo| repo.name.project.name().eq_ignore_ascii_case(name) && !repo.name.base.is_coordinator();
    let found = stored.into_iter().filter(named).map(|repo| IssueRef { repo: repo.name, number }.to_string());
    let found: Vec<String> = found.collect();
    let settings = engine.settings();
    match settings.watch(name).filter(|_| found.len() != 1) {
        Some(watch) => Ok(Some(IssueRef { repo: watch.repo.clone(), number }.to_string())),
        None => only_named(name, found),
    }
}

/// Returns the only one of the `found` references to repositories called `name`, or to their issues.
///
/// # Errors
/// There are several.
pub(crate) fn only_named(name: &str, mut found: Vec<String>) -> Result<Option<String>, Problem> {
    if found.len() > 1 {
        found.truncate(LISTED);
        return Err(usage(format!("several repositories are called {name}: {}", found.join(", ")))
            .hint(format!("name one of them, such as {}", found[0])));
    }
    Ok(found.pop())
}

/// Returns the servers of stored repositories, configured or not: short references leave out the scheme, and must be
/// understood when the user types them.
pub(crate) async fn stored_servers(engine: &Engine) -> Result<Vec<KnownServer>, Problem> {
    let stored = engine.store().repos().await.map_err(store_failed)?;
    let servers = stored.into_iter().filter(|repo| !repo.name.base.is_local() && !repo.name.base.is_coordinator());
    Ok(servers.map(|repo| KnownServer { kind: repo.kind, base: repo.name.base }).collect())
}

/// Returns the repository of the user's directory: that of its remote `origin`, else the local one.
pub(crate) async fn context(engine: &Engine, settings: &Settings, cwd: &Path) -> Result<Option<CurrentRepo>, Problem> {
    if let Some(issue) = worktree_issue(engine, cwd).await? {
        return Ok(Some(context_of(&issue.reference.repo, None)));
    }
    let located = match LocalRepo::find(engine.git(), cwd).await {
        Ok(located) => located,
        // A repository that git refuses to read, such as another user's, is no context.
        Err(
            SourceError::NoDirectory(_)
            | SourceError::NoRepository(_)
            | SourceError::InvalidUrl { .. }
            | SourceError::Git(GitError::Failed { .. }),
        ) => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    let known: Vec<KnownServer> = settings.servers.known();
    let origin = located.remote_url(engine.git(), "origin").await;
    if let Some(origin) = origin.map_err(|error| unreadable(&error.into()))?
        && let Ok(address) = parse(&origin, &known, None)
        && let Ok(source) = clone_source(&address, &settings.repositories, &settings.servers)
    {
        return Ok(Some(context_of(&source.repo, source.kind)));
    }
    let local = known_local_repo(engine, &main_directory(&located)).await?;
    Ok(local.map(|repo| context_of(&repo.name, repo.kind)))
}

fn unreadable(error: &SourceError) -> Problem {
    problem(ProblemKind::Failed, format!("cannot read the repository of this directory: {error}"), error.hint())
}

fn context_of(repo: &RepoRef, kind: Option<ForgeKind>) -> CurrentRepo {
    CurrentRepo { kind, base: repo.base.clone(), project: repo.project.clone() }
}

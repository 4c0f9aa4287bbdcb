//! Whether a mirror is needed, and since when it was not.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::naming;
use kugetsu_domain::reference::RepoRef;
use kugetsu_git::mirror::LocalRepo;
use kugetsu_store::query::{IssueFilter, ShownAs, ViewFilter, ViewQuery};
use kugetsu_store::view::Repo;

use crate::credentials::{source, with_token};
use crate::engine::Engine;
use crate::home::unknown::list;
use crate::home::used_numbers::references;
use crate::problems::{internal, problem, store_failed};
use crate::repositories;
use crate::sizes::modified_if_there;

/// Refs of a mirror that hold work which may be nowhere else.
const WORK: [&str; 3] = ["refs/kugetsu/rescue/", "refs/kugetsu/kept/", "refs/kugetsu/outgoing/"];

/// Returns what needs the mirror of a repository, for people; `None` if nothing does.
pub(super) async fn use_of(engine: &Engine, repo: &Repo) -> Result<Option<String>, Problem> {
    let open = engine.store().issues(IssueFilter::OpenIn(repo.name.clone()), 1).await.map_err(store_failed)?;
    if let Some(issue) = open.issues.first() {
        return Ok(Some(format!("{} is open", issue.reference)));
    }
    // A damaged row counts, too.
    if open.total > 0 {
        return Ok(Some("it has an open issue".to_owned()));
    }
    let destroying = engine.store().issues(IssueFilter::Destroying, usize::MAX).await.map_err(store_failed)?;
    if destroying.total > destroying.issues.len() || destroying.issues.iter().any(|one| one.reference.repo == repo.name)
    {
        return Ok(Some("an issue of it is being destroyed".to_owned()));
    }
    let (home, name, mirror) = (engine.home().clone(), repo.name.clone(), repositories::directory(engine, repo));
    let found = tokio::task::spawn_blocking(move || use_in_files(&home, &name, &mirror)).await.map_err(internal)?;
    found.map_err(|error| internal(format!("could not look for uses of the mirror of {}: {error}", repo.name)))
}

/// Worktrees and relays borrow the mirror's objects, also in quarantine.
fn use_in_files(home: &Home, repo: &RepoRef, mirror: &Path) -> io::Result<Option<String>> {
    let prefix = format!("{}-", naming::mirror_directory(repo));
    let mut homes = vec![home.clone()];
    homes.extend(list(&home.quarantine())?.into_iter().map(|time| Home::new(home.quarantine().join(time))));
    for home in &homes {
        for directory in [home.worktrees(), home.relays()] {
            if let Some(name) = list(&directory)?.into_iter().find(|name| name.starts_with(&prefix)) {
                return Ok(Some(format!("{} exists", directory.join(name).display())));
            }
        }
    }
    let work = references(mirror)?.into_iter().find(|name| WORK.iter().any(|namespace| name.starts_with(namespace)));
    Ok(work.map(|name| format!("it holds {name}")))
}

/// Returns when the mirror was last used: fetched, pushed from, or needed by a task.
pub(super) async fn last_used(engine: &Engine, repo: &Repo, directory: &Path) -> Result<Timestamp, Problem> {
    let filter = ViewFilter::Issues { shown_as: ShownAs::ALL.to_vec(), repo: Some(repo.name.clone()) };
    let latest = engine.store().views(ViewQuery::new(filter).limit(1)).await.map_err(store_failed)?.views.pop();
    let task = latest.map(|view| view.task.ended_at.unwrap_or(view.task.queued_at));
    // Every update writes refs, whose lock files change the directories.
    let files = ["", "HEAD", "packed-refs", "refs/kugetsu", "refs/remotes/origin"].map(|name| directory.join(name));
    Ok(files.iter().filter_map(|path| modified_if_there(path)).chain(task).max().unwrap_or(Timestamp::MAX))
}

/// Checks that the repository can be cloned again, with everything that was pushed to it.
///
/// # Errors
/// It cannot: the mirror may be the only copy.
pub(super) async fn check_source(engine: &Engine, repo: &Repo) -> Result<(), Problem> {
    let settings = engine.settings();
    let git = with_token(engine.git(), &settings, repo.name.base.as_str());
    let failed = |error: &dyn std::fmt::Display, hint: Option<String>| problem(ProblemKind::Failed, error, hint);
    let mirror = repositories::mirror_if_there(engine, repo).await.map_err(|error| failed(&error, error.hint()))?;
    let Some(mirror) = mirror else { return Ok(()) };
    if repo.name.base.is_local() {
        let located = LocalRepo::find(&git, Path::new(&repo.source)).await;
        let located = located.map_err(|error| failed(&error, error.hint()))?;
        if !mirror.is_of(&located).await.map_err(|error| failed(&error, error.hint()))? {
            return Err(internal(format!("{} is another repository than before", repo.source)));
        }
    } else {
        let branches = source(false, &repo.source).branches(&git).await;
        if branches.map_err(|error| failed(&error, error.hint()))?.is_empty() {
            return Err(internal(format!("{} has no branches any more", repo.source)));
        }
    }
    mirror.update(&mut |_| ()).await.map_err(|error| failed(&error, error.hint()))?;
    match mirror.pushed_only_here().await.map_err(|error| failed(&error, error.hint()))? {
        Some(branch) => Err(internal(format!("{} does not have all commits of {branch} any more", repo.source))),
        None => Ok(()),
    }
}

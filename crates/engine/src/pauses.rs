//! `kugetsu pause` and `kugetsu resume`: no agent starts in a repository, or anywhere.

use std::path::Path;

use kugetsu_agent::profile;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::hold::{Hold, HoldKind, Pause};
use kugetsu_domain::model_limit::Probe;
use kugetsu_domain::reference::RepoRef;

use crate::engine::Engine;
use crate::holds;
use crate::problems::store_failed;
use crate::queries::repos;

/// The result of a request.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The pause that was made or ended, or the one that there was already.
    pub pause: Option<Pause>,
    /// Whether the request changed anything.
    pub has_changed: bool,
    /// The holds afterwards.
    pub holds: Vec<Hold>,
}

/// Pauses a repository, or everything. Runs in progress continue.
///
/// # Errors
/// The database failed.
pub async fn pause(engine: &Engine, repo: Option<RepoRef>) -> Result<Changed, Problem> {
    let before = find(engine, repo.as_ref()).await?;
    let pause = before.clone().unwrap_or_else(|| Pause { repo, since: engine.now() });
    if before.is_none() {
        engine.store().add_pause(pause.clone()).await.map_err(store_failed)?;
        // A task that was chosen before is claimed now, or not at all.
        drop(engine.claims().lock().await);
        tracing::info!(repo = name(pause.repo.as_ref()), "paused: no agent starts");
        engine.holds_changed();
    }
    let holds = holds::felt(engine).await.map_err(store_failed)?;
    Ok(Changed { pause: Some(pause), has_changed: before.is_none(), holds })
}

/// Ends the pause of a repository, or of everything, and then also the wait for agents that failed at their start. Pauses of single repositories outlast that of everything.
///
/// # Errors
/// The database failed.
pub async fn resume(engine: &Engine, repo: Option<RepoRef>) -> Result<Changed, Problem> {
    let before = find(engine, repo.as_ref()).await?;
    let earlier = holds::felt(engine).await.map_err(store_failed)?;
    // A person who resumes everything has corrected what kept agents from starting.
    let is_agent = |hold: &Hold| matches!(hold.kind, HoldKind::FailedStarts { .. });
    let forgives = repo.is_none() && earlier.iter().any(is_agent);
    if forgives {
        engine.store().resume_agent("", engine.now()).await.map_err(store_failed)?;
    }
    if before.is_some() {
        engine.store().remove_pause(repo.clone()).await.map_err(store_failed)?;
        tracing::info!(repo = name(repo.as_ref()), "resumed");
    }
    if before.is_some() || forgives {
        engine.holds_changed();
    }
    let holds = holds::felt(engine).await.map_err(store_failed)?;
    Ok(Changed { has_changed: before.is_some() || forgives, pause: before, holds })
}

/// Lets one task of an agent start at once although the provider limits its use, or although it fails at its start. Further tasks follow
/// once that one shows that the agent works.
///
/// # Errors
/// There is no such agent, or the database failed.
pub async fn resume_agent(engine: &Engine, agent: &str) -> Result<Changed, Problem> {
    let earlier = holds::felt(engine).await.map_err(store_failed)?;
    let waits = |hold: &Hold| match &hold.kind {
        HoldKind::FailedStarts { failed, probe } => failed.agent == agent && *probe == Probe::Later,
        HoldKind::ModelLimit { limit, probe } => limit.account.agent == agent && *probe == Probe::Later,
        _ => false,
    };
    let has_changed = earlier.iter().any(waits);
    // An agent that was removed from the settings may still have tasks.
    if !has_changed && let Err(unknown) = profile(agent, &engine.settings().profiles) {
        return Err(
            Problem::new(ProblemKind::NotFound, unknown.to_string()).hint("list the agents with `kugetsu agents`")
        );
    }
    if has_changed {
        engine.store().resume_agent(agent, engine.now()).await.map_err(store_failed)?;
        tracing::info!(agent, "resumed");
        engine.holds_changed();
    }
    let holds = holds::felt(engine).await.map_err(store_failed)?;
    Ok(Changed { pause: None, has_changed, holds })
}

async fn find(engine: &Engine, repo: Option<&RepoRef>) -> Result<Option<Pause>, Problem> {
    let pauses = engine.store().pauses().await.map_err(store_failed)?;
    Ok(pauses.into_iter().find(|pause| pause.repo.as_ref() == repo))
}

fn name(repo: Option<&RepoRef>) -> String {
    repo.map_or_else(|| "all".to_owned(), ToString::to_string)
}

/// Returns the repository that `typed` names: one that kugetsu has worked on, or a watched one.
///
/// # Errors
/// It is neither, or several have that name.
pub async fn repo(engine: &Engine, typed: &str, cwd: &Path) -> Result<RepoRef, Problem> {
    let number = typed.rsplit_once('#').map(|(_, number)| number);
    if number.is_some_and(|number| number.parse::<u64>().is_ok()) {
        return Err(Problem::new(ProblemKind::Usage, format!("{typed} is an issue, not a repository"))
            .hint(format!("continue an issue with `kugetsu continue {typed} \"<message>\"`")));
    }
    match repos::find(engine, typed, cwd).await {
        Ok(repo) => return Ok(repo.name),
        Err(problem) if problem.kind == ProblemKind::NotFound => {}
        Err(problem) => return Err(problem),
    }
    let settings = engine.settings();
    let is_named = |repo: &RepoRef| {
        let names = [repo.to_string(), format!("{}/{}", repo.base, repo.project), repo.project.to_string()];
        names.iter().any(|name| name.eq_ignore_ascii_case(typed))
    };
    let watched = settings.watches.iter().find(|watch| watch.name == typed || is_named(&watch.repo));
    watched.map(|watch| watch.repo.clone()).ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, format!("kugetsu neither works on nor watches a repository {typed}"))
            .hint("list the repositories with `kugetsu repo list` or `kugetsu watch list`")
    })
}

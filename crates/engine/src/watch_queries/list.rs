//! The watched repositories with their states.

use kugetsu_api::problem::Problem;
use kugetsu_api::watch::WatchObject;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::text::rfc3339;
use kugetsu_domain::watch::feedback::MergePolicy;
use kugetsu_store::error::StoreError;
use kugetsu_store::view::WatchState;

use crate::engine::Engine;
use crate::problems::{no_watch, store_failed};
use crate::repo_file::with_known_file;
use crate::watch::handover::load;
use crate::watches::Watch;

/// Returns all watches, by their names.
pub async fn list(engine: &Engine) -> Result<Vec<WatchObject>, Problem> {
    let settings = engine.settings();
    let mut objects = Vec::with_capacity(settings.watches.len());
    for watch in &settings.watches {
        objects.push(object(engine, watch).await.map_err(store_failed)?);
    }
    objects.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(objects)
}

/// Returns the watch with this name, or all of them.
///
/// # Errors
/// There is no such watch.
pub(super) fn selected(engine: &Engine, name: Option<&str>) -> Result<Vec<Watch>, Problem> {
    let all = engine.settings().watches.clone();
    let Some(name) = name else { return Ok(all) };
    let found: Vec<Watch> = all.into_iter().filter(|watch| watch.name == name).collect();
    match found.is_empty() {
        true => Err(no_watch(name)),
        false => Ok(found),
    }
}

async fn object(engine: &Engine, watch: &Watch) -> Result<WatchObject, StoreError> {
    let watch = &with_known_file(engine, watch);
    let state = engine.store().watch(watch.repo.clone()).await?;
    let load = load(engine, watch).await?;
    let policy = &watch.policy;
    Ok(WatchObject {
        name: watch.name.clone(),
        repo: watch.repo.to_string(),
        label: policy.label.clone(),
        assignee: policy.assignee.clone(),
        trust: policy.trust.to_string(),
        agent: watch.agent.clone().unwrap_or_else(|| engine.settings().default_agent.clone()),
        model: watch.model.clone(),
        base: watch.base.clone(),
        merge: match watch.feedback.merge {
            MergePolicy::Never => "never",
            MergePolicy::WhenGreen => "when-green",
            MergePolicy::WhenApproved => "when-approved",
        }
        .to_owned(),
        paused: watch.is_paused,
        polled_at: state.polled_at.map(rfc3339),
        poll: watch.poll(state.has_hook()).as_secs(),
        webhook: webhook(&state).to_owned(),
        error: state.error,
        waiting: waiting(engine, watch).await?.len() as u64,
        running: load.running.into(),
        max_running: policy.max_running,
        open_prs: load.open_pull_requests.saturating_sub(load.unopened_pull_requests).into(),
        max_open_prs: policy.max_open_pull_requests,
    })
}

fn webhook(state: &WatchState) -> &'static str {
    match state.hooked_at {
        Some(_) if state.has_hook() => "works",
        Some(_) => "missed",
        None => "none",
    }
}

/// The numbers of the issues that were handed over and that kugetsu has not worked on.
pub(super) async fn waiting(engine: &Engine, watch: &Watch) -> Result<Vec<u64>, StoreError> {
    let mut waiting = Vec::new();
    for (number, _) in engine.store().candidates(watch.repo.clone()).await? {
        let reference = IssueRef { repo: watch.repo.clone(), number };
        if engine.store().issue(&reference).await?.is_none() {
            waiting.push(number);
        }
    }
    Ok(waiting)
}

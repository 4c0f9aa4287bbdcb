//! Requests about pauses.

use std::path::Path;

use kugetsu_api::pause::{HoldObject, PauseObject, PauseRequest, UnmeasuredObject};
use kugetsu_domain::hold::{Hold, Resource};
use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::text::rfc3339;
use kugetsu_engine::headroom::Unmeasured;
use kugetsu_engine::pauses::{self, Changed};
use kugetsu_engine::{Engine, holds};

use crate::api_error::ApiError;
use crate::app_state::AppState;
use crate::routes::detached;

pub(crate) async fn pause(app: AppState, request: PauseRequest) -> Result<PauseObject, ApiError> {
    let repo = repo(&app, &request).await?;
    detached(async move {
        let changed = pauses::pause(&app.engine, repo.clone()).await?;
        pause_object(&app.engine, repo, changed, true).await
    })
    .await
}

pub(crate) async fn resume(app: AppState, request: PauseRequest) -> Result<PauseObject, ApiError> {
    if let Some(agent) = request.agent {
        return detached(async move {
            let changed = pauses::resume_agent(&app.engine, &agent).await?;
            let object = pause_object(&app.engine, None, changed, false).await?;
            Ok::<_, ApiError>(PauseObject { agent: Some(agent), ..object })
        })
        .await;
    }
    let repo = repo(&app, &request).await?;
    detached(async move {
        let changed = pauses::resume(&app.engine, repo.clone()).await?;
        pause_object(&app.engine, repo, changed, false).await
    })
    .await
}

async fn repo(app: &AppState, request: &PauseRequest) -> Result<Option<RepoRef>, ApiError> {
    // A watch may have been added a moment ago.
    app.control.refresh().await;
    match &request.repo {
        Some(typed) => Ok(Some(pauses::repo(&app.engine, typed, Path::new(&request.cwd)).await?)),
        None => Ok(None),
    }
}

pub(crate) async fn pause_object(
    engine: &Engine,
    repo: Option<RepoRef>,
    changed: Changed,
    paused: bool,
) -> Result<PauseObject, ApiError> {
    let queue = engine.store().queue(0).await?;
    Ok(PauseObject {
        repo: repo.map(|repo| repo.to_string()),
        agent: None,
        paused,
        changed: changed.has_changed,
        since: changed.pause.map(|pause| rfc3339(pause.since)),
        running: queue.running as u64,
        queued: queue.queued,
        holds: changed.holds.iter().map(hold_object).collect(),
    })
}

pub(crate) fn unmeasured_object(unmeasured: &Unmeasured) -> UnmeasuredObject {
    let setting = match unmeasured.resource {
        Resource::Memory | Resource::Pressure => "queue.min_memory",
        Resource::Disk => "queue.min_disk",
    };
    UnmeasuredObject { setting: setting.to_owned(), error: unmeasured.error.clone() }
}

pub(crate) fn hold_object(hold: &Hold) -> HoldObject {
    let reason = holds::describe(hold);
    HoldObject {
        kind: hold.name().to_owned(),
        repo: hold.repo().map(ToString::to_string),
        since: rfc3339(hold.since),
        until: hold.until.map(rfc3339),
        reason: reason.text,
        hint: reason.hint,
    }
}

//! Requests about watched repositories.

use kugetsu_api::endpoint::NoFields;
use kugetsu_api::watch::{PollObject, PollRequest, ProbeObject, ProbeRequest, StallObject, WatchObject};
use kugetsu_domain::schedule::Stall;
use kugetsu_domain::text::rfc3339;
use kugetsu_engine::watch_queries::polls::Mode;
use kugetsu_engine::watch_queries::{list, polls, probe};

use crate::api_error::ApiError;
use crate::app_state::AppState;
use crate::routes::detached;

pub(crate) async fn list(app: AppState, _: NoFields) -> Result<Vec<WatchObject>, ApiError> {
    // The command before this one may have changed them.
    app.control.refresh().await;
    Ok(list::list(&app.engine).await?)
}

pub(crate) async fn probe(app: AppState, request: ProbeRequest) -> Result<ProbeObject, ApiError> {
    app.control.refresh().await;
    Ok(probe::probe(&app.engine, &request).await?)
}

pub(crate) async fn poll(app: AppState, request: PollRequest) -> Result<Vec<PollObject>, ApiError> {
    app.control.refresh().await;
    detached(async move { polls::poll(&app.engine, &request, Mode::Real).await }).await
}

pub(crate) fn stall_object(stall: &Stall) -> StallObject {
    StallObject {
        since: rfc3339(stall.since),
        tasks: stall.work.tasks as u64,
        issues: stall.work.issues.iter().map(ToString::to_string).collect(),
    }
}

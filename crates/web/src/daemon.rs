//! The daemon itself.

use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use kugetsu_api::status::StatusObject;
use kugetsu_engine::queries::tasks;
use kugetsu_process::Tracking;

use crate::convert::run_object;
use crate::fault::Fault;
use crate::shared::Shared;

/// Found out by trying, which makes a cgroup and starts a process: once, and not for every question.
static TRACKING: LazyLock<Tracking> = LazyLock::new(Tracking::detect);

pub(crate) async fn status(State(shared): State<Shared>) -> Result<Json<StatusObject>, Fault> {
    // The settings may have been changed a moment ago.
    shared.control.refresh().await;
    let faults = shared.control.faults.borrow().clone();
    let status = tasks::status(&shared.engine).await?;
    let containment = tokio::task::spawn_blocking(|| *TRACKING).await;
    Ok(Json(StatusObject {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        home: shared.engine.home().path().display().to_string(),
        started_at: shared.engine.started_at().to_string(),
        running: status.running as u64,
        places_taken: status.slots_in_use as u64,
        places: status.slots as u64,
        queued: status.queued,
        coordinator: status.coordinator.as_ref().map(|view| run_object(shared.engine.home(), view)),
        coordinator_queued: status.coordinator_queued,
        containment: containment.map_or_else(|error| error.to_string(), |means| means.to_string()),
        settings_error: faults.error,
        settings_warnings: faults.warnings,
    }))
}

pub(crate) async fn check(State(shared): State<Shared>) -> Result<Json<Vec<String>>, Fault> {
    let store = shared.engine.store();
    Ok(Json(store.check().await?))
}

pub(crate) async fn stop(State(shared): State<Shared>) -> Json<()> {
    // A full channel means that somebody asked already.
    let _ = shared.control.stop.try_send(());
    Json(())
}

pub(crate) async fn reload(State(shared): State<Shared>) -> Result<Json<()>, Fault> {
    shared.control.read_again().await?;
    Ok(Json(()))
}

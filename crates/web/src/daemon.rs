//! Requests about the daemon itself.

use std::sync::LazyLock;
use std::time::Duration;

use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::gc::{GcObject, GcRequest};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::status::{HealthObject, StatusObject};
use kugetsu_domain::text::rfc3339;
use kugetsu_engine::home::quarantine;
use kugetsu_engine::schema::RunSandbox;
use kugetsu_engine::{gc, queries};
use kugetsu_process::Tracking;
use kugetsu_process::sandbox::{Backend, Helper, NoBackend, best_backend};

use crate::api_error::ApiError;
use crate::app_state::AppState;
use crate::convert::run_object;
use crate::pauses::{hold_object, unmeasured_object};
use crate::routes::detached;
use crate::watches::stall_object;

/// How long the database may take to answer whether it works.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Detected once, because detection creates a cgroup and starts a process.
static TRACKING: LazyLock<Tracking> = LazyLock::new(Tracking::detect);
/// When the state was first requested. Each run finds out for itself.
static SANDBOX: LazyLock<Result<Backend, NoBackend>> = LazyLock::new(|| best_backend(&Helper::of_this_program()));

/// How agents of issues are sandboxed.
async fn sandbox(setting: RunSandbox) -> String {
    if setting == RunSandbox::Off {
        return "off (run.sandbox)".to_owned();
    }
    match tokio::task::spawn_blocking(|| SANDBOX.clone()).await {
        Ok(Ok(backend)) => backend.to_string(),
        Ok(Err(_)) => "none on this machine; see `kugetsu doctor`".to_owned(),
        Err(error) => error.to_string(),
    }
}

pub(crate) async fn status(app: AppState, _: NoFields) -> Result<StatusObject, ApiError> {
    // The settings may have changed a moment ago.
    app.control.refresh().await;
    let diagnostics = app.control.diagnostics.borrow().clone();
    let status = queries::tasks::status(&app.engine).await?;
    let home = app.engine.home().clone();
    let quarantined = tokio::task::spawn_blocking(move || quarantine::list(&home)).await.map_err(std::io::Error::other);
    let quarantined = quarantined.flatten().map(|all| all.len() as u64);
    let containment = tokio::task::spawn_blocking(|| *TRACKING).await;
    Ok(StatusObject {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        home: app.engine.home().path().display().to_string(),
        started_at: rfc3339(app.engine.started_at()),
        running: status.running as u64,
        places_taken: status.slots_in_use as u64,
        places: status.slots as u64,
        queued: status.queued,
        coordinator: status.coordinator.as_ref().map(|view| run_object(app.engine.home(), view)),
        coordinator_queued: status.coordinator_queued,
        quarantined: quarantined.map_err(|error| Problem::new(ProblemKind::Failed, error.to_string()))?,
        default_agent: app.engine.settings().default_agent.clone(),
        storage: gc::storage(&app.engine),
        containment: containment.map_or_else(|error| error.to_string(), |tracking| tracking.to_string()),
        sandbox: sandbox(app.engine.settings().run.sandbox).await,
        stall: app.engine.stall().as_ref().map(stall_object),
        holds: status.holds.iter().map(hold_object).collect(),
        unmeasured: app.engine.unmeasured().iter().map(unmeasured_object).collect(),
        settings_error: diagnostics.error,
        settings_warnings: diagnostics.warnings,
    })
}

/// The database counts as well: a daemon that cannot read it cannot work.
pub(crate) async fn health(app: AppState, _: NoFields) -> Result<HealthObject, ApiError> {
    let reading = tokio::time::timeout(HEALTH_TIMEOUT, app.engine.store().last_event(None, None)).await;
    let failed = |why: &str| {
        Problem::new(ProblemKind::Failed, why.to_owned())
            .hint("look at its log with `kugetsu doctor`; `kugetsu daemon restart` starts it again, and runs continue")
    };
    reading.map_err(|_| failed("the daemon's database does not respond"))??;
    Ok(HealthObject {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: endpoints::PROTOCOL,
        pid: std::process::id(),
        requests: app.control.requests.count(),
        // Set by systemd for what it starts.
        managed: std::env::var_os("INVOCATION_ID").is_some(),
    })
}

pub(crate) async fn gc(app: AppState, request: GcRequest) -> Result<GcObject, ApiError> {
    app.control.refresh().await;
    detached(async move { gc::collect(&app.engine, &request).await }).await
}

pub(crate) async fn check(app: AppState, _: NoFields) -> Result<Vec<String>, ApiError> {
    Ok(app.engine.store().check().await?)
}

pub(crate) async fn stop(app: AppState, _: NoFields) -> Result<(), ApiError> {
    // If the channel is full, the daemon is stopping already.
    let _ = app.control.stop.try_send(());
    Ok(())
}

pub(crate) async fn reload(app: AppState, _: NoFields) -> Result<(), ApiError> {
    Ok(app.control.reload().await?)
}

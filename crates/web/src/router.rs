//! Which request goes where.

use axum::Router;
use axum::routing::{get, post};
use kugetsu_api::path;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_engine::Engine;

use crate::control::Control;
use crate::fault::Fault;
use crate::shared::Shared;
use crate::{adopt, daemon, delegate, issues, rescues, runs, tasks};

/// The whole API.
pub(crate) fn router(engine: Engine, control: Control) -> Router {
    Router::new()
        .route(path::STATUS, get(daemon::status))
        .route(path::CHECK, get(daemon::check))
        .route(path::STOP, post(daemon::stop))
        .route(path::RELOAD, post(daemon::reload))
        .route(path::TASKS, post(tasks::queue).get(tasks::list))
        .route(path::TASK, get(tasks::show))
        .route(path::TASK_CANCEL, post(tasks::cancel))
        .route(path::TASK_RETRY, post(tasks::retry))
        .route(path::TASKS_CLEAN, post(tasks::clean))
        .route(path::DELEGATE, post(delegate::delegate))
        .route(path::DELEGATE_CANDIDATES, post(delegate::candidates))
        .route(path::DELEGATED, get(delegate::delegated))
        .route(path::ADOPT, post(adopt::adopt))
        .route(path::ISSUES, get(issues::list))
        .route(path::ISSUE_TASK, get(issues::task))
        .route(path::ISSUE_WHY, get(issues::why))
        .route(path::ISSUE_CHANGE, post(issues::change))
        .route(path::ISSUE, get(issues::show))
        .route(path::ISSUE_AT_RISK, get(issues::at_risk))
        .route(path::ISSUE_DESTROY, post(issues::destroy))
        .route(path::EVENTS, get(issues::events))
        .route(path::TRANSCRIPT, get(issues::transcript))
        .route(path::RESCUES, get(rescues::list))
        .route(path::RESCUE_RESTORE, post(rescues::restore))
        .route(path::RUN_FACTS, post(runs::facts))
        .route(path::RUN_REPORT, post(runs::records))
        .route(path::RUN_ORDERS, get(runs::orders))
        .fallback(unknown)
        .with_state(Shared { engine, control })
}

async fn unknown() -> Fault {
    Problem::new(ProblemKind::Usage, "the daemon does not know this request")
        .hint("it may be of another version: kugetsu daemon stop, then try again")
        .into()
}

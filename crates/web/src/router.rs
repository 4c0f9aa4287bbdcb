//! The table of endpoints and their handlers.

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::routing::post;
use kugetsu_api::endpoints;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_engine::Engine;

use crate::api_error::ApiError;
use crate::app_state::{AppState, Control};
use crate::callers::admit;
use crate::routes::Routes;
use crate::{daemon, issues, pauses, runs, stops, tasks, watches};

pub(crate) fn router(engine: Engine, control: Control) -> Router {
    let requests = control.requests.clone();
    let warned = AppState { engine, control };
    let state = warned.clone();
    Routes(Router::new())
        .add(endpoints::STATUS, daemon::status)
        .add(endpoints::CHECK, daemon::check)
        .add(endpoints::STOP, daemon::stop)
        .add(endpoints::RELOAD, daemon::reload)
        .add(endpoints::PAUSE, pauses::pause)
        .add(endpoints::RESUME, pauses::resume)
        .add(endpoints::STOP_RUNS, stops::stop)
        .add(endpoints::GC, daemon::gc)
        .add(endpoints::QUEUE_TASK, tasks::queue)
        .add_list(endpoints::LIST_TASKS, tasks::list)
        .add(endpoints::SHOW_TASK, tasks::show)
        .add(endpoints::CANCEL_TASK, tasks::cancel)
        .add(endpoints::MOVE_TASK, tasks::move_task)
        .add(endpoints::RETRY_TASK, tasks::retry)
        .add(endpoints::CLEAN_TASKS, tasks::clean)
        .add(endpoints::DELEGATE, tasks::delegate)
        .add(endpoints::DELEGATE_CANDIDATES, tasks::delegate_candidates)
        .add(endpoints::DELEGATED, tasks::delegated)
        .add(endpoints::ADOPT, issues::adopt)
        .add_list(endpoints::LIST_ISSUES, issues::list)
        .add(endpoints::COUNT_ISSUES, issues::count)
        .add(endpoints::SHOW_ISSUE, issues::show)
        .add(endpoints::ISSUE_TASK, issues::task)
        .add(endpoints::ISSUE_WHY, issues::why)
        .add(endpoints::ISSUE_DIFF, issues::diff)
        .add(endpoints::ISSUE_PLANTED, issues::planted)
        .add(endpoints::SET_PULL_REQUEST, issues::set_pull_request)
        .add(endpoints::ISSUE_AT_RISK, issues::at_risk)
        .add(endpoints::DESTROY_ISSUE, issues::destroy)
        .add_stream(endpoints::EVENTS, issues::events)
        .add_stream(endpoints::TRANSCRIPT, issues::transcript)
        .add(endpoints::LIST_RESCUES, issues::rescues)
        .add(endpoints::RESTORE_RESCUE, issues::restore_rescue)
        .add(endpoints::DROP_RESCUES, issues::drop_rescues)
        .add(endpoints::LIST_REPOS, issues::repos)
        .add(endpoints::MOVE_REPO, issues::move_repo)
        .add(endpoints::FORGET_REPO, issues::forget_repo)
        .add(endpoints::LIST_WATCHES, watches::list)
        .add(endpoints::PROBE_REPO, watches::probe)
        .add(endpoints::POLL_WATCHES, watches::poll)
        .add(endpoints::CREATE_HOOK, issues::create_hook)
        .add(endpoints::SHOW_HOOK, issues::show_hook)
        .0
        .layer(from_fn_with_state(state.clone(), admit))
        .merge(for_everyone())
        .merge(for_runners())
        .fallback(unknown)
        .layer(from_fn(move |request: Request, next: Next| {
            let counted = (request.method() == Method::POST).then(|| requests.begin());
            let warned = warned.clone();
            async move {
                let mut response = next.run(request).await;
                drop(counted);
                if let Some(warnings) = warned.warnings() {
                    response.headers_mut().insert(endpoints::WARNINGS_HEADER, warnings);
                }
                response
            }
        }))
        .with_state(state)
}

/// Shows nothing of any issue.
fn for_everyone() -> Router<AppState> {
    Routes(Router::new()).add(endpoints::HEALTH, daemon::health).0
}

/// Each needs the key of the run that it is about.
fn for_runners() -> Router<AppState> {
    Routes(Router::new())
        .add_for_runner(endpoints::REPORT_RUN, runs::report)
        .add_for_runner(endpoints::RUN_ISSUE, runs::issue)
        .add_for_runner(endpoints::RUN_CHECKS, runs::checks)
        .add_stream_for_runner(endpoints::RUN_CONTROL, runs::control)
        .0
        .route(runs::RECORDS_PATH, post(runs::records))
}

async fn unknown() -> ApiError {
    Problem::new(ProblemKind::Usage, "the daemon does not support this request")
        .hint("it may be of another version; run `kugetsu daemon restart` and try again")
        .into()
}

//! Who sends a request: the process at the other end of the connection, and the key of a run.

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use kugetsu_api::endpoints::{ISSUE_TASK, ISSUE_WHY, LIST_ISSUES, LIST_TASKS, QUEUE_TASK, TRANSCRIPT};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::run_key::RUN_KEY_HEADER;
use kugetsu_domain::ids::RunId;
use kugetsu_engine::callers::Caller;
use kugetsu_engine::runners::access::{self, Credentials, RunnerAccess, authorize};

use crate::api_error::ApiError;
use crate::app_state::AppState;

/// The process that opened a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) Caller);

/// Lets a request through unless a process of an agent has sent it.
pub(crate) async fn admit(
    State(app): State<AppState>,
    ConnectInfo(Peer(caller)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let sent = Credentials { key: key(request.headers()), caller };
    access::admit(&app.engine, sent, is_tool(request.method(), request.uri().path())).await?;
    Ok(next.run(request).await)
}

/// Whether it is a request that the coordinator's tools send. Their paths have no fields.
fn is_tool(method: &Method, path: &str) -> bool {
    match method {
        &Method::GET => [
            LIST_ISSUES.route.path,
            LIST_TASKS.route.path,
            ISSUE_TASK.route.path,
            ISSUE_WHY.route.path,
            TRANSCRIPT.route.path,
        ]
        .contains(&path),
        method => method == Method::POST && path == QUEUE_TASK.route.path,
    }
}

/// The right to act as the runner of the run that the request's path names.
pub(crate) struct OfRunner(pub(crate) RunnerAccess);

impl FromRequestParts<AppState> for OfRunner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let invalid = |why: String| Problem::new(ProblemKind::Usage, why);
        let fields = RawPathParams::from_request_parts(parts, app).await;
        let fields = fields.map_err(|rejection| invalid(rejection.body_text()))?;
        let run = fields.iter().find(|(name, _)| *name == "run").map_or("", |(_, run)| run);
        let run: RunId = run.parse().map_err(|_| invalid(format!("{run:?} is not the ID of a run")))?;
        let caller =
            parts.extensions.get::<ConnectInfo<Peer>>().map_or(Caller::Gone, |ConnectInfo(Peer(caller))| *caller);
        let sent = Credentials { key: key(&parts.headers), caller };
        Ok(Self(authorize(&app.engine, run, sent).await?))
    }
}

fn key(headers: &HeaderMap) -> Option<&str> {
    headers.get(RUN_KEY_HEADER)?.to_str().ok()
}

//! A problem as an HTTP answer.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_store::error::StoreError;

/// What a handler answers when it cannot do what was asked.
#[derive(Debug)]
pub(crate) struct Fault(Problem);

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let problem = Problem::new(ProblemKind::Failed, error.to_string());
        Self(match error.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        })
    }
}

impl From<JsonRejection> for Fault {
    fn from(rejection: JsonRejection) -> Self {
        Self(Problem::new(ProblemKind::Usage, rejection.body_text()))
    }
}

impl From<QueryRejection> for Fault {
    fn from(rejection: QueryRejection) -> Self {
        Self(Problem::new(ProblemKind::Usage, rejection.body_text()))
    }
}

impl From<PathRejection> for Fault {
    fn from(rejection: PathRejection) -> Self {
        Self(Problem::new(ProblemKind::Usage, rejection.body_text()))
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = match self.0.kind {
            ProblemKind::Usage => StatusCode::BAD_REQUEST,
            ProblemKind::NotFound => StatusCode::NOT_FOUND,
            ProblemKind::Conflict | ProblemKind::NeedsPerson => StatusCode::CONFLICT,
            ProblemKind::Full => StatusCode::SERVICE_UNAVAILABLE,
            ProblemKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.0)).into_response()
    }
}

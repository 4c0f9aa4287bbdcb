//! A problem as an HTTP response.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_store::error::StoreError;

#[derive(Debug)]
pub(crate) struct ApiError(Problem);

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let problem = Problem::new(ProblemKind::Failed, error.to_string());
        Self(match error.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match self.0.kind {
            ProblemKind::Usage => StatusCode::BAD_REQUEST,
            ProblemKind::NotFound => StatusCode::NOT_FOUND,
            ProblemKind::Forbidden => StatusCode::FORBIDDEN,
            ProblemKind::Conflict | ProblemKind::NeedsPerson => StatusCode::CONFLICT,
            ProblemKind::Full => StatusCode::SERVICE_UNAVAILABLE,
            ProblemKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.0)).into_response()
    }
}

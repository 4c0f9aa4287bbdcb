//! Runners: their reports, and control messages to them.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use futures::StreamExt as _;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::record::{Acknowledged, REPORT_MAX, Report};
use kugetsu_api::run::{RunQuery, ToolText};
use kugetsu_api::run_spec::RunnerControl;
use kugetsu_engine::runners::access::RunnerAccess;
use kugetsu_engine::runners::report;
use kugetsu_engine::watch_queries::for_agent::{about_checks, about_issue};
use serde::Deserialize;

use crate::api_error::ApiError;
use crate::app_state::AppState;
use crate::callers::OfRunner;
use crate::ndjson::{NdJson, receiver_stream};

pub(crate) async fn report(app: AppState, access: RunnerAccess, report: Report) -> Result<Acknowledged, ApiError> {
    Ok(report::take_report(&app.engine, &access, report.facts, report.length).await?)
}

pub(crate) async fn control(
    app: AppState,
    access: RunnerAccess,
    _: RunQuery,
) -> Result<NdJson<RunnerControl>, ApiError> {
    let (first, later) = report::connect(&app.engine, &access).await?;
    let later = futures::stream::iter(later).flat_map(receiver_stream);
    Ok(NdJson::new(futures::stream::iter(first).chain(later).map(Ok)))
}

pub(crate) async fn issue(app: AppState, access: RunnerAccess, _: RunQuery) -> Result<ToolText, ApiError> {
    Ok(ToolText { text: about_issue(&app.engine, &access).await? })
}

pub(crate) async fn checks(app: AppState, access: RunnerAccess, _: RunQuery) -> Result<ToolText, ApiError> {
    Ok(ToolText { text: about_checks(&app.engine, &access).await? })
}

/// The path of reports of runners of version 0.1 that have outlived an upgrade: records, one JSON object per line, from byte
/// `offset` on.
pub(crate) const RECORDS_PATH: &str = "/v1/runs/{run}/report";

#[derive(Debug, Deserialize)]
pub(crate) struct RecordsQuery {
    offset: u64,
}

pub(crate) async fn records(
    State(app): State<AppState>,
    OfRunner(access): OfRunner,
    query: Result<Query<RecordsQuery>, QueryRejection>,
    body: Body,
) -> Result<Json<Acknowledged>, ApiError> {
    let unreadable = |why: String| Problem::new(ProblemKind::Usage, format!("invalid report: {why}"));
    let Query(RecordsQuery { offset }) = query.map_err(|rejection| unreadable(rejection.body_text()))?;
    // A report may be longer than the default limit of the server.
    let lines = to_bytes(body, REPORT_MAX).await.map_err(|error| unreadable(error.to_string()))?;
    Ok(Json(report::take_records(&app.engine, &access, offset, &lines).await?))
}

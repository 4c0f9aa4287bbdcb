//! The runners' side: reports up, words down.

use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::record::{Acknowledged, REPORT_MAX, Report};
use kugetsu_domain::ids::RunId;
use kugetsu_engine::runners::report;
use serde::Deserialize;

use crate::fault::Fault;
use crate::lines;
use crate::shared::Shared;

/// Where a report begins.
#[derive(Debug, Deserialize)]
pub(crate) struct At {
    offset: u64,
}

pub(crate) async fn facts(
    State(shared): State<Shared>,
    run: Result<Path<String>, PathRejection>,
    report: Result<Json<Report>, JsonRejection>,
) -> Result<Json<Acknowledged>, Fault> {
    let run = run_id(&run?.0)?;
    let Json(report) = report?;
    Ok(Json(report::take_report(&shared.engine, run, report).await?))
}

/// The report of a runner that was started by version 0.1 and has outlived an upgrade.
pub(crate) async fn records(
    State(shared): State<Shared>,
    run: Result<Path<String>, PathRejection>,
    at: Result<Query<At>, QueryRejection>,
    body: Body,
) -> Result<Json<Acknowledged>, Fault> {
    let run = run_id(&run?.0)?;
    // The server's own limit for bodies is below that of a report.
    let lines = to_bytes(body, REPORT_MAX).await.map_err(|error| {
        Problem::new(ProblemKind::Usage, format!("cannot read a report of at most {REPORT_MAX} bytes: {error}"))
    })?;
    Ok(Json(report::take_records(&shared.engine, run, at?.0.offset, &lines).await?))
}

pub(crate) async fn orders(
    State(shared): State<Shared>,
    run: Result<Path<String>, PathRejection>,
) -> Result<Response, Fault> {
    let run = run_id(&run?.0)?;
    let (first, words) = report::connect(&shared.engine, run).await?;
    let first: Vec<u8> = first.iter().flat_map(lines::line).collect();
    let stream = futures::stream::unfold((Some(first), words), |(first, mut words)| async move {
        if let Some(first) = first {
            return Some((Ok::<_, Infallible>(first), (None, words)));
        }
        let word = words.as_mut()?.recv().await?;
        Some((Ok(lines::line(&word)), (None, words)))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response())
}

fn run_id(text: &str) -> Result<RunId, Fault> {
    text.parse().map_err(|_| Problem::new(ProblemKind::Usage, format!("{text:?} is no run")).into())
}

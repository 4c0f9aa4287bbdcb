//! Rescues.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use kugetsu_api::issue::IssueQuery;
use kugetsu_api::rescue::{RescueObject, RestoreRequest, Restored};
use kugetsu_engine::rescues;
use serde::Deserialize;

use crate::fault::Fault;
use crate::shared::Shared;
use crate::whole::whole;

/// Whose rescues.
#[derive(Debug, Deserialize)]
pub(crate) struct Whose {
    reference: Option<String>,
    #[serde(default)]
    cwd: String,
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<Vec<RescueObject>>, Fault> {
    let Query(whose) = whose?;
    let query = whose.reference.map(|reference| IssueQuery { reference, cwd: whose.cwd });
    Ok(Json(rescues::list(&shared.engine, query.as_ref()).await?))
}

pub(crate) async fn restore(
    State(shared): State<Shared>,
    request: Result<Json<RestoreRequest>, JsonRejection>,
) -> Result<Json<Restored>, Fault> {
    let Json(request) = request?;
    Ok(Json(whole(async move { rescues::restore(&shared.engine, &request).await }).await?))
}

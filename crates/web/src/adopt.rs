//! Work from before kugetsu.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use kugetsu_api::adopt::{AdoptRequest, AdoptedObject};
use kugetsu_engine::intake::adopt;

use crate::fault::Fault;
use crate::shared::Shared;
use crate::whole::whole;

pub(crate) async fn adopt(
    State(shared): State<Shared>,
    request: Result<Json<AdoptRequest>, JsonRejection>,
) -> Result<Json<AdoptedObject>, Fault> {
    let Json(request) = request?;
    whole(async move {
        shared.control.refresh().await;
        adopt::adopt(&shared.engine, &request).await.map(Json)
    })
    .await
}

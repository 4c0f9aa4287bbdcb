//! Messages for the coordinator.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use kugetsu_api::delegate::{CandidateObject, DelegateObject, DelegateRequest};
use kugetsu_api::problem::Problem;
use kugetsu_api::task::TaskObject;
use kugetsu_engine::coordinator::delegate;

use crate::convert::{run_object, task_object};
use crate::fault::Fault;
use crate::shared::Shared;
use crate::whole::whole;

pub(crate) async fn delegate(
    State(shared): State<Shared>,
    request: Result<Json<DelegateRequest>, JsonRejection>,
) -> Result<Json<TaskObject>, Fault> {
    let Json(request) = request?;
    whole(async move {
        shared.control.refresh().await;
        let queued = delegate::delegate(&shared.engine, &request).await?;
        Ok::<_, Problem>(Json(task_object(shared.engine.home(), &queued.view, None, queued.notes)))
    })
    .await
}

pub(crate) async fn candidates(
    State(shared): State<Shared>,
    request: Result<Json<DelegateRequest>, JsonRejection>,
) -> Result<Json<Vec<CandidateObject>>, Fault> {
    let Json(request) = request?;
    let found = delegate::candidates(&shared.engine, &request.message, request.cwd.as_ref()).await?;
    let home = shared.engine.home();
    Ok(Json(
        found
            .into_iter()
            .map(|candidate| CandidateObject { written: candidate.written, run: run_object(home, &candidate.view) })
            .collect(),
    ))
}

pub(crate) async fn delegated(
    State(shared): State<Shared>,
    task: Result<Path<String>, PathRejection>,
) -> Result<Json<DelegateObject>, Fault> {
    let Path(task) = task?;
    let found = delegate::delegated(&shared.engine, &task).await?;
    let home = shared.engine.home();
    Ok(Json(DelegateObject {
        tasks: found.tasks.iter().map(|view| task_object(home, view, None, vec![])).collect(),
        asked: found.asked.iter().map(|view| run_object(home, view)).collect(),
        over: found.over,
    }))
}

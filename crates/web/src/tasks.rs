//! The queue.

use std::path::PathBuf;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use kugetsu_api::problem::Problem;
use kugetsu_api::task::{CleanRequest, TaskObject, TaskRequest};
use kugetsu_domain::task::TaskState;
use kugetsu_engine::intake::tasks as intake;
use kugetsu_engine::queries::tasks;
use kugetsu_engine::queue;
use kugetsu_store::query::{ViewFilter, ViewQuery};
use kugetsu_store::view::RunView;
use serde::{Deserialize, Serialize};

use crate::convert::task_object;
use crate::fault::Fault;
use crate::shared::Shared;
use crate::whole::whole;

/// Where the asking person is.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Here {
    #[serde(default)]
    cwd: PathBuf,
}

/// Which tasks are listed.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Which {
    #[serde(default)]
    all: Option<String>,
}

/// How many tasks were removed from the history.
#[derive(Debug, Serialize)]
pub(crate) struct Removed {
    removed: u64,
}

pub(crate) async fn queue(
    State(shared): State<Shared>,
    request: Result<Json<TaskRequest>, JsonRejection>,
) -> Result<Json<TaskObject>, Fault> {
    let Json(request) = request?;
    whole(async move {
        shared.control.refresh().await;
        let queued = intake::queue(&shared.engine, request).await?;
        Ok::<_, Problem>(Json(task_object(shared.engine.home(), &queued.view, None, queued.notes)))
    })
    .await
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Vec<TaskObject>>, Fault> {
    let Query(which) = which?;
    let mut place = 0;
    let views = {
        let filter = if which.all.is_some() { ViewFilter::All } else { ViewFilter::Live };
        let mut views = shared.engine.store().views(ViewQuery::new(filter).with_messages()).await?.views;
        views.reverse();
        views
    };
    let objects = views.iter().map(|view| {
        let waits = view.task.state == TaskState::Queued;
        let here = waits.then_some(place);
        place += u64::from(waits);
        task_object(shared.engine.home(), view, here, vec![])
    });
    Ok(Json(objects.collect()))
}

pub(crate) async fn show(
    State(shared): State<Shared>,
    task: Result<Path<String>, PathRejection>,
    here: Result<Query<Here>, QueryRejection>,
) -> Result<Json<TaskObject>, Fault> {
    let view = tasks::task(&shared.engine, &task?.0, &here?.0.cwd).await?;
    answer(&shared, view).await
}

pub(crate) async fn cancel(
    State(shared): State<Shared>,
    task: Result<Path<String>, PathRejection>,
    here: Result<Query<Here>, QueryRejection>,
) -> Result<Json<TaskObject>, Fault> {
    let (task, cwd, engine) = (task?.0, here?.0.cwd, shared.engine.clone());
    let view = whole(async move { queue::cancel(&engine, &task, &cwd).await }).await?;
    answer(&shared, view).await
}

pub(crate) async fn retry(
    State(shared): State<Shared>,
    task: Result<Path<String>, PathRejection>,
    here: Result<Query<Here>, QueryRejection>,
) -> Result<Json<TaskObject>, Fault> {
    let (task, cwd, engine) = (task?.0, here?.0.cwd, shared.engine.clone());
    let view = whole(async move { queue::retry(&engine, &task, &cwd).await }).await?;
    answer(&shared, view).await
}

pub(crate) async fn clean(
    State(shared): State<Shared>,
    request: Result<Json<CleanRequest>, JsonRejection>,
) -> Result<Json<Removed>, Fault> {
    let Json(request) = request?;
    let age = request.older_than_seconds.map_or(shared.engine.settings().queue_keep, Duration::from_secs);
    let removed = whole(async move { queue::clean(&shared.engine, age).await }).await?;
    Ok(Json(Removed { removed }))
}

/// A task with its place in line.
pub(crate) async fn answer(shared: &Shared, view: RunView) -> Result<Json<TaskObject>, Fault> {
    let place = match view.task.state {
        TaskState::Queued => shared.engine.store().queue_position(view.task.id).await?,
        _ => None,
    };
    Ok(Json(task_object(shared.engine.home(), &view, place, vec![])))
}

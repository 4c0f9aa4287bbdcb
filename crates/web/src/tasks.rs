//! The queue, and messages for the coordinator.

use std::path::Path;
use std::time::Duration;

use kugetsu_api::delegate::{CandidateObject, DelegateObject, DelegateRequest};
use kugetsu_api::problem::Problem;
use kugetsu_api::task::{CleanRequest, CleanedTasks, QueueQuery, TaskObject, TaskQuery, TaskRequest};
use kugetsu_domain::task::TaskState;
use kugetsu_engine::coordinator::delegate;
use kugetsu_engine::{intake, queries, queue};
use kugetsu_store::query::{ViewFilter, ViewQuery};
use kugetsu_store::view::RunView;

use crate::api_error::ApiError;
use crate::app_state::AppState;
use crate::convert::{run_object, task_object};
use crate::routes::detached;

pub(crate) async fn queue(app: AppState, request: TaskRequest) -> Result<TaskObject, ApiError> {
    detached(async move {
        app.control.refresh().await;
        let queued = intake::tasks::queue(&app.engine, request).await?;
        Ok::<_, Problem>(task_object(app.engine.home(), &queued.view, None, queued.notes))
    })
    .await
}

pub(crate) async fn list(app: AppState, query: QueueQuery) -> Result<Vec<TaskObject>, ApiError> {
    let mut before = 0;
    let filter = if query.all { ViewFilter::All } else { ViewFilter::Live };
    let mut views = app.engine.store().views(ViewQuery::new(filter).with_messages()).await?.views;
    views.reverse();
    let objects = views.iter().map(|view| {
        let is_queued = view.task.state == TaskState::Queued;
        let position = is_queued.then_some(before);
        before += u64::from(is_queued);
        task_object(app.engine.home(), view, position, vec![])
    });
    Ok(objects.collect())
}

pub(crate) async fn show(app: AppState, TaskQuery { task, cwd }: TaskQuery) -> Result<TaskObject, ApiError> {
    let view = queries::tasks::task(&app.engine, &task, Path::new(&cwd)).await?;
    with_position(&app, view).await
}

pub(crate) async fn cancel(app: AppState, TaskQuery { task, cwd }: TaskQuery) -> Result<TaskObject, ApiError> {
    let engine = app.engine.clone();
    let view = detached(async move { queue::cancel(&engine, &task, Path::new(&cwd)).await }).await?;
    with_position(&app, view).await
}

pub(crate) async fn retry(app: AppState, TaskQuery { task, cwd }: TaskQuery) -> Result<TaskObject, ApiError> {
    let engine = app.engine.clone();
    let view = detached(async move { queue::retry(&engine, &task, Path::new(&cwd)).await }).await?;
    with_position(&app, view).await
}

pub(crate) async fn clean(app: AppState, request: CleanRequest) -> Result<CleanedTasks, ApiError> {
    let age = request.older_than_seconds.map_or(app.engine.settings().queue.keep, Duration::from_secs);
    let removed = detached(async move { queue::clean(&app.engine, age).await }).await?;
    Ok(CleanedTasks { removed })
}

pub(crate) async fn with_position(app: &AppState, view: RunView) -> Result<TaskObject, ApiError> {
    let position = match view.task.state {
        TaskState::Queued => app.engine.store().queue_position(view.task.id).await?,
        _ => None,
    };
    Ok(task_object(app.engine.home(), &view, position, vec![]))
}

pub(crate) async fn delegate(app: AppState, request: DelegateRequest) -> Result<TaskObject, ApiError> {
    detached(async move {
        app.control.refresh().await;
        let queued = delegate::delegate(&app.engine, &request).await?;
        Ok::<_, Problem>(task_object(app.engine.home(), &queued.view, None, queued.notes))
    })
    .await
}

pub(crate) async fn delegate_candidates(
    app: AppState,
    request: DelegateRequest,
) -> Result<Vec<CandidateObject>, ApiError> {
    let candidates = delegate::candidates(&app.engine, &request.message, request.cwd.as_ref()).await?;
    let home = app.engine.home();
    let objects = candidates
        .into_iter()
        .map(|candidate| CandidateObject { written: candidate.written, run: run_object(home, &candidate.view) });
    Ok(objects.collect())
}

pub(crate) async fn delegated(app: AppState, query: TaskQuery) -> Result<DelegateObject, ApiError> {
    let delegated = delegate::delegated(&app.engine, &query.task).await?;
    let home = app.engine.home();
    Ok(DelegateObject {
        tasks: delegated.tasks.iter().map(|view| task_object(home, view, None, vec![])).collect(),
        asked: delegated.asked.iter().map(|view| run_object(home, view)).collect(),
        over: delegated.over,
    })
}

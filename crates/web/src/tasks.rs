//! The queue, and messages for the coordinator.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use kugetsu_api::delegate::{CandidateObject, DelegateObject, DelegateRequest};
use kugetsu_api::problem::Problem;
use kugetsu_api::task::{CleanRequest, CleanedTasks, MoveTaskRequest, TaskObject, TaskQuery, TaskRequest, TasksQuery};
use kugetsu_domain::task::{Task, TaskKind, TaskState};
use kugetsu_engine::coordinator::delegate;
use kugetsu_engine::queue::Changed;
use kugetsu_engine::{gc, holds, intake, queries, queue};
use kugetsu_store::error::StoreError;
use kugetsu_store::query::{Order, ViewFilter, ViewQuery};
use kugetsu_store::store::Store;
use kugetsu_store::view::RunView;

use crate::api_error::ApiError;
use crate::app_state::AppState;
use crate::convert::{run_object, task_object};
use crate::json_list::JsonList;
use crate::pages::Pages;
use crate::routes::detached;

pub(crate) async fn queue(app: AppState, request: TaskRequest) -> Result<TaskObject, ApiError> {
    app.control.refresh().await;
    let checked = intake::tasks::check(&app.engine, &request).await?;
    detached(async move {
        let queued = intake::tasks::queue(&app.engine, checked).await?;
        Ok::<_, Problem>(task_object(app.engine.home(), &queued.view, None, queued.notes))
    })
    .await
}

pub(crate) async fn list(app: AppState, query: TasksQuery) -> Result<JsonList<TaskObject>, ApiError> {
    let filter = match (query.all, query.by_priority) {
        (true, _) => ViewFilter::All,
        (false, true) => ViewFilter::Next,
        (false, false) => ViewFilter::Live,
    };
    let order = if query.newest_first { Order::NewestFirst } else { Order::OldestFirst };
    let views = ViewQuery { order, ..ViewQuery::new(filter).with_messages() };
    let pages = Pages::new(app.engine.store(), views, query.limit, query.after.as_deref()).await?;
    let start = (app, pages, Positions::new(order));
    let objects = futures::stream::try_unfold(start, |(app, mut pages, mut positions)| async move {
        let Some(views) = pages.next().await? else { return Ok(None) };
        let mut objects = Vec::with_capacity(views.len());
        let holds = holds::current(&app.engine).await?;
        for view in views {
            let position = positions.of(app.engine.store(), &view.task).await?;
            let view = queries::tasks::with_current_reason(&app.engine, view, &holds).await?;
            objects.push(task_object(app.engine.home(), &view, position, vec![]));
        }
        Ok(Some((objects, (app, pages, positions))))
    });
    Ok(JsonList::new(objects).await?)
}

/// The positions of queued tasks while a list of all of them is read.
///
/// The store counts the tasks ahead of one. Doing so for each would take time quadratic in the length of the queue, so it
/// counts once for each kind and priority: those of a kind with the same priority run in the order of queueing, which is
/// that of the list.
struct Positions {
    order: Order,
    latest: HashMap<(TaskKind, i32), u64>,
}

impl Positions {
    fn new(order: Order) -> Self {
        Self { order, latest: HashMap::new() }
    }

    async fn of(&mut self, store: &Store, task: &Task) -> Result<Option<u64>, StoreError> {
        if task.state != TaskState::Queued {
            return Ok(None);
        }
        let position = match (self.latest.get(&(task.kind, task.priority)), self.order) {
            (Some(before), Order::OldestFirst) => before + 1,
            // A task that was started meanwhile may have been counted.
            (Some(behind), Order::NewestFirst) => behind.saturating_sub(1),
            (None, _) => match store.queue_position(task.id).await? {
                Some(position) => position,
                // It was started since the page was read.
                None => return Ok(None),
            },
        };
        self.latest.insert((task.kind, task.priority), position);
        Ok(Some(position))
    }
}

pub(crate) async fn show(app: AppState, TaskQuery { task, cwd }: TaskQuery) -> Result<TaskObject, ApiError> {
    let view = queries::tasks::task(&app.engine, &task, Path::new(&cwd)).await?;
    with_position(&app, view).await
}

pub(crate) async fn cancel(app: AppState, TaskQuery { task, cwd }: TaskQuery) -> Result<TaskObject, ApiError> {
    let found = queries::tasks::live_task(&app.engine, &task, Path::new(&cwd)).await?;
    let engine = app.engine.clone();
    let Changed { view, notes } = detached(async move { queue::cancel(&engine, found.task.id).await }).await?;
    Ok(TaskObject { notes, ..with_position(&app, view).await? })
}

pub(crate) async fn retry(app: AppState, TaskQuery { task, cwd }: TaskQuery) -> Result<TaskObject, ApiError> {
    let found = queries::tasks::task(&app.engine, &task, Path::new(&cwd)).await?;
    let engine = app.engine.clone();
    let Changed { view, notes } = detached(async move { queue::retry(&engine, found.task.id).await }).await?;
    Ok(TaskObject { notes, ..with_position(&app, view).await? })
}

pub(crate) async fn move_task(app: AppState, request: MoveTaskRequest) -> Result<TaskObject, ApiError> {
    let found = queries::tasks::live_task(&app.engine, &request.task, Path::new(&request.cwd)).await?;
    let engine = app.engine.clone();
    let Changed { view, notes } =
        detached(async move { queue::move_task(&engine, found.task.id, request.to).await }).await?;
    Ok(TaskObject { notes, ..with_position(&app, view).await? })
}

pub(crate) async fn clean(app: AppState, request: CleanRequest) -> Result<CleanedTasks, ApiError> {
    let age = request.older_than_seconds.map_or(app.engine.settings().queue.keep, Duration::from_secs);
    let removed = detached(async move { gc::history::clean(&app.engine, age).await }).await?;
    Ok(CleanedTasks { removed })
}

pub(crate) async fn with_position(app: &AppState, view: RunView) -> Result<TaskObject, ApiError> {
    let position = queries::tasks::position(&app.engine, &view).await?;
    Ok(task_object(app.engine.home(), &view, position, vec![]))
}

pub(crate) async fn delegate(app: AppState, request: DelegateRequest) -> Result<TaskObject, ApiError> {
    app.control.refresh().await;
    let checked = delegate::check(&app.engine, &request).await?;
    detached(async move {
        let queued = intake::tasks::queue(&app.engine, checked).await?;
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

//! Issues, their events and transcripts, their rescues and repositories.

use futures::TryStreamExt as _;
use jiff::Timestamp;
use kugetsu_api::adopt::{AdoptRequest, AdoptedObject};
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::event::{EventObject, EventsQuery};
use kugetsu_api::issue::{
    AtRisk, DestroyRequest, Destroyed, DiffObject, DiffQuery, IssueCounts, IssueQuery, IssuesQuery, Planted, PrSet,
    SetPrRequest,
};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::record::{Record, TranscriptQuery};
use kugetsu_api::repo::{HookObject, MoveRepoRequest, RepoObject, RepoQuery};
use kugetsu_api::rescue::{DropRescuesRequest, RescueObject, RescuesQuery, RestoreRequest, Restored};
use kugetsu_api::run::RunObject;
use kugetsu_api::task::TaskObject;
use kugetsu_api::why::WhyObject;
use kugetsu_engine::pull_requests::{self, PrStatus};
use kugetsu_engine::{destroy, holds, hooks, intake, queries, repos, rescues, watch_queries};
use kugetsu_store::query::{ShownAs, ViewFilter, ViewQuery};
use kugetsu_store::view::RunView;

use crate::api_error::ApiError;
use crate::app_state::AppState;
use crate::convert::{event_object, run_object};
use crate::json_list::JsonList;
use crate::ndjson::{NdJson, receiver_stream};
use crate::pages::Pages;
use crate::routes::detached;
use crate::tasks;

pub(crate) async fn adopt(app: AppState, request: AdoptRequest) -> Result<AdoptedObject, ApiError> {
    detached(async move {
        app.control.refresh().await;
        intake::adopt::adopt(&app.engine, &request).await
    })
    .await
}

pub(crate) async fn list(app: AppState, query: IssuesQuery) -> Result<JsonList<RunObject>, ApiError> {
    let shown_as = match &query.states {
        None => ShownAs::ALL.to_vec(),
        Some(names) => names.split(',').map(shown_as).collect::<Result<_, _>>()?,
    };
    let repo = match &query.repo {
        None => None,
        Some(name) => Some(queries::repos::find(&app.engine, name, query.cwd.as_ref()).await?.name),
    };
    let filter = ViewFilter::Issues { shown_as, repo };
    let (store, after) = (app.engine.store(), query.after.as_deref());
    let pages = Pages::new(store, ViewQuery::new(filter), query.limit, after).await?;
    let objects = pages.stream().and_then(move |views| {
        let engine = app.engine.clone();
        async move {
            let mut objects = Vec::with_capacity(views.len());
            let holds = holds::current(&engine).await?;
            for view in views {
                let view = queries::tasks::with_current_reason(&engine, view, &holds).await?;
                objects.push(run_object(engine.home(), &view));
            }
            Ok(objects)
        }
    });
    Ok(JsonList::new(objects).await?)
}

fn shown_as(name: &str) -> Result<ShownAs, Problem> {
    ShownAs::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = ShownAs::ALL.iter().map(|shown_as| shown_as.name()).collect();
        Problem::new(ProblemKind::Usage, format!("{name:?} is not a state of an issue"))
            .hint(format!("use one of {}", known.join(", ")))
    })
}

pub(crate) async fn count(app: AppState, _: NoFields) -> Result<IssueCounts, ApiError> {
    let counts = app.engine.store().shown().await?;
    Ok(IssueCounts(counts.into_iter().map(|(shown_as, count)| (shown_as.name().to_owned(), count)).collect()))
}

pub(crate) async fn show(app: AppState, query: IssueQuery) -> Result<RunObject, ApiError> {
    Ok(run_object(app.engine.home(), &latest(&app, &query).await?))
}

pub(crate) async fn task(app: AppState, query: IssueQuery) -> Result<TaskObject, ApiError> {
    let view = latest(&app, &query).await?;
    tasks::with_position(&app, view).await
}

async fn latest(app: &AppState, query: &IssueQuery) -> Result<RunView, Problem> {
    queries::tasks::issue(&app.engine, &query.reference, query.cwd.as_ref()).await
}

pub(crate) async fn why(app: AppState, query: IssueQuery) -> Result<WhyObject, ApiError> {
    app.control.refresh().await;
    Ok(watch_queries::why::explain(&app.engine, &query.reference, query.cwd.as_ref()).await?)
}

pub(crate) async fn set_pull_request(app: AppState, request: SetPrRequest) -> Result<PrSet, ApiError> {
    app.control.refresh().await;
    let SetPrRequest { issue, url } = request;
    let issue = queries::issues::full(&app.engine, issue).await?;
    detached(async move {
        let Some(url) = url else {
            let (issue, url) = pull_requests::clear(&app.engine, &issue.reference, issue.cwd.as_ref()).await?;
            let issue = issue.reference.to_string();
            return Ok(PrSet { issue, url, removed: true, state: None, unknown: None });
        };
        let (issue, status) = pull_requests::set(&app.engine, &issue.reference, issue.cwd.as_ref(), &url).await?;
        let (state, unknown) = match status {
            PrStatus::Known { state, .. } => (Some(state), None),
            PrStatus::Unknown { why, .. } | PrStatus::Hidden { why } => (None, Some(why)),
            PrStatus::None => (None, None),
        };
        let url = issue.pr.map(|pr| pr.url);
        Ok::<_, Problem>(PrSet { issue: issue.reference.to_string(), url, removed: false, state, unknown })
    })
    .await
}

pub(crate) async fn diff(app: AppState, query: DiffQuery) -> Result<DiffObject, ApiError> {
    Ok(queries::diff::diff(&app.engine, &query).await?)
}

pub(crate) async fn planted(app: AppState, query: IssueQuery) -> Result<Planted, ApiError> {
    Ok(Planted { planted: queries::diff::planted(&app.engine, &query).await? })
}

pub(crate) async fn at_risk(app: AppState, query: IssueQuery) -> Result<AtRisk, ApiError> {
    Ok(destroy::risk::at_risk(&app.engine, &query).await?)
}

pub(crate) async fn destroy(app: AppState, request: DestroyRequest) -> Result<Destroyed, ApiError> {
    let request = destroy::request::unambiguous(&app.engine, request).await?;
    detached(async move { destroy::request::destroy(&app.engine, &request).await }).await
}

pub(crate) async fn events(app: AppState, query: EventsQuery) -> Result<NdJson<EventObject>, ApiError> {
    let since = timestamp(query.since.as_deref())?;
    let issue = match query.reference {
        Some(reference) => Some(queries::events::issue(&app.engine, &IssueQuery { reference, cwd: query.cwd }).await?),
        None => None,
    };
    let events = queries::events::events(&app.engine, issue, (query.after, since), query.follow);
    Ok(NdJson::new(receiver_stream(events).map_ok(event_object)))
}

pub(crate) async fn transcript(app: AppState, query: TranscriptQuery) -> Result<NdJson<Record>, ApiError> {
    let since = timestamp(query.since.as_deref())?;
    let issue = IssueQuery { reference: query.reference, cwd: query.cwd };
    let issue = queries::events::issue(&app.engine, &issue).await?;
    let run = match &query.run {
        Some(run) => Some(queries::transcript::run_of(&app.engine, issue, run).await?),
        None => None,
    };
    let lines = queries::transcript::transcript(&app.engine, issue, (since, run), query.follow);
    Ok(NdJson::from_lines(receiver_stream(lines)))
}

fn timestamp(since: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    since
        .map(|text| text.parse().map_err(|error| Problem::new(ProblemKind::Usage, format!("since: {error}"))))
        .transpose()
}

pub(crate) async fn rescues(app: AppState, query: RescuesQuery) -> Result<Vec<RescueObject>, ApiError> {
    let issue = query.reference.map(|reference| IssueQuery { reference, cwd: query.cwd });
    Ok(rescues::list(&app.engine, issue.as_ref()).await?)
}

pub(crate) async fn restore_rescue(app: AppState, mut request: RestoreRequest) -> Result<Restored, ApiError> {
    let issue = IssueQuery { reference: request.reference, cwd: request.cwd.clone() };
    request.reference = queries::issues::full(&app.engine, issue).await?.reference;
    detached(async move { rescues::restore(&app.engine, &request).await }).await
}

pub(crate) async fn drop_rescues(
    app: AppState,
    mut request: DropRescuesRequest,
) -> Result<Vec<RescueObject>, ApiError> {
    let issue = IssueQuery { reference: request.reference.clone(), cwd: request.cwd.clone() };
    match queries::issues::full(&app.engine, issue).await {
        Ok(issue) => request.reference = issue.reference,
        // After the database was lost there may be rescues of issues that it does not know.
        Err(problem) if problem.kind == ProblemKind::NotFound => {}
        Err(problem) => return Err(problem.into()),
    }
    detached(async move { rescues::drop_rescues(&app.engine, &request).await }).await
}

pub(crate) async fn repos(app: AppState, _: NoFields) -> Result<Vec<RepoObject>, ApiError> {
    Ok(repos::list(&app.engine).await?)
}

pub(crate) async fn move_repo(app: AppState, request: MoveRepoRequest) -> Result<RepoObject, ApiError> {
    let checked = repos::check_move(&app.engine, &request).await?;
    detached(async move { repos::move_to(&app.engine, checked).await }).await
}

pub(crate) async fn forget_repo(app: AppState, query: RepoQuery) -> Result<RepoObject, ApiError> {
    let repo = queries::repos::find(&app.engine, &query.repo, query.cwd.as_ref()).await?;
    detached(async move { repos::forget(&app.engine, &repo).await }).await
}

pub(crate) async fn create_hook(app: AppState, query: RepoQuery) -> Result<HookObject, ApiError> {
    app.control.refresh().await;
    detached(async move { hooks::create(&app.engine, &query).await }).await
}

pub(crate) async fn show_hook(app: AppState, query: RepoQuery) -> Result<HookObject, ApiError> {
    app.control.refresh().await;
    Ok(hooks::show(&app.engine, &query).await?)
}

//! Issues, their events and their transcripts.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use kugetsu_api::issue::{AtRisk, ChangeNamed, ChangeRequest, DestroyRequest, Destroyed, IssueQuery};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::run::RunObject;
use kugetsu_api::task::TaskObject;
use kugetsu_api::why::WhyObject;
use kugetsu_engine::destroy::{request as destroy, risk};
use kugetsu_engine::pull_requests::{self, PrStatus};
use kugetsu_engine::queries::{events, tasks as queries, transcript, why};
use kugetsu_store::query::{ViewFilter, ViewQuery};
use serde::Deserialize;

use crate::convert::{event_object, run_object, state};
use crate::fault::Fault;
use crate::shared::Shared;
use crate::whole::whole;
use crate::{lines, tasks};

/// Which stream.
#[derive(Debug, Deserialize)]
pub(crate) struct Follow {
    reference: Option<String>,
    #[serde(default)]
    cwd: String,
    #[serde(default)]
    after: i64,
    /// What was over before is left out.
    since: Option<String>,
    follow: Option<String>,
}

impl Follow {
    fn since(&self) -> Result<Option<Timestamp>, Fault> {
        let Some(since) = &self.since else { return Ok(None) };
        let time = since.parse().map_err(|error| Problem::new(ProblemKind::Usage, format!("since: {error}")))?;
        Ok(Some(time))
    }
}

pub(crate) async fn list(State(shared): State<Shared>) -> Result<Json<Vec<RunObject>>, Fault> {
    let mut views = shared.engine.store().views(ViewQuery::new(ViewFilter::all_issues())).await?.views;
    views.reverse();
    Ok(Json(views.iter().map(|view| run_object(shared.engine.home(), view)).collect()))
}

pub(crate) async fn show(
    State(shared): State<Shared>,
    query: Result<Query<IssueQuery>, QueryRejection>,
) -> Result<Json<RunObject>, Fault> {
    let Query(query) = query?;
    let view = queries::issue(&shared.engine, &query.reference, query.cwd.as_ref()).await?;
    Ok(Json(run_object(shared.engine.home(), &view)))
}

pub(crate) async fn task(
    State(shared): State<Shared>,
    query: Result<Query<IssueQuery>, QueryRejection>,
) -> Result<Json<TaskObject>, Fault> {
    let Query(query) = query?;
    let view = queries::issue(&shared.engine, &query.reference, query.cwd.as_ref()).await?;
    tasks::answer(&shared, view).await
}

pub(crate) async fn why(
    State(shared): State<Shared>,
    query: Result<Query<IssueQuery>, QueryRejection>,
) -> Result<Json<WhyObject>, Fault> {
    let Query(query) = query?;
    let why = why::why(&shared.engine, &query.reference, query.cwd.as_ref()).await?;
    Ok(Json(WhyObject {
        issue: why.view.reference.to_string(),
        state: state(why.view.task.state),
        because: why.because,
        next: why.next,
    }))
}

pub(crate) async fn change(
    State(shared): State<Shared>,
    request: Result<Json<ChangeRequest>, JsonRejection>,
) -> Result<Json<ChangeNamed>, Fault> {
    let Json(ChangeRequest { issue, url }) = request?;
    shared.control.refresh().await;
    whole(async move {
        let Some(url) = url else {
            let (issue, url) = pull_requests::clear(&shared.engine, &issue.reference, issue.cwd.as_ref()).await?;
            let issue = issue.reference.to_string();
            return Ok(ChangeNamed { issue, url, removed: true, state: None, unknown: None });
        };
        let (issue, known) = pull_requests::set(&shared.engine, &issue.reference, issue.cwd.as_ref(), &url).await?;
        let (state, unknown) = match known {
            PrStatus::Known { state, .. } => (Some(state.name().to_owned()), None),
            PrStatus::Unknown { why, .. } | PrStatus::Hidden { why } => (None, Some(why)),
            PrStatus::None => (None, None),
        };
        let url = issue.pr.map(|pr| pr.url);
        Ok::<_, Problem>(ChangeNamed { issue: issue.reference.to_string(), url, removed: false, state, unknown })
    })
    .await
    .map(Json)
}

pub(crate) async fn at_risk(
    State(shared): State<Shared>,
    query: Result<Query<IssueQuery>, QueryRejection>,
) -> Result<Json<AtRisk>, Fault> {
    Ok(Json(risk::at_risk(&shared.engine, &query?.0).await?))
}

pub(crate) async fn destroy(
    State(shared): State<Shared>,
    request: Result<Json<DestroyRequest>, JsonRejection>,
) -> Result<Json<Destroyed>, Fault> {
    let Json(request) = request?;
    Ok(Json(whole(async move { destroy::destroy(&shared.engine, &request).await }).await?))
}

pub(crate) async fn events(
    State(shared): State<Shared>,
    which: Result<Query<Follow>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(which) = which?;
    let since = which.since()?;
    let issue = match which.reference {
        Some(reference) => Some(events::issue(&shared.engine, &IssueQuery { reference, cwd: which.cwd }).await?),
        None => None,
    };
    let stream = events::events(&shared.engine, issue, (which.after, since), which.follow.is_some());
    Ok(lines::objects(stream, event_object))
}

pub(crate) async fn transcript(
    State(shared): State<Shared>,
    which: Result<Query<Follow>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(which) = which?;
    let since = which.since()?;
    let query = IssueQuery { reference: which.reference.unwrap_or_default(), cwd: which.cwd };
    let issue = events::issue(&shared.engine, &query).await?;
    Ok(lines::pieces(transcript::transcript(&shared.engine, issue, since, which.follow.is_some())))
}

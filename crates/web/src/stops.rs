//! Requests that end agents at once.

use std::path::Path;

use kugetsu_api::pause::{PauseObject, RefusedStop, StopRequest, StoppedObject};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::issue::Issue;
use kugetsu_engine::{Engine, queries, stop};

use crate::api_error::ApiError;
use crate::app_state::AppState;
use crate::pauses::pause_object;
use crate::routes::detached;

pub(crate) async fn stop(app: AppState, request: StopRequest) -> Result<StoppedObject, ApiError> {
    if request.all {
        return detached(async move {
            let (paused, stopped) = stop::stop_all(&app.engine).await?;
            let pause = pause_object(&app.engine, None, paused, true).await?;
            Ok::<_, ApiError>(object(stopped, Vec::new(), Some(pause)))
        })
        .await;
    }
    let (mut issues, mut refused) = (Vec::<Issue>::new(), Vec::new());
    for reference in request.references {
        match running(&app.engine, &reference, Path::new(&request.cwd)).await {
            Ok(issue) if issues.iter().any(|other| other.id == issue.id) => {}
            Ok(issue) => issues.push(issue),
            Err(problem) => refused.push(RefusedStop { reference, reason: problem.message, hint: problem.hint }),
        }
    }
    detached(async move { Ok::<_, ApiError>(object(stop::end(&app.engine, issues).await?, refused, None)) }).await
}

/// The issue that a reference names, if it has a run in progress.
async fn running(engine: &Engine, reference: &str, cwd: &Path) -> Result<Issue, Problem> {
    let view = queries::tasks::issue(engine, reference, cwd).await?;
    let issue = engine.store().issue_by_id(view.issue).await;
    let issue = issue.map_err(|error| Problem::new(ProblemKind::Failed, error.to_string()))?;
    if issue.live_run().is_some() {
        return Ok(issue);
    }
    let name = &view.reference;
    let problem = Problem::new(ProblemKind::Conflict, format!("no agent works on {name}"));
    Err(match issue.tasks.is_empty() {
        true => problem.hint(format!("see what became of its task with `kugetsu why {name}`")),
        false => problem.hint(format!("remove its task from the queue with `kugetsu queue cancel {name}`")),
    })
}

fn object(stopped: stop::Stopped, refused: Vec<RefusedStop>, pause: Option<PauseObject>) -> StoppedObject {
    StoppedObject {
        issues: stopped.issues.iter().map(|issue| issue.reference.to_string()).collect(),
        refused,
        survivors: stopped.survivors,
        notes: stopped.notes,
        pause,
    }
}

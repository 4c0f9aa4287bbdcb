//! `kugetsu destroy`: checks what is at risk, requests the removal and waits for its end.
//!
//! The removal itself is an effect (`removal.rs` does the work), so it continues if the caller goes away or
//! the daemon dies.

use std::path::Path;

use kugetsu_api::issue::{DestroyRequest, Destroyed, IssueQuery};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::IssueState;
use kugetsu_forge::references::reference::Reference;
use kugetsu_store::error::StoreError;
use kugetsu_store::view::StoredEvent;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use super::risk;
use crate::engine::Engine;
use crate::home::reserve;
use crate::problems::{internal, not_stored, store_failed};
use crate::rescues::note_on_others;
use crate::resolve;

/// Events that are read at once while waiting.
const CHUNK: u32 = 100;

/// Returns the request with the issue's full reference.
///
/// # Errors
/// There is no such issue, or several may be meant.
pub async fn unambiguous(engine: &Engine, mut request: DestroyRequest) -> Result<DestroyRequest, Problem> {
    let IssueQuery { reference, cwd } = &request.issue;
    let issue = resolve::unambiguous_issue(engine, &Reference::new(reference), Path::new(cwd)).await?;
    request.issue.reference = issue.reference.to_string();
    Ok(request)
}

/// Removes an issue's files and session. A removal that is in progress is waited for.
///
/// # Errors
/// Work would be lost and `discard` is not set; a run is in progress; something could not be rescued or removed. Whatever
/// was not rescued is still there.
pub async fn destroy(engine: &Engine, request: &DestroyRequest) -> Result<Destroyed, Problem> {
    // Before the issue is read, so that the end of a removal that is in progress cannot be missed.
    let before = engine.store().last_event(None, None).await.map_err(store_failed)?;
    let issue =
        resolve::unambiguous_issue(engine, &Reference::new(&request.issue.reference), Path::new(&request.issue.cwd))
            .await?;
    risk::refuse_destroyed(&issue)?;
    let reference = issue.reference.to_string();
    if issue.state == IssueState::Open {
        if !request.discard {
            let at_risk = risk::of_issue(engine, &issue).await;
            if !at_risk.is_nothing() {
                return Err(Problem::new(ProblemKind::NeedsPerson, format!("{reference} is not removed: {at_risk}"))
                    .hint("pass --discard to remove it anyway; a rescue keeps the work (kugetsu rescue list)"));
            }
        }
        reserve::give_up_if_full(engine.home());
        let requested = engine.apply(issue.id, Event::DestroyRequested).await;
        requested.map_err(|error| not_stored(&issue.reference, error))?;
    }
    match end_of_removal(engine, issue.id, before).await.map_err(store_failed)? {
        Some(event) if event.kind == Event::DESTROYED => {
            let rescue = event.data["rescue"].as_str().map(str::to_owned);
            let mut notes = strings(&event.data["notes"]);
            notes.extend(note_on_others(engine, &issue, rescue.as_deref()).await);
            Ok(Destroyed { issue: reference, rescue, notes })
        }
        Some(event) => {
            let reason = event.data["reason"].as_str().unwrap_or("no reason was recorded");
            Err(Problem::new(ProblemKind::Failed, format!("{reference} was not destroyed: {reason}")).hint(
                event.data["hint"]
                    .as_str()
                    .unwrap_or("nothing was removed that is not rescued; resolve this and try again"),
            ))
        }
        None => Err(internal("the daemon is stopping; the removal continues when it starts again")),
    }
}

/// Waits for the event that ends the issue's removal. `None` if the store was closed.
async fn end_of_removal(engine: &Engine, issue: IssueId, mut after: i64) -> Result<Option<StoredEvent>, StoreError> {
    let mut live = engine.store().listen();
    loop {
        for event in engine.store().events_after(Some(issue), after, CHUNK).await? {
            after = event.seq;
            if [Event::DESTROYED, Event::DESTROY_FAILED].contains(&event.kind.as_str()) {
                return Ok(Some(event));
            }
        }
        loop {
            match live.recv().await {
                Ok(event) if event.issue == issue && event.seq > after => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

//! Looks at the pull request of a followed issue, and stores what follows from it.

use jiff::Timestamp;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::watch::feedback::{Action, FeedbackKind, decide};
use kugetsu_domain::watch::follow::FollowEvent;
use kugetsu_forge::forge::Subject;
use kugetsu_store::write::{Enqueue, Settlement};
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use super::outcome::Outcome;
use crate::engine::Engine;
use crate::watch::commands::{Discussion, carry_out};
use crate::watch::followed::Followed;
use crate::watch::look::Look;
use crate::watch::message::message;
use crate::watch::task::continuation;

/// How a look ended.
enum Found {
    /// Nothing is to be done before this time, unless the server reports a change.
    Nothing {
        until: Timestamp,
    },
    Something(Settlement),
}

/// Looks until something is to be done. A look that finds nothing is not stored: there are many.
pub(crate) async fn execute(engine: &Engine, issue: IssueId, at: Timestamp) -> Outcome {
    let mut until = at;
    loop {
        match wait(engine, issue, at, until).await {
            Ok(true) => {}
            Ok(false) => return Outcome::done(),
            Err(outcome) => return outcome,
        }
        match look(engine, issue).await {
            Ok(Found::Nothing { until: next }) => until = next,
            Ok(Found::Something(settlement)) => return Outcome::Settled(settlement),
            Err(outcome) => return outcome,
        }
    }
}

async fn look(engine: &Engine, issue: IssueId) -> Result<Found, Outcome> {
    let followed = Followed::read(engine, issue).await?;
    let Some(number) = followed.pull_request(engine) else { return Err(Outcome::done()) };
    let now = engine.now();
    let look = Look::at(&followed, number, now).await?;
    if !look.commands.is_empty() {
        let subject = Subject::PullRequest(number);
        let (watch, forge, issue) = (&followed.watch, followed.forge.as_ref(), followed.issue.reference.number);
        carry_out(engine, &Discussion { watch, forge, issue, subject, comments: &look.commands })
            .await
            .map_err(Outcome::retry)?;
    }
    // A command may have stopped the issue, or have queued a task.
    let followed = Followed::read(engine, issue).await?;
    let actions = decide(&look.seen, &followed.follow.records, followed.watch.feedback, followed.hold(), now);
    let seen = seen(&followed, &look);
    if let [Action::Wait { until, why }] = actions.as_slice() {
        tracing::debug!(issue = %followed.issue.reference, why, "nothing to do about the pull request yet");
        for event in seen {
            engine.apply(issue, event).await.map_err(Outcome::retry)?;
        }
        let poll = now.saturating_add(followed.watch.poll(false)).unwrap_or(Timestamp::MAX);
        return Ok(Found::Nothing { until: until.map_or(poll, |until| until.min(poll)) });
    }
    settle(engine, &followed, &look, seen, actions).await.map(Found::Something)
}

/// Waits until then. Returns whether the look of `at` is still wanted.
async fn wait(engine: &Engine, issue: IssueId, at: Timestamp, until: Timestamp) -> Result<bool, Outcome> {
    // Before the issue is read: a change after that is noticed.
    let mut events = engine.store().listen();
    let wait = engine.clock().sleep_until(until);
    tokio::pin!(wait);
    loop {
        match engine.store().issue_by_id(issue).await {
            Ok(issue) if issue.follow.as_ref().is_some_and(|follow| follow.look_at == Some(at)) => {}
            Ok(_) => return Ok(false),
            Err(error) => return Err(Outcome::retry(error)),
        }
        loop {
            tokio::select! {
                () = &mut wait => return Ok(true),
                event = events.recv() => match event {
                    Ok(event) if event.issue != issue => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    // The daemon stops; the next one waits for the rest.
                    Err(RecvError::Closed) => std::future::pending().await,
                },
            }
        }
    }
}

/// Changes of the pull request since the last look.
fn seen(followed: &Followed, look: &Look) -> Vec<Event> {
    let mut events = Vec::new();
    let state = look.pull.state;
    if followed.issue.pr.as_ref().and_then(|pr| pr.checked).map(|(state, _)| state) != Some(state) {
        events.push(Event::PrChecked { url: look.pull.url.clone(), state });
    }
    if followed.follow.head.as_deref() != Some(look.seen.head.as_str()) {
        events.push(Event::Followed(FollowEvent::HeadSeen { head: look.seen.head.clone() }));
    }
    events
}

async fn settle(
    engine: &Engine,
    followed: &Followed,
    look: &Look,
    mut events: Vec<Event>,
    actions: Vec<Action>,
) -> Result<Settlement, Outcome> {
    let issue = followed.issue.id;
    let mut given = Vec::new();
    for action in actions {
        match action {
            // Whatever else is to be done, is done first.
            Action::Wait { .. } => {}
            Action::Give { kind, fingerprint } => given.push((kind, fingerprint)),
            Action::Stop { kind, fingerprint, reason } => {
                events.push(Event::Followed(FollowEvent::Exhausted { kind, fingerprint, reason }));
            }
            Action::Merge { head } => events.push(Event::Followed(FollowEvent::MergeDecided { head })),
            Action::Complete(ending) => events.push(Event::Followed(FollowEvent::Ended { ending })),
        }
    }
    let mut enqueue = Vec::new();
    if !given.is_empty() {
        let kinds: Vec<FeedbackKind> = given.iter().map(|(kind, _)| *kind).collect();
        let text = message(followed, look, &kinds).await?;
        let task = TaskId::new(Uuid::now_v7());
        enqueue.push(continued(engine, followed, task, text).await?);
        for (kind, fingerprint) in given {
            let fingerprint = all_remarks(look, kind).unwrap_or(fingerprint);
            events.push(Event::Followed(FollowEvent::Given { kind, fingerprint, task }));
        }
    }
    let events = events.into_iter().map(|event| (issue, event)).collect();
    Ok(Settlement { events, enqueue })
}

/// The fingerprint of remarks contains those that were answered before, so that the agent does not get them again.
fn all_remarks(look: &Look, kind: FeedbackKind) -> Option<String> {
    let of_bots = match kind {
        FeedbackKind::Review => false,
        FeedbackKind::BotReview => true,
        FeedbackKind::Verify | FeedbackKind::Conflict | FeedbackKind::Ci | FeedbackKind::Merge => return None,
    };
    let ids: Vec<&str> =
        look.remarks.iter().filter(|remark| remark.is_bot == of_bots).map(|remark| remark.id.as_str()).collect();
    Some(ids.join(" "))
}

/// The task that gives the agent feedback.
pub(super) async fn continued(
    engine: &Engine,
    followed: &Followed,
    task: TaskId,
    text: String,
) -> Result<Enqueue, Outcome> {
    let enqueue = continuation(engine, &followed.watch, &followed.issue, task, text).await.map_err(Outcome::retry)?;
    enqueue.ok_or_else(|| Outcome::GivenUp { error: "its repository is not stored".to_owned() })
}

/// Whether a pull request in this state is over.
pub(crate) const fn is_over(state: PrState) -> bool {
    matches!(state, PrState::Merged | PrState::Closed)
}

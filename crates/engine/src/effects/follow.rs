//! Looks at the pull request of a followed issue, and stores what follows from it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::watch::feedback::{Action, FeedbackKind, Seen, decide};
use kugetsu_domain::watch::follow::FollowEvent;
use kugetsu_forge::forge::Subject;
use kugetsu_store::view::StoredEvent;
use kugetsu_store::write::{Enqueue, Settlement};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use uuid::Uuid;

use super::outcome::Outcome;
use super::wait::{Waited, while_wanted};
use crate::engine::Engine;
use crate::repo_file::RepoFileError;
use crate::watch::commands::{Discussion, carry_out};
use crate::watch::followed::{Followed, NotFollowed};
use crate::watch::look::Look;
use crate::watch::message::{REMARKS_MAX, message};
use crate::watch::reviewers::request_reviews;
use crate::watch::task::continuation;
use crate::watches::LOOK_LONGEST;

/// The part of the time without a change after which the next look follows.
const PART: i32 = 4;

/// How a look ended.
enum Found {
    /// Nothing is to be done before this time, unless the server reports a change.
    Nothing {
        until: Option<Timestamp>,
        seen: Box<Seen>,
        /// The interval of the watch's polls.
        poll: Duration,
    },
    Something(Settlement),
}

/// The result of the latest looks of this effect.
struct Unchanged {
    seen: Seen,
    since: Timestamp,
}

/// Looks until something is to be done. A look that finds nothing is not stored: there are many.
pub(crate) async fn execute(engine: &Engine, issue: IssueId, at: Timestamp) -> Outcome {
    let (mut until, mut unchanged): (_, Option<Unchanged>) = (at, None);
    loop {
        let is_wanted = |issue: &Issue| issue.follow.as_ref().is_some_and(|follow| follow.look_at == Some(at));
        match while_wanted(engine, issue, engine.clock().sleep_until(until), is_wanted).await {
            Ok(Waited::Over) => {}
            Ok(Waited::Pointless) => return Outcome::done(),
            Err(error) => return Outcome::retry(error),
        }
        engine.looks().set_next(issue, None);
        match look(engine, issue, at).await {
            Ok(Found::Nothing { until: next, seen, poll }) => {
                let now = engine.now();
                let since = unchanged.filter(|before| before.seen == *seen).map_or(now, |before| before.since);
                let later = now.saturating_add(pause(poll, now.duration_since(since)));
                until = next.unwrap_or(Timestamp::MAX).min(later.unwrap_or(Timestamp::MAX));
                engine.looks().set_next(issue, Some(until));
                unchanged = Some(Unchanged { seen: *seen, since });
            }
            Ok(Found::Something(settlement)) => return Outcome::Settled(settlement),
            Err(outcome) => return outcome,
        }
    }
}

/// The pause after a look that found nothing, while nothing has changed for `unchanged`.
fn pause(poll: Duration, unchanged: SignedDuration) -> SignedDuration {
    let poll = SignedDuration::try_from(poll).unwrap_or(LOOK_LONGEST);
    (unchanged / PART).clamp(poll.min(LOOK_LONGEST), LOOK_LONGEST)
}

async fn look(engine: &Engine, issue: IssueId, at: Timestamp) -> Result<Found, Outcome> {
    let _permit = engine.looks().begin().await;
    // Before the issue is read: a change after that is noticed.
    let mut events = engine.store().listen();
    let followed = match Followed::read(engine, issue).await {
        Ok(followed) => followed,
        Err(reason) => return unattended(engine, issue, at, reason).await.map(Found::Something),
    };
    let Some(number) = followed.pull_request(engine) else { return Err(Outcome::done()) };
    let now = engine.now();
    let look = Look::at(engine, &followed, number, now).await?;
    if look.has_commands() {
        let subject = Subject::PullRequest(number);
        let (watch, forge, issue) = (&followed.watch, followed.forge.as_ref(), followed.issue.reference.number);
        let (comments, in_reviews) = (&look.commands, &look.review_commands);
        carry_out(engine, &Discussion { watch, forge, issue, subject, comments, in_reviews })
            .await
            .map_err(Outcome::retry)?;
    }
    // A command, or a person, may have stopped the issue meanwhile, or have queued a task.
    let followed = match look.has_commands() || has_changed(&mut events, issue) {
        true => Followed::read(engine, issue).await?,
        false => followed,
    };
    request_reviews(engine, &followed, &look).await;
    let actions = decide(&look.seen, &followed.follow.records, followed.watch.feedback, followed.hold(), now);
    let seen = seen(&followed, &look);
    if let [Action::Wait { until, why }] = actions.as_slice() {
        tracing::debug!(issue = %followed.issue.reference, why, "nothing to do about the pull request yet");
        for event in seen {
            engine.apply(issue, event).await.map_err(Outcome::retry)?;
        }
        let poll = followed.watch.poll(false);
        return Ok(Found::Nothing { until: *until, seen: Box::new(look.seen), poll });
    }
    settle(engine, &followed, &look, at, seen, actions).await.map(Found::Something)
}

/// Cancels a merge that was left to the server when it is not looked at any more: the watch was removed, or the file of the repository
/// may be meant to narrow what is allowed.
async fn unattended(
    engine: &Engine,
    issue: IssueId,
    at: Timestamp,
    reason: NotFollowed,
) -> Result<Settlement, Outcome> {
    if matches!(reason, NotFollowed::Unwatched | NotFollowed::RepoFile(RepoFileError::Invalid(_))) {
        let found = engine.store().issue_by_id(issue).await.map_err(Outcome::retry)?;
        if found.follow.is_some_and(|follow| follow.scheduled.is_some()) {
            let events = vec![(issue, Event::Followed(FollowEvent::MergeCancelDecided))];
            return Ok(Settlement { events, look: Some((issue, at)), ..Settlement::default() });
        }
    }
    Err(reason.into())
}

/// Whether something happened to the issue, as far as is known.
fn has_changed(events: &mut Receiver<Arc<StoredEvent>>, issue: IssueId) -> bool {
    loop {
        match events.try_recv() {
            Ok(event) if event.issue != issue => {}
            Err(TryRecvError::Empty) => return false,
            Ok(_) | Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return true,
        }
    }
}

/// Changes of the pull request since the last look.
fn seen(followed: &Followed, look: &Look) -> Vec<Event> {
    let mut events = Vec::new();
    if followed.follow.is_closed() && look.seen.ending.is_none() {
        events.push(Event::Followed(FollowEvent::Reopened));
    }
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
    at: Timestamp,
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
            Action::RenewMerge { head } => events.push(Event::Followed(FollowEvent::MergeRenewed { head })),
            Action::CancelMerge => events.push(Event::Followed(FollowEvent::MergeCancelDecided)),
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
    // After news, another look may run already. Both would give the same feedback.
    Ok(Settlement { events, enqueue, look: Some((issue, at)) })
}

/// The fingerprint of remarks contains those that were answered before, so that the agent does not get them again. Those that the
/// message leaves out are given afterwards.
fn all_remarks(look: &Look, kind: FeedbackKind) -> Option<String> {
    let (of_bots, open) = match kind {
        FeedbackKind::Review => (false, &look.seen.reviews.ids),
        FeedbackKind::BotReview => (true, &look.seen.bot_reviews.ids),
        FeedbackKind::Verify | FeedbackKind::Conflict | FeedbackKind::Ci | FeedbackKind::Merge => return None,
    };
    let left_out: HashSet<&String> = open.iter().skip(REMARKS_MAX).collect();
    let given = look.remarks.iter().filter(|remark| remark.is_bot == of_bots && !left_out.contains(&remark.id));
    let ids: Vec<&str> = given.map(|remark| remark.id.as_str()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_at_an_unchanged_pull_request_become_rare() {
        let poll = Duration::from_secs(30);
        let minutes = |minutes| pause(poll, SignedDuration::from_mins(minutes)).as_secs();
        assert_eq!([0, 1, 8, 60, 120, 5000].map(minutes), [30, 30, 120, 900, 1800, 1800]);
        assert_eq!(pause(Duration::from_secs(9000), SignedDuration::ZERO), LOOK_LONGEST);
    }
}

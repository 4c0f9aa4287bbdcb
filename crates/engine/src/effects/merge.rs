//! Merges the pull request of a followed issue, with the head that was looked at, or leaves the merge to the server.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::watch::feedback::{Action, FeedbackKind, decide};
use kugetsu_domain::watch::follow::FollowEvent;
use kugetsu_domain::watch::scheduled::Scheduled;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::pull_request::{Merge, MergeMethod};

use super::follow::is_over;
use super::outcome::Outcome;
use crate::engine::Engine;
use crate::watch::followed::Followed;
use crate::watch::look::Look;
use crate::watches::MERGE_ATTEMPTS;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, failures: u32) -> Outcome {
    let repo = match engine.store().issue_by_id(issue).await {
        Ok(issue) => issue.reference.repo,
        Err(error) => return error.into(),
    };
    let _turn = engine.merges().take(&repo).await;
    // After the wait for other merges, which may be long.
    let followed = match Followed::read(engine, issue).await {
        Ok(followed) => followed,
        Err(reason) => return reason.into(),
    };
    let Some(number) = followed.pull_request(engine) else { return Outcome::done() };
    let now = engine.now();
    let look = match Look::at(engine, &followed, number, now).await {
        Ok(look) => look,
        Err(error) => return error.into(),
    };
    // Much may have happened since the decision, also an earlier attempt of this effect.
    let actions = decide(&look.seen, &followed.follow.records, followed.watch.feedback, followed.hold(), now);
    let [Action::Merge { head }] = actions.as_slice() else { return look_again(issue) };
    let method = match followed.watch.method {
        Some(method) => method,
        None => match followed.forge.project(followed.project()).await {
            Ok(project) => project.merge_methods.first().copied().unwrap_or(MergeMethod::Merge),
            Err(error) => return error.into(),
        },
    };
    let merge = Merge { head_sha: head.clone(), method, when_ready: false };
    let attempt = Attempt { engine, followed: &followed, number, merge, failures };
    match followed.forge.has_merge_queue(followed.project(), &look.pull.base_branch).await {
        // A direct merge would bypass the queue, if the token may.
        Ok(true) => attempt.schedule(None).await,
        Ok(false) => attempt.merge().await,
        Err(error) => error.into(),
    }
}

fn look_again(issue: IssueId) -> Outcome {
    Outcome::event(issue, Event::Followed(FollowEvent::Noticed))
}

/// An attempt to merge a pull request.
struct Attempt<'a> {
    engine: &'a Engine,
    followed: &'a Followed,
    number: u64,
    merge: Merge,
    /// Of earlier executions.
    failures: u32,
}

impl Attempt<'_> {
    async fn merge(self) -> Outcome {
        if let Err(outcome) = self.check().await {
            return outcome;
        }
        let (forge, project) = (&self.followed.forge, self.followed.project());
        match forge.merge(project, self.number, &self.merge).await {
            Ok(()) => match forge.pull_request(project, self.number).await {
                Ok(pull) if is_over(pull.state) => self.followed(FollowEvent::Noticed),
                // Some servers merge after they have answered. A look now would decide to merge again.
                Ok(_) => Outcome::retry("the server has accepted the merge and does not report it yet"),
                Err(error) => error.into(),
            },
            Err(error @ ForgeError::Refused { .. }) => match self.retry_after(&error).await {
                Some(outcome) => outcome,
                None => self.schedule(Some(error)).await,
            },
            Err(error) => error.into(),
        }
    }

    /// Checks that the decision still holds, directly before a request that carries it out. The look that led to it takes many requests,
    /// during which a user may stop the issue, queue a task or change the settings.
    async fn check(&self) -> Result<(), Outcome> {
        let now = Followed::read(self.engine, self.followed.issue.id).await?;
        if now.decides_like(self.followed) { Ok(()) } else { Err(look_again(now.issue.id)) }
    }

    /// Leaves the merge to the server. `refusal` is of a direct merge.
    async fn schedule(self, refusal: Option<ForgeError>) -> Outcome {
        if let Err(outcome) = self.check().await {
            return outcome;
        }
        let (forge, project) = (&self.followed.forge, self.followed.project());
        let merge = Merge { when_ready: true, ..self.merge.clone() };
        match forge.merge(project, self.number, &merge).await {
            Ok(()) => {
                let refusal = refusal.map(|error| error.to_string());
                self.followed(FollowEvent::MergeScheduled(Scheduled {
                    number: self.number,
                    head: merge.head_sha,
                    refusal,
                }))
            }
            Err(error @ ForgeError::Refused { .. }) => match self.retry_after(&error).await {
                Some(outcome) => outcome,
                None => self.followed(FollowEvent::Exhausted {
                    kind: FeedbackKind::Merge,
                    fingerprint: merge.head_sha,
                    reason: format!("the server refused to merge it: {}", refusal.unwrap_or(error)),
                }),
            },
            Err(error) => error.into(),
        }
    }

    /// Decides about a refusal. It may mean that the pull request is merged already, was closed, or has another head. `None` if
    /// nothing of this holds, and it was repeated often enough.
    async fn retry_after(&self, refusal: &ForgeError) -> Option<Outcome> {
        match self.followed.forge.pull_request(self.followed.project(), self.number).await {
            Ok(pull) if is_over(pull.state) || pull.head_sha != self.merge.head_sha => {
                Some(self.followed(FollowEvent::Noticed))
            }
            Ok(_) => (self.failures.saturating_add(1) < MERGE_ATTEMPTS).then(|| Outcome::retry(refusal)),
            Err(error) => Some(error.into()),
        }
    }

    fn followed(&self, event: FollowEvent) -> Outcome {
        Outcome::event(self.followed.issue.id, Event::Followed(event))
    }
}

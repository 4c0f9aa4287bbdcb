//! Requests reviews of a pull request that is ready, once.

use kugetsu_domain::watch::feedback::Verified;
use kugetsu_domain::watch::publication::harmless;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::{Forge, Subject};

use super::commands::{is_noted, note};
use super::followed::Followed;
use super::handover::concerns_one;
use super::look::Look;
use super::own_comment::OwnComment;
use super::task::HandoverError;
use crate::engine::Engine;

/// Requests reviews from the reviewers of the watch, once for each pull request, when it is no draft and its head has passed `verify`.
/// The next look repeats what failed.
pub(crate) async fn request_reviews(engine: &Engine, followed: &Followed, look: &Look) {
    let is_ready = look.seen.ending.is_none() && !look.seen.is_draft && look.seen.verified == Verified::Passed;
    if followed.watch.reviewers.is_empty() || !is_ready || followed.hold().is_some() {
        return;
    }
    if let Err(error) = request_once(engine, followed, look.pull.number).await {
        tracing::warn!(issue = %followed.issue.reference, %error, "the reviews of a pull request could not be requested");
    }
}

/// It is noted last, so a daemon that dies in between repeats it: servers keep one request for each reviewer.
async fn request_once(engine: &Engine, followed: &Followed, number: u64) -> Result<(), HandoverError> {
    let (forge, project) = (followed.forge.as_ref(), followed.project());
    let repo = &followed.issue.reference.repo;
    let id = format!("review {project} {number}");
    // Two looks may be at it at once.
    let _turn = engine.commands().take(&followed.issue.reference).await;
    if is_noted(engine, repo, id.clone()).await? {
        return Ok(());
    }
    let refusals = request(followed, forge, number).await?;
    if !refusals.is_empty() {
        let text = format!("kugetsu could not request these reviews:\n\n{}", refusals.join("\n"));
        OwnComment { project, subject: Subject::PullRequest(number), text: &text, marker: &id }.write(forge, 0).await?;
    }
    Ok(note(engine, repo, id).await?)
}

/// Returns the refusals, as items of a list. GitLab takes the whole list, and the others refuse it for one user.
async fn request(followed: &Followed, forge: &dyn Forge, number: u64) -> Result<Vec<String>, ForgeError> {
    let reviewers = &followed.watch.reviewers;
    match forge.request_review(followed.project(), number, reviewers).await {
        Ok(()) => return Ok(Vec::new()),
        Err(error) if !concerns_one(&error) => return Err(error),
        Err(error) if reviewers.len() == 1 => return Ok(vec![refusal(&reviewers[0], &error)]),
        Err(_) => {}
    }
    let mut refusals = Vec::new();
    for login in reviewers {
        match forge.request_review(followed.project(), number, std::slice::from_ref(login)).await {
            Ok(()) => {}
            Err(error) if concerns_one(&error) => refusals.push(refusal(login, &error)),
            Err(error) => return Err(error),
        }
    }
    Ok(refusals)
}

fn refusal(login: &str, error: &ForgeError) -> String {
    format!("- {login}: {}", harmless(&error.to_string()))
}

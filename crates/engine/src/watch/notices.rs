//! Looks into what webhooks report. Each report names a subject; what is the case there is read from the server.

use std::collections::HashSet;

use kugetsu_domain::flow::Event;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::naming;
use kugetsu_domain::watch::follow::FollowEvent;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::webhook::notice::NoticeSubject;
use kugetsu_store::error::StoreError;
use kugetsu_store::query::IssueFilter;
use kugetsu_store::view::HookNews;
use tokio::task::JoinSet;

use super::candidates::remove;
use super::comments::take_comments;
use super::followed::pull_request_number;
use super::handover::consider;
use super::task::HandoverError;
use crate::engine::Engine;
use crate::forges::background;
use crate::repo_file::with_file;
use crate::reported::Reported;
use crate::watches::Watch;

/// Subjects that are looked into at once.
const AT_ONCE: usize = 8;

/// Looks into reports until it is dropped.
pub(crate) async fn serve(engine: Engine) {
    let notices = engine.notices().clone();
    let (mut running, mut subjects) = (JoinSet::new(), HashSet::new());
    loop {
        while running.len() < AT_ONCE
            && let Some(reported) = notices.take_except(&subjects)
        {
            subjects.insert(reported.clone());
            let engine = engine.clone();
            running.spawn(async move {
                look_into(&engine, &reported).await;
                reported
            });
        }
        tokio::select! {
            () = notices.changed(), if running.len() < AT_ONCE => {}
            Some(ended) = running.join_next() => match ended {
                Ok(reported) => drop(subjects.remove(&reported)),
                Err(error) => {
                    // Which one it was is lost with the panic; a subject more is looked into twice at once at worst.
                    tracing::error!(%error, "a report of a webhook was not looked into");
                    subjects.clear();
                }
            },
        }
    }
}

/// The next poll finds a change that could not be read here.
async fn look_into(engine: &Engine, (server, notice): &Reported) {
    let is_meant = |watch: &&Watch| {
        watch.repo.base == *server && watch.repo.project.as_str().eq_ignore_ascii_case(notice.project.as_str())
    };
    let settings = engine.settings();
    for watch in settings.watches.iter().filter(is_meant) {
        let looked = match engine.store().set_hook(watch.repo.clone(), HookNews::Worked, engine.now()).await {
            Ok(()) => look(engine, watch, &notice.subject).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = looked {
            tracing::warn!(watch = watch.name, subject = ?notice.subject, %error, "a report of a webhook waits for the next poll");
        }
    }
}

async fn look(engine: &Engine, watch: &Watch, subject: &NoticeSubject) -> Result<(), HandoverError> {
    match subject {
        NoticeSubject::Ping => Ok(()),
        NoticeSubject::Issue(number) => {
            consider_number(engine, watch, *number).await?;
            notify(engine, watch, |issue| issue.reference.number == *number).await?;
            Ok(())
        }
        NoticeSubject::PullRequest(number) => {
            engine.report_times().set(&watch.repo, *number, engine.now());
            notify(engine, watch, |issue| pull_request_number(engine, issue) == Some(*number)).await?;
            Ok(())
        }
        NoticeSubject::Checks { commit } => {
            let has_head = |issue: &Issue| {
                let head = issue.follow.as_ref().and_then(|follow| follow.head.as_ref());
                head == Some(commit) || issue.pushed.as_ref() == Some(commit)
            };
            notify(engine, watch, has_head).await?;
            Ok(())
        }
        NoticeSubject::Push { branch } => {
            if !branch.starts_with(naming::BRANCHES) {
                engine.repo_files().forget(&watch.repo);
            }
            let has_branch = |issue: &Issue| issue.worktree.as_ref().is_some_and(|files| files.branch == *branch);
            notify(engine, watch, has_branch).await?;
            Ok(())
        }
    }
}

async fn consider_number(engine: &Engine, watch: &Watch, number: u64) -> Result<(), HandoverError> {
    let forge = background(engine, &watch.repo.base)?;
    let watch = &with_file(engine, watch, forge.as_ref()).await?;
    match forge.issue(&watch.repo.project, number).await {
        Ok(issue) => {
            consider(engine, watch, forge.as_ref(), &issue).await?;
            take_comments(engine, watch, forge.as_ref(), number).await
        }
        // It was deleted or moved.
        Err(ForgeError::NotFound { authenticated: true, .. }) => Ok(remove(engine, watch, number).await?),
        Err(error) => Err(error.into()),
    }
}

/// Makes the followed issues of the watch look at their pull requests. Returns whether there are any.
pub(crate) async fn notify(
    engine: &Engine,
    watch: &Watch,
    is_meant: impl Fn(&Issue) -> bool,
) -> Result<bool, HandoverError> {
    let open = engine.store().issues(IssueFilter::OpenIn(watch.repo.clone()), usize::MAX).await?.issues;
    let mut is_any = false;
    for issue in open {
        // One that was closed may be open again.
        let is_followed = issue
            .follow
            .as_ref()
            .is_some_and(|follow| follow.is_open() && follow.look_at.is_some() || follow.is_closed());
        if is_followed && is_meant(&issue) {
            is_any = true;
            match engine.apply(issue.id, Event::Followed(FollowEvent::Noticed)).await {
                // It was destroyed meanwhile.
                Ok(_) | Err(StoreError::Refused(_) | StoreError::NoSuchIssue) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(is_any)
}

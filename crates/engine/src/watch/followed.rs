//! A followed issue with its watch and its server, for the effects.

use std::sync::Arc;

use kugetsu_domain::effect::EffectKind;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::reference::ProjectPath;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::watch::feedback::Hold;
use kugetsu_domain::watch::follow::Follow;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::references::address::Target;
use kugetsu_forge::references::parser::parse;
use kugetsu_store::error::StoreError;
use thiserror::Error;

use crate::engine::Engine;
use crate::forges::background;
use crate::repo_file::{RepoFileError, with_file};
use crate::watches::Watch;

/// Why there is nothing to do about an issue now.
#[derive(Debug, Error)]
pub(crate) enum NotFollowed {
    /// The issue is gone, or is not followed.
    #[error("the issue is not followed")]
    Over,
    /// No watch has its repository any more. Everything continues when one has it again.
    #[error("its repository is not watched any more")]
    Unwatched,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    RepoFile(#[from] RepoFileError),
}

/// A followed issue whose repository is watched.
pub(crate) struct Followed {
    pub(crate) issue: Issue,
    pub(crate) follow: Follow,
    pub(crate) watch: Watch,
    pub(crate) forge: Arc<dyn Forge>,
    /// Whether what a run pushed is about to be published.
    pub(crate) publishes: bool,
}

impl Followed {
    pub(crate) async fn read(engine: &Engine, issue: IssueId) -> Result<Self, NotFollowed> {
        let issue = match engine.store().issue_by_id(issue).await {
            Ok(issue) => issue,
            Err(StoreError::NoSuchIssue) => return Err(NotFollowed::Over),
            Err(error) => return Err(error.into()),
        };
        let Some(follow) = issue.follow.clone() else { return Err(NotFollowed::Over) };
        // The name says nothing: its entry may be of another repository now, and another one of this repository.
        let Some(watch) = engine.settings().watch_of(&issue.reference.repo).cloned() else {
            return Err(if issue.state == IssueState::Destroyed { NotFollowed::Over } else { NotFollowed::Unwatched });
        };
        let forge = background(engine, &issue.reference.repo.base)?;
        let watch = with_file(engine, &watch, forge.as_ref()).await?;
        // After the issue: a look that has missed the end of the publication is void.
        let effects = engine.store().effects_of(issue.id).await?;
        let publishes = effects.iter().any(|effect| effect.kind == Some(EffectKind::Publish) && !effect.failed);
        Ok(Self { issue, follow, watch, forge, publishes })
    }

    pub(crate) fn project(&self) -> &ProjectPath {
        &self.issue.reference.repo.project
    }

    /// Why nothing may be given or merged now.
    pub(crate) fn hold(&self) -> Option<Hold> {
        match (self.follow.is_stopped, self.issue.tasks.is_empty()) {
            _ if self.issue.state != IssueState::Open => Some(Hold::Removed),
            (true, _) => Some(Hold::Stopped),
            (false, false) => Some(Hold::Busy),
            (false, true) => self.follow.question.map(|_| Hold::Asks),
        }
    }

    /// Whether the same look leads to the same decisions as with `earlier`, which is the same issue.
    pub(crate) fn decides_like(&self, earlier: &Self) -> bool {
        let url = |followed: &Self| followed.issue.pr.as_ref().map(|pr| pr.url.clone());
        let (follow, before) = (&self.follow, &earlier.follow);
        self.watch == earlier.watch
            && self.hold() == earlier.hold()
            && url(self) == url(earlier)
            && (&follow.records, &follow.scheduled, follow.ending)
                == (&before.records, &before.scheduled, before.ending)
    }

    /// The number of its pull request.
    pub(crate) fn pull_request(&self, engine: &Engine) -> Option<u64> {
        pull_request_number(engine, &self.issue)
    }

    /// Identifies what kugetsu writes about the issue on its server.
    pub(crate) fn marker(&self) -> String {
        self.issue.id.to_string()
    }
}

/// Whether the agent has ended its work on the issue, and there is nothing to open a pull request with. `latest` is the state of the
/// latest task.
pub(crate) fn is_without_result(issue: &Issue, latest: TaskState) -> bool {
    let is_followed = issue.follow.as_ref().is_some_and(|follow| follow.is_open() && follow.question.is_none());
    let has_nothing = issue.state == IssueState::Open && issue.pr.is_none() && issue.pushed.is_none();
    is_followed && has_nothing && issue.tasks.is_empty() && latest == TaskState::Done
}

/// The number of the issue's pull request.
pub(crate) fn pull_request_number(engine: &Engine, issue: &Issue) -> Option<u64> {
    let address = parse(&issue.pr.as_ref()?.url, &engine.settings().servers.known(), None).ok()?;
    match address.target {
        Target::PullRequest(number) => Some(number),
        _ => None,
    }
}

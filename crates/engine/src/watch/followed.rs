//! What the effects of a followed issue need: the issue, its watch and its server.

use std::sync::Arc;

use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reference::ProjectPath;
use kugetsu_domain::watch::follow::Follow;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_store::error::StoreError;

use super::settings::Watch;
use crate::effects::outcome::Outcome;
use crate::engine::Engine;
use crate::forges::forge;

/// A followed issue whose watch is still set.
pub(crate) struct Followed {
    pub(crate) issue: Issue,
    pub(crate) follow: Follow,
    pub(crate) watch: Watch,
    pub(crate) forge: Arc<dyn Forge>,
}

impl Followed {
    /// Reads the issue. An error is the outcome of the effect: nothing is left to do for an issue that is not followed, or whose
    /// watch was removed.
    pub(crate) async fn read(engine: &Engine, issue: IssueId) -> Result<Self, Outcome> {
        let issue = match engine.store().issue_by_id(issue).await {
            Ok(issue) => issue,
            Err(StoreError::NoSuchIssue) => return Err(Outcome::done()),
            Err(error) => return Err(Outcome::retry(error)),
        };
        let Some(follow) = issue.follow.clone() else { return Err(Outcome::done()) };
        let settings = engine.settings();
        let Some(watch) = settings.watches.iter().find(|watch| watch.name == follow.watch).cloned() else {
            tracing::info!(issue = %issue.reference, watch = follow.watch, "the watch was removed, so the issue is not followed");
            return Err(Outcome::done());
        };
        let base = &issue.reference.repo.base;
        match forge(engine, base) {
            Ok(Some(forge)) => Ok(Self { issue, follow, watch, forge }),
            Ok(None) => Err(Outcome::retry(format!("the kind of server at {base} is not known"))),
            Err(error) => Err(failed(&error)),
        }
    }

    pub(crate) fn project(&self) -> &ProjectPath {
        &self.issue.reference.repo.project
    }

    /// Identifies what kugetsu writes about the issue on its server.
    pub(crate) fn marker(&self) -> String {
        self.issue.id.to_string()
    }
}

/// A failed request. It is repeated as long as that may help; what a person has to correct is repeated, too, and `kugetsu why` shows
/// it.
pub(crate) fn failed(error: &ForgeError) -> Outcome {
    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    Outcome::retry(format!("{error}{hint}"))
}

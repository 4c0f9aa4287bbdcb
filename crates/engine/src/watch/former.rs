//! Issues of a repository that was renamed, and whose watch names it anew: kugetsu knows them by the former name.

use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::reference::{IssueRef, ProjectPath};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;

use super::task::HandoverError;
use crate::engine::Engine;
use crate::watches::Watch;

/// Returns the issue of this number that kugetsu works on under a former name of the repository. A repository that was moved to another
/// server, and one whose former name the server does not redirect, is not recognized.
pub(crate) async fn former_issue(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    number: u64,
) -> Result<Option<Issue>, HandoverError> {
    let settings = engine.settings();
    for repo in engine.store().repos().await?.into_iter().map(|repo| repo.name) {
        // A repository that is watched is another one.
        if repo.base != watch.repo.base || settings.watch_of(&repo).is_some() {
            continue;
        }
        let known = engine.store().issue(&IssueRef { repo: repo.clone(), number }).await?;
        let known = known.filter(|known| known.follow.is_some() && known.state != IssueState::Destroyed);
        if let Some(known) = known
            && is_same(forge, &repo.project, &watch.repo.project).await?
        {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

/// Whether the server has one project under both paths.
async fn is_same(forge: &dyn Forge, former: &ProjectPath, current: &ProjectPath) -> Result<bool, ForgeError> {
    let redirected = match forge.project(former).await {
        Ok(project) => project.path,
        Err(ForgeError::NotFound { .. } | ForgeError::Forbidden { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(redirected.eq_ignore_ascii_case(&forge.project(current).await?.path))
}

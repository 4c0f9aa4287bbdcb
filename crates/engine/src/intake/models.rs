//! Checks the name of a model before a task is stored: a mistyped one is an error now rather than a failed run.
//!
//! Each run records the models that its agent offers, so that a name that is among them is accepted at once. That record may be
//! out of date, so it never decides alone that a model does not exist: the agent then lists its models, in an empty
//! directory. If there is no such list, or if the repository may define models itself, the task starts with a warning, and
//! the run finds out.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::time::Duration;

use kugetsu_agent::{
    AgentError, FirstStart, Offer, Profile, models_in, near_models, offer, record_models, recorded_models,
};
use kugetsu_api::atomic_file::write_atomic;
use kugetsu_api::problem::Problem;
use kugetsu_api::regular_file;
use kugetsu_git::names::BranchName;
use kugetsu_store::view::Repo;
use tokio::time::timeout;

use crate::agent_command::AgentCommand;
use crate::agents::InstalledAgent;
use crate::engine::Engine;
use crate::problems::usage;
use crate::repositories::mirror_if_there;

/// How long an agent may take to list its models. opencode takes 5 to 7 s on a busy machine.
const LIST_LIMIT: Duration = Duration::from_secs(15);
/// How long a look into the repository may take, and a list that is made for another request.
const WAIT_LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of a list that are read.
const LIST_MAX: u64 = 1024 * 1024;

/// The directory in which the agent will run, which may have settings that define models.
#[derive(Clone, Copy)]
pub(super) enum Project<'a> {
    Worktree(&'a Path),
    /// A worktree that will be created.
    Base {
        repo: &'a Repo,
        branch: Option<&'a str>,
    },
}

/// Returns a warning if the agent may not have the model.
///
/// # Errors
/// The agent has no such model.
pub(super) async fn check(
    engine: &Engine,
    installed: &InstalledAgent,
    model: &str,
    project: Project<'_>,
) -> Result<Option<String>, Problem> {
    let agent = installed.profile.name();
    let recorded = recorded_models(&engine.home().agents(), agent);
    if recorded.is_empty() || offer(&recorded, model) == Offer::Listed {
        return Ok(None);
    }
    let warning = || warning(engine, agent, model);
    if may_define_models(engine, &installed.profile, project).await {
        return Ok(warning());
    }
    // A caller that goes away must not leave the agent's processes in the directory of the next list.
    let listed = tokio::spawn({
        let (engine, installed, recorded) = (engine.clone(), installed.clone(), recorded.clone());
        async move { list(&engine, &installed, &recorded).await }
    });
    match listed.await.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(Some(models)) if offer(&models, model) == Offer::Listed => Ok(None),
        // Only a session shows which variants there are.
        Ok(Some(models)) if offer(&models, model) == Offer::Variant => Ok(warning()),
        Ok(Some(models)) => {
            let unknown = AgentError::UnknownModel { name: model.to_owned(), known: models };
            let hint = unknown.hint().unwrap_or_default();
            Err(usage(format!("{agent} has no model {model:?}")).hint(hint))
        }
        Ok(None) => Ok(warning()),
        Err(why) => {
            tracing::warn!(agent, why, "the agent's models cannot be listed");
            Ok(warning())
        }
    }
}

/// Returns a warning if the agent did not offer the model in its latest session.
pub(crate) fn warning(engine: &Engine, agent: &str, model: &str) -> Option<String> {
    let recorded = recorded_models(&engine.home().agents(), agent);
    if recorded.is_empty() || offer(&recorded, model) == Offer::Listed {
        return None;
    }
    let near = match near_models(model, &recorded).as_slice() {
        [] => String::new(),
        near => format!("; did you mean `{}`?", near.join("` or `")),
    };
    Some(format!("{agent} did not offer the model {model:?} in its latest session, and the run fails without it{near}"))
}

/// Whether the repository has settings of the agent's, or whether that is not known.
async fn may_define_models(engine: &Engine, profile: &Profile, project: Project<'_>) -> bool {
    let names = profile.project_settings();
    if names.is_empty() {
        return false;
    }
    match project {
        Project::Worktree(directory) => may_have(directory, names),
        Project::Base { repo, branch } => {
            let has_settings = timeout(WAIT_LIMIT, base_has(engine, repo, branch, names)).await;
            has_settings.ok().flatten().unwrap_or(true)
        }
    }
}

/// Whether a worktree has a file with one of these names, or that cannot be seen. One that is gone is created again from what was
/// pushed, which is not known here.
fn may_have(worktree: &Path, names: &[&str]) -> bool {
    let is_absent = |path: &Path| path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    is_absent(worktree) || !names.iter().all(|name| is_absent(&worktree.join(name)))
}

/// Whether the base has a file with one of these names, as the server has it now. `None` if that cannot be found out.
async fn base_has(engine: &Engine, repo: &Repo, branch: Option<&str>, names: &[&str]) -> Option<bool> {
    let mirror = mirror_if_there(engine, repo).await.ok()??;
    mirror.update(&mut |_| ()).await.ok()?;
    let branch = branch.map(BranchName::new).transpose().ok()?;
    match mirror.resolve_base(branch.as_ref()).await.ok()?.commit {
        Some(commit) => mirror.has_at_root(&commit, names).await.ok(),
        None => Some(false),
    }
}

/// Returns the agent's models as it lists them now; none if it has no command for it, or if this would be its first start,
/// which must not be concurrent with another one.
///
/// # Errors
/// Why the list could not be made.
async fn list(engine: &Engine, installed: &InstalledAgent, recorded: &[String]) -> Result<Option<Vec<String>>, String> {
    let InstalledAgent { profile, program, .. } = installed;
    let Some(launch) = profile.list_models() else { return Ok(None) };
    let home = engine.home();
    let _listing = timeout(WAIT_LIMIT, engine.listing().lock()).await.map_err(|error| error.to_string())?;
    match timeout(Duration::from_secs(1), FirstStart::new(profile, program, &home.agents())).await {
        Ok(Ok(None)) => {}
        _ => return Ok(None),
    }
    let path = home.path().join(".models.list");
    let output = regular_file::open(OpenOptions::new().create(true).truncate(true).read(true).write(true), &path);
    let mut output = output.map_err(|error| format!("{}: {error}", path.display()))?;
    // Only this process and the command need it.
    fs::remove_file(&path).map_err(|error| error.to_string())?;
    let name = "models".to_owned();
    let command = AgentCommand { engine, agent: installed, launch: &launch, name, time_limit: LIST_LIMIT };
    command.run(output.try_clone().map_err(|error| error.to_string())?).await?;
    output.rewind().map_err(|error| error.to_string())?;
    let mut text = String::new();
    output.take(LIST_MAX).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let mut models = models_in(&text);
    if models.is_empty() {
        return Err("its list is empty".to_owned());
    }
    // Variants that a session has offered are not in the list.
    let variants: Vec<String> =
        recorded.iter().filter(|name| offer(&models, name) == Offer::Variant).cloned().collect();
    models.extend(variants);
    if let Err(error) = record_models(&home.agents(), profile.name(), &models, write_atomic) {
        tracing::warn!(%error, "the agent's models are not kept");
    }
    Ok(Some(models))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_worktree_that_can_be_read_has_no_settings() {
        let directory = tempfile::tempdir().unwrap();
        let worktree = directory.path().join("worktree");
        assert!(may_have(&worktree, &["opencode.json"]), "it is gone");
        fs::write(&worktree, "").unwrap();
        assert!(may_have(&worktree, &["opencode.json"]), "it is no directory");
        fs::remove_file(&worktree).unwrap();
        fs::create_dir(&worktree).unwrap();
        assert!(!may_have(&worktree, &["opencode.json"]));
        std::os::unix::fs::symlink("nowhere", worktree.join("opencode.json")).unwrap();
        assert!(may_have(&worktree, &["opencode.jsonc", "opencode.json"]));
    }
}

//! Resolves the reference of a new task.

use std::path::{Path, PathBuf};

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_forge::kinds::table::pull_request_name;
use kugetsu_forge::references::address::Target;
use kugetsu_forge::references::reference::Reference;
use kugetsu_git::names::BranchName;
use kugetsu_store::view::Repo;

use crate::engine::Engine;
use crate::problems::{problem, usage};
use crate::resolve::address::read;
use crate::resolve::directory::{directory_by_name, expand, locate, main_directory};
use crate::resolve::repo::{local_repo, repo_of};

/// The repository and issue of a new task.
#[derive(Clone, Debug)]
pub(crate) struct TaskTarget {
    pub(crate) repo: Repo,
    /// The directory of a repository that was named by its path.
    pub(crate) directory: Option<PathBuf>,
    /// The issue's number; `None` takes the next local one.
    pub(crate) number: Option<u64>,
    /// The user's branch, if the user is in a linked worktree of the repository.
    pub(crate) branch: Option<BranchName>,
}

/// Resolves the reference of a `start`. The name of a new local repository is the one that it would get now; it gets one when
/// it is stored.
pub(crate) async fn target(engine: &Engine, reference: &Reference, cwd: &Path) -> Result<TaskTarget, Problem> {
    let reference = &directory_by_name(reference, cwd).await?;
    if let Reference::Path(path) = reference {
        let located = locate(engine, &expand(path, cwd)?).await?;
        let directory = main_directory(&located);
        let repo = local_repo(engine, &directory).await?;
        // A linked worktree has its own HEAD, which is the one that the user sees.
        let is_linked = !located.bare && directory != located.root.canonicalize().unwrap_or_default();
        let branch = if is_linked {
            located.branch(engine.git()).await.map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?
        } else {
            None
        };
        return Ok(TaskTarget { repo, directory: Some(directory), number: None, branch });
    }
    let settings = engine.settings();
    let address = read(engine, &settings, reference.as_str(), cwd).await?;
    let number = match address.target {
        Target::Issue(number) => number,
        Target::PullRequest(_) => {
            let name = pull_request_name(address.kind);
            return Err(usage(format!("{reference} is a {name}, not an issue")).hint(format!(
                "name the issue, and pass the {name} after the message: `kugetsu start <issue> \"<message>\" {reference}`"
            )));
        }
        Target::Repo => {
            return Err(usage(format!("{reference} names a repository, not an issue")).hint(
                "append the number of an issue, as in owner/repo#12, or run `kugetsu start . \"<message>\"` in a clone",
            ));
        }
    };
    if number == 0 {
        return Err(usage(format!("{reference}: issues are numbered from 1")));
    }
    let repo = repo_of(engine, &settings, &address, number).await?;
    Ok(TaskTarget { repo, directory: None, number: Some(number), branch: None })
}

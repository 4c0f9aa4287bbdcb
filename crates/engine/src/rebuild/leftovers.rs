//! Worktrees and rescues of issues of which no run is left.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::regular_file;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::Worktree;
use kugetsu_domain::naming;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_git::names::BranchName;
use kugetsu_store::error::StoreError;
use kugetsu_store::store::Store;
use kugetsu_store::view::Repo;
use kugetsu_store::write::Adopt;
use uuid::Uuid;

use super::mirrors::FoundMirror;

/// The message of a task of which nothing is known.
const MESSAGE: &str = "Continue the work on this issue.";
/// Longest HEAD that is read, in bytes.
const HEAD_MAX: u64 = 4096;

/// Returns the branch of an issue of which no run is left: the only one with a name of this issue that kugetsu has pushed, else
/// the one of such a name that the worktree is on. `None` if neither shows it for sure: runs push to it.
///
/// The relay does not show it. Its HEAD is the server's default branch.
pub(super) fn branch_of(home: &Home, mirror: &FoundMirror, directory: &str, number: u64) -> Option<String> {
    let pushed: Vec<&String> = mirror.pushed.iter().filter(|branch| naming::is_branch_of(branch, number)).collect();
    let checked_out = checked_out(&home.files(directory).0).filter(|branch| naming::is_branch_of(branch, number));
    match (pushed.as_slice(), checked_out) {
        ([only], _) => Some((*only).clone()),
        ([], checked_out) => checked_out,
        (several, checked_out) => checked_out.filter(|branch| several.contains(&branch)),
    }
}

/// The branch that HEAD of a worktree names. An agent may have written it.
fn checked_out(worktree: &Path) -> Option<String> {
    let git_dir = worktree.join(".git");
    let head = git_dir.join("HEAD");
    let is_directory = fs::symlink_metadata(&git_dir).is_ok_and(|git_dir| git_dir.is_dir());
    let is_file = fs::symlink_metadata(&head).is_ok_and(|head| head.is_file() && head.len() <= HEAD_MAX);
    let text = if is_directory && is_file { regular_file::read_to_string(&head).ok()? } else { return None };
    let branch = text.trim().strip_prefix("ref: refs/heads/")?;
    BranchName::new(branch.to_owned()).ok().map(|branch| branch.to_string())
}

/// Stores an issue of which only files or rescues are left. Its task is blocked, so that nothing starts.
pub(super) async fn adopt(
    store: &Store,
    repo: &Repo,
    number: u64,
    branch: String,
    agent: &str,
    now: Timestamp,
) -> Result<IssueId, StoreError> {
    let reference = IssueRef { repo: repo.name.clone(), number };
    let directory = naming::worktree_directory(&reference);
    let task = Task {
        reason: Some("the database was rebuilt; what its earlier tasks were is not known".into()),
        ..Task::queued(TaskId::new(Uuid::now_v7()), TaskKind::Start, agent.to_owned(), MESSAGE.to_owned(), now)
    };
    let event = Event::Adopted {
        task,
        worktree: Worktree { directory, branch, base_branch: None, base_sha: None },
        session: None,
        resumable: false,
        pr_url: None,
    };
    let new_issue = IssueId::new(Uuid::now_v7());
    let adopt = Adopt { repo: repo.clone(), number, new_issue, title: String::new(), event };
    Ok(store.adopt(adopt, now).await?.issue.id)
}

/// Records that an issue has no files any more.
pub(super) async fn destroyed(
    store: &Store,
    issue: IssueId,
    rescue: Option<String>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let notes = vec!["its files were gone when the database was rebuilt".to_owned()];
    store.apply(issue, Event::DestroyRequested, now).await?;
    store.apply(issue, Event::Destroyed { rescue, notes }, now).await.map(drop)
}

//! Adopts work on an issue that began before kugetsu: its clone becomes a worktree, its session continues if the files stay
//! in their directory, and the issue is stored.
//!
//! Either everything is adopted or nothing is changed. `kugetsu init` requests it, issue by issue.

use std::path::{Component, Path};

use jiff::Timestamp;
use kugetsu_agent::SessionId;
use kugetsu_api::adopt::{AdoptRequest, AdoptedObject};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::{Issue, Worktree as IssueWorktree};
use kugetsu_domain::naming;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::session::SessionState;
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_domain::text::shell_word;
use kugetsu_forge::references::reference::Reference;
use kugetsu_git::adopt::{AdoptError, AdoptSpec, ExternalClone};
use kugetsu_git::mirror::Mirror;
use kugetsu_git::names::BranchName;
use kugetsu_git::worktree::Worktree;
use kugetsu_git::worktree::lock::hold;
use kugetsu_store::query::IssueFilter;
use kugetsu_store::view::Repo;
use kugetsu_store::write::Adopt;
use uuid::Uuid;

use crate::credentials::{source, token_variable, with_token};
use crate::engine::Engine;
use crate::intake::tasks::title;
use crate::problems::{internal, not_stored, store_failed, usage};
use crate::pull_requests;
use crate::resolve;

/// The agent of the shell script.
const AGENT: &str = "opencode";
/// The message of the adopted task if the original one is unknown.
const DEFAULT_MESSAGE: &str = "Continue the work on this issue.";
/// Characters of the script's state that are quoted.
const STATE_MAX: usize = 60;

/// Adopts the work. A known issue is not changed.
pub async fn adopt(engine: &Engine, request: &AdoptRequest) -> Result<AdoptedObject, Problem> {
    let backup = Path::new(&request.backup);
    let is_name = |path: &Path| matches!(path.components().collect::<Vec<_>>().as_slice(), [Component::Normal(_)]);
    if !is_name(backup) {
        return Err(usage(format!("invalid name of a backup: {:?}", request.backup)));
    }
    let typed = Reference::new(&request.reference);
    if typed.is_path() {
        return Err(usage(format!("{:?} is a path, not an issue", request.reference)));
    }
    let target = resolve::target(engine, &typed, engine.home().path()).await?;
    let number = target.number.ok_or_else(|| usage(format!("{:?} has no issue number", request.reference)))?;
    let reference = IssueRef { repo: target.repo.name.clone(), number };
    if let Some(issue) = engine.store().issue(&reference).await.map_err(store_failed)? {
        return Ok(object(engine, &issue, true, vec![]));
    }
    let clone = Path::new(&request.clone);
    let mut notes = Vec::new();
    let session = request.session.as_deref().and_then(|id| match SessionId::new(id) {
        Ok(_) => Some(id.to_owned()),
        Err(error) => {
            notes.push(format!("the next run opens a new session: {error}"));
            None
        }
    });
    let pr_url = request.pr_url.clone().filter(|url| {
        let is_valid = pull_requests::checked(url).is_ok();
        if !is_valid {
            notes.push("the URL of its pull request is invalid; set it with `kugetsu set-pr`".to_owned());
        }
        is_valid
    });
    if let Some(other) = issue_of(engine, clone).await? {
        return Err(Problem::new(ProblemKind::Conflict, format!("{} is the worktree of {other}", clone.display()))
            .hint(format!("start again with `kugetsu start '{reference}' \"<message>\"`")));
    }
    let external = ExternalClone::at(clone).map_err(|error| not_adopted(engine, &reference, request, &error))?;
    // Keeps other processes from using or removing it meanwhile.
    let _lock = match hold(clone) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            return Err(Problem::new(
                ProblemKind::Conflict,
                format!("{} is in use by another process", clone.display()),
            )
            .hint("when it has ended, run `kugetsu init` again"));
        }
        Err(error) => return Err(internal(format!("could not lock {}: {error}", clone.display()))),
    };
    let files = adopt_files(engine, &target.repo, &reference, request, &external).await;
    let (worktree, in_place, messages) = files.map_err(|error| not_adopted(engine, &reference, request, &error))?;
    notes.extend(messages);

    let resumable = in_place && session.is_some();
    if session.is_some() && !in_place {
        notes
            .push("its session belongs to the old directory; the next run opens a new one with a hand-over".to_owned());
    }
    let event = Event::Adopted { task: task(request, &reference, engine.now()), worktree, session, resumable, pr_url };
    let adopt = Adopt {
        repo: target.repo.clone(),
        number,
        new_issue: IssueId::new(Uuid::now_v7()),
        title: request.message.as_deref().map(title).unwrap_or_default(),
        event,
    };
    let applied = engine.store().adopt(adopt, engine.now()).await.map_err(|error| not_stored(&reference, error))?;
    engine.repo_was_stored(&target.repo);
    Ok(object(engine, &applied.issue, applied.repeated, notes))
}

/// Returns the issue whose worktree this directory is.
async fn issue_of(engine: &Engine, clone: &Path) -> Result<Option<IssueRef>, Problem> {
    let (parent, name) = (clone.parent().and_then(|parent| parent.canonicalize().ok()), clone.file_name());
    let Some(name) = name.and_then(|name| name.to_str()).filter(|_| parent == Some(engine.home().worktrees())) else {
        return Ok(None);
    };
    let issue = engine.store().issue(IssueFilter::Directory(name.to_owned())).await.map_err(store_failed)?;
    Ok(issue.map(|issue| issue.reference))
}

/// Creates the worktree. Returns whether its files stayed in their directory, and messages for the user.
async fn adopt_files(
    engine: &Engine,
    repo: &Repo,
    reference: &IssueRef,
    request: &AdoptRequest,
    external: &ExternalClone,
) -> Result<(IssueWorktree, bool, Vec<String>), AdoptError> {
    let git = with_token(engine.git(), &engine.settings(), repo.name.base.as_str());
    let mirror = engine.home().mirrors().join(naming::mirror_directory(&repo.name));
    let source = source(repo.name.base.is_local(), &repo.source);
    let (mirror, notices) = Mirror::open_or_bootstrap(&git, &mirror, &source, external, &mut |_| ()).await?;
    let name = naming::worktree_directory(reference);
    let (dir, relay) = engine.home().files(&name);
    let title = request.message.as_deref().map(title).unwrap_or_default();
    let branch = naming::branch(reference.number, &title);
    let damaged = |reason: String| AdoptError::Damaged { path: external.dir().to_owned(), reason };
    let spec = AdoptSpec {
        dir,
        relay,
        branch: BranchName::new(branch).map_err(|error| damaged(error.to_string()))?,
        recorded_branch: request.branch.clone().and_then(|branch| BranchName::new(branch).ok()),
        git_dir_backup: engine.home().backup().join(&request.backup).join("git").join(&name),
    };
    let adopted = Worktree::adopt(&mirror, external, spec, &mut |_| ()).await?;
    let worktree = IssueWorktree {
        directory: name,
        branch: adopted.worktree.branch().to_string(),
        base_branch: adopted.base.branch.as_ref().map(ToString::to_string),
        base_sha: adopted.base.commit.as_ref().map(ToString::to_string),
    };
    Ok((worktree, adopted.in_place, notices.into_iter().chain(adopted.notices).collect()))
}

/// The task that the issue is blocked at.
fn task(request: &AdoptRequest, reference: &IssueRef, now: Timestamp) -> Task {
    let state = request.state.as_deref().map(|state| {
        let state: String = state.chars().filter(|c| !c.is_control()).take(STATE_MAX).collect();
        format!(" in the state {state:?}")
    });
    let message = request.message.as_deref().map(str::trim).filter(|message| !message.is_empty());
    let (agent, message) = (AGENT.to_owned(), message.unwrap_or(DEFAULT_MESSAGE).to_owned());
    Task {
        reason: Some(
            Reason::from(format!("imported from the script{}", state.unwrap_or_default()))
                .hint(format!("continue it with `kugetsu continue {reference} \"<message>\"`")),
        ),
        ..Task::queued(TaskId::new(Uuid::now_v7()), TaskKind::Start, agent, message, now)
    }
}

fn object(engine: &Engine, issue: &Issue, known: bool, notes: Vec<String>) -> AdoptedObject {
    let files = issue.worktree.as_ref();
    AdoptedObject {
        issue: issue.reference.to_string(),
        known,
        worktree: files.map(|files| engine.home().files(&files.directory).0.display().to_string()),
        branch: files.map(|files| files.branch.clone()),
        resumable: issue.session.as_ref().is_some_and(|session| session.state == SessionState::Open),
        notes,
    }
}

/// The error, with a hint that fits its cause.
fn not_adopted(engine: &Engine, reference: &IssueRef, request: &AdoptRequest, error: &AdoptError) -> Problem {
    let clone = Path::new(&request.clone);
    let base = request.branch.as_deref().and_then(|branch| BranchName::new(branch).ok());
    let base = base.map(|branch| format!(" --base {}", shell_word(branch.as_str()))).unwrap_or_default();
    let start = format!("kugetsu start '{reference}' \"<message>\"{base}");
    // A new worktree would be created in the same directory.
    let own = engine.home().files(&naming::worktree_directory(reference)).0;
    let make_room = match clone == own && clone.symlink_metadata().is_ok() {
        true => {
            format!("mv {} {} && ", shell_word(&request.clone), shell_word(&format!("{}.script", request.clone)))
        }
        false => String::new(),
    };
    // Not a git command: the configuration in such a directory would decide what it runs.
    let inspect = format!("inspect it with `ls -la {}`", shell_word(&request.clone));
    let problem = Problem::new(ProblemKind::Failed, error.to_string());
    problem.hint(match error {
        AdoptError::Gone(_) => format!("start again from the server with `{start}`"),
        AdoptError::Elsewhere { .. } | AdoptError::NoRepository(_) | AdoptError::Damaged { .. } => {
            format!("{inspect}, or start again from the server with `{make_room}{start}`")
        }
        AdoptError::Mirror(_) => match token_variable(&engine.settings(), reference.repo.base.as_str()) {
            Some(name) => {
                format!(
                    "when the server can be reached, run `kugetsu init` again; set a missing token with \
                     `kugetsu env set {name} -`"
                )
            }
            None => "when the server can be reached, run `kugetsu init` again".to_owned(),
        },
        AdoptError::Worktree(_) | AdoptError::Git(_) | AdoptError::File(_) => match error.hint() {
            Some(hint) => format!("{hint}; then run `kugetsu init` again"),
            None => "when the cause is gone, run `kugetsu init` again".to_owned(),
        },
    })
}

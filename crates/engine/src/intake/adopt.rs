//! Takes over work that was begun on an issue before kugetsu: its files become a worktree, its session goes on where the
//! files could stay, and the issue is known from then on.
//!
//! Either everything of it is taken over or nothing is changed. Whoever reads what was there before (`init`) asks for it,
//! issue by issue.

use std::path::{Component, Path};

use jiff::Timestamp;
use kugetsu_agent::SessionId;
use kugetsu_api::adopt::{AdoptRequest, AdoptedObject};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::{Issue, Worktree as IssueWorktree};
use kugetsu_domain::naming;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::session::SessionState;
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_domain::text::shell_word;
use kugetsu_forge::references::reference::Reference;
use kugetsu_git::adopt::ExternalClone;
use kugetsu_git::adopt::{AdoptError, AdoptSpec};
use kugetsu_git::mirror::Mirror;
use kugetsu_git::names::BranchName;
use kugetsu_git::worktree::Worktree;
use kugetsu_store::view::Repo;
use kugetsu_store::write::Adopt;
use uuid::Uuid;

use crate::credentials::{source, token_variable, with_token};
use crate::engine::Engine;
use crate::intake::tasks::title;
use crate::problems::{internal, not_stored, store_failed, usage};
use crate::pull_requests;
use crate::resolve;
use kugetsu_git::worktree::lock::hold;
use kugetsu_store::query::IssueFilter;

/// The agent that whatever came before kugetsu worked with.
const AGENT: &str = "opencode";
/// What the agent is asked if the work is tried again and nobody knows what it was asked.
const GO_ON: &str = "Go on with the work that was begun on this issue.";
/// So much of a foreign word is shown.
const SHOWN: usize = 60;

/// Takes the work over. An issue that is known stays as it is.
///
/// # Errors
/// A [`Problem`] with the reason and what to type next; everything is as it was.
pub async fn adopt(engine: &Engine, request: &AdoptRequest) -> Result<AdoptedObject, Problem> {
    let backup = Path::new(&request.backup);
    let one = |path: &Path| matches!(path.components().collect::<Vec<_>>().as_slice(), [Component::Normal(_)]);
    if !one(backup) {
        return Err(usage(format!("{:?} cannot be the name of a backup", request.backup)));
    }
    let typed = Reference::new(&request.reference);
    if typed.is_path() {
        return Err(usage(format!("{:?} does not name an issue of a server", request.reference)));
    }
    let target = resolve::target(engine, &typed, engine.home().path()).await?;
    let number = target.number.ok_or_else(|| usage(format!("{:?} names no issue", request.reference)))?;
    let reference = IssueRef { repo: target.repo.name.clone(), number };
    if let Some(issue) = engine.store().issue(&reference).await.map_err(store_failed)? {
        return Ok(object(engine, &issue, true, vec![]));
    }
    let clone = Path::new(&request.clone);
    let mut notes = Vec::new();
    let session = request.session.as_deref().and_then(|id| match SessionId::new(id) {
        Ok(_) => Some(id.to_owned()),
        Err(error) => {
            notes.push(format!("the next run begins a new session: {error}"));
            None
        }
    });
    let pr_url = request.pr_url.clone().filter(|url| {
        let good = pull_requests::checked(url).is_ok();
        if !good {
            notes.push("its change's address is none that can be kept; give it by `kugetsu continue`".to_owned());
        }
        good
    });
    if let Some(other) = worked_in(engine, clone).await? {
        return Err(Problem::new(ProblemKind::Conflict, format!("{} is the worktree of {other}", clone.display()))
            .hint(format!("to begin afresh: kugetsu start '{reference}' \"<message>\"")));
    }
    let found = ExternalClone::at(clone).map_err(|error| not_taken(engine, &reference, request, &error))?;
    // Nobody begins, removes or attaches to it meanwhile.
    let _held = match hold(clone) {
        Ok(Some(held)) => held,
        Ok(None) => {
            return Err(Problem::new(ProblemKind::Conflict, format!("somebody uses {} right now", clone.display()))
                .hint("kugetsu init, when that has ended"));
        }
        Err(error) => return Err(internal(format!("{} cannot be opened: {error}", clone.display()))),
    };
    let files = files(engine, &target.repo, &reference, request, &found).await;
    let (worktree, stayed, told) = files.map_err(|error| not_taken(engine, &reference, request, &error))?;
    notes.extend(told);

    let resumable = stayed && session.is_some();
    if session.is_some() && !stayed {
        notes.push(
            "its session belongs to the old directory: the next run begins a new one with a hand-over".to_owned(),
        );
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

/// The issue whose worktree of ours that is.
async fn worked_in(engine: &Engine, clone: &Path) -> Result<Option<IssueRef>, Problem> {
    let (parent, name) = (clone.parent().and_then(|parent| parent.canonicalize().ok()), clone.file_name());
    let Some(name) = name.and_then(|name| name.to_str()).filter(|_| parent == Some(engine.home().worktrees())) else {
        return Ok(None);
    };
    let issue = engine.store().issue(IssueFilter::Directory(name.to_owned())).await.map_err(store_failed)?;
    Ok(issue.map(|issue| issue.reference))
}

/// The worktree, whether its files stayed where they were, and what there is to say.
async fn files(
    engine: &Engine,
    repo: &Repo,
    reference: &IssueRef,
    request: &AdoptRequest,
    found: &ExternalClone,
) -> Result<(IssueWorktree, bool, Vec<String>), AdoptError> {
    let git = with_token(engine.git(), &engine.settings(), repo.name.base.as_str());
    let place = engine.home().mirrors().join(naming::mirror_directory(&repo.name));
    let source = source(repo.name.base.is_local(), &repo.source);
    let (mirror, seeded) = Mirror::open_or_bootstrap(&git, &place, &source, found, &mut |_| ()).await?;
    let name = naming::worktree_directory(reference);
    let (dir, relay) = engine.home().files(&name);
    let title = request.message.as_deref().map(title).unwrap_or_default();
    let own = naming::branch(reference.number, &title);
    let damaged = |reason: String| AdoptError::Damaged { path: found.dir().to_owned(), reason };
    let spec = AdoptSpec {
        dir,
        relay,
        branch: BranchName::new(own).map_err(|error| damaged(error.to_string()))?,
        recorded_branch: request.branch.clone().and_then(|branch| BranchName::new(branch).ok()),
        git_dir_backup: engine.home().backup().join(&request.backup).join("git").join(&name),
    };
    let adopted = Worktree::adopt(&mirror, found, spec, &mut |_| ()).await?;
    let worktree = IssueWorktree {
        directory: name,
        branch: adopted.worktree.branch().to_string(),
        base_branch: adopted.base.branch.as_ref().map(ToString::to_string),
        base_sha: adopted.base.commit.as_ref().map(ToString::to_string),
    };
    Ok((worktree, adopted.in_place, seeded.into_iter().chain(adopted.notices).collect()))
}

/// The work as a task that has stopped.
fn task(request: &AdoptRequest, reference: &IssueRef, now: Timestamp) -> Task {
    let state = request.state.as_deref().map(|state| {
        let state: String = state.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        format!(", where it was {state:?}")
    });
    let message = request.message.as_deref().map(str::trim).filter(|message| !message.is_empty());
    let (agent, message) = (AGENT.to_owned(), message.unwrap_or(GO_ON).to_owned());
    Task {
        reason: Some(format!(
            "taken over from the script{}; to go on: kugetsu continue {reference} \"<message>\"",
            state.unwrap_or_default()
        )),
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

/// Why the work was left, and what to type.
fn not_taken(engine: &Engine, reference: &IssueRef, request: &AdoptRequest, error: &AdoptError) -> Problem {
    let clone = Path::new(&request.clone);
    let base = request.branch.as_deref().and_then(|branch| BranchName::new(branch).ok());
    let base = base.map(|branch| format!(" --base {}", shell_word(branch.as_str()))).unwrap_or_default();
    let afresh = format!("kugetsu start '{reference}' \"<message>\"{base}");
    // What lies where a new worktree would go has to make way first.
    let own = engine.home().files(&naming::worktree_directory(reference)).0;
    let way = match clone == own && clone.symlink_metadata().is_ok() {
        true => {
            format!("mv {} {}; then ", shell_word(&request.clone), shell_word(&format!("{}.script", request.clone)))
        }
        false => String::new(),
    };
    // Nobody is told to run git there: what lies in such a directory decides what git does.
    let look = format!("look into it: ls -la {}", shell_word(&request.clone));
    let problem = Problem::new(ProblemKind::Failed, error.to_string());
    problem.hint(match error {
        AdoptError::Gone(_) => format!("to begin again from what is on the server: {afresh}"),
        AdoptError::Elsewhere { .. } | AdoptError::NoRepository(_) | AdoptError::Damaged { .. } => {
            format!("{look}; to begin again: {way}{afresh}")
        }
        AdoptError::Mirror(_) => match token_variable(&engine.settings(), reference.repo.base.as_str()) {
            Some(name) => {
                format!("kugetsu init, when the server answers; if a token is missing: kugetsu env set {name} -")
            }
            None => "kugetsu init, when the server answers".to_owned(),
        },
        AdoptError::Worktree(_) | AdoptError::Git(_) | AdoptError::File(_) => match error.hint() {
            Some(hint) => format!("{hint}; then: kugetsu init"),
            None => "kugetsu init, when that is settled".to_owned(),
        },
    })
}

//! Removes an issue's files and session, and never loses work: whatever is not on the server goes to rescue first.

use std::path::Path;
use std::time::Duration;

use kugetsu_agent::SessionId;
use kugetsu_api::issue::{AtRisk, ChangeObject, DestroyRequest, Destroyed, IssueQuery};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::session::SessionState;
use kugetsu_forge::references::reference::Reference;
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_git::worktree::Worktree;
use kugetsu_process::{OneShot, run};
use kugetsu_store::error::StoreError;

use crate::engine::Engine;
use crate::problems::not_stored;
use crate::pull_requests::{self, PrStatus};
use kugetsu_agent::environment::environment;
use kugetsu_api::discard::discard;
use kugetsu_domain::rescue_time;
use kugetsu_git::worktree::lock::{ATTACHED, hold};

use crate::agents;
use crate::engine::now;
use crate::repositories;
use crate::resolve;

/// How long an agent may take to delete a session.
const DELETE_LIMIT: Duration = Duration::from_secs(60);

/// What removing an issue's files would take away.
///
/// # Errors
/// There is no such issue.
pub async fn at_risk(engine: &Engine, query: &IssueQuery) -> Result<AtRisk, Problem> {
    let issue = there(engine, query).await?;
    Ok(risk(engine, &issue).await)
}

/// The issue, if there is something of it to remove.
async fn there(engine: &Engine, query: &IssueQuery) -> Result<Issue, Problem> {
    let issue = resolve::issue(engine, &Reference::new(&query.reference), Path::new(&query.cwd)).await?;
    if issue.state == IssueState::Destroyed {
        return Err(Problem::new(ProblemKind::NotFound, format!("{} was destroyed already", issue.reference))
            .hint(format!("what was rescued: kugetsu rescue list {}", issue.reference)));
    }
    Ok(issue)
}

async fn risk(engine: &Engine, issue: &Issue) -> AtRisk {
    let mut at_risk = AtRisk { issue: issue.reference.to_string(), ..AtRisk::default() };
    if issue.reference.is_coordinator() {
        return at_risk;
    }
    let looked = async {
        let mirror = repositories::mirror(engine, issue).await.map_err(|error| error.to_string())?;
        let Some(worktree) = repositories::worktree(engine, issue, &mirror).await.map_err(|error| error.to_string())?
        else {
            return Ok(None);
        };
        rescue::work_at_risk(&mirror, &worktree).await.map(Some).map_err(|error| error.to_string())
    };
    match looked.await {
        Ok(None) => {}
        Ok(Some(found)) => {
            at_risk.uncommitted = found.uncommitted_total as u64;
            at_risk.unpushed = u64::from(found.unpushed) + found.other_branches.len() as u64;
        }
        Err(why) => at_risk.unknown = Some(why),
    }
    if engine.settings().check_pr {
        match pull_requests::refresh(engine, issue).await {
            PrStatus::None => {}
            PrStatus::Hidden { why } => at_risk.change_unseen = Some(why),
            PrStatus::Known { url, state } => {
                at_risk.change = Some(ChangeObject { url, state: state.name().to_owned(), is_open: state.is_open() });
            }
            PrStatus::Unknown { url, why } => {
                let what = url
                    .map_or_else(|| "whether it has a pull request".to_owned(), |url| format!("what became of {url}"));
                at_risk.change_unknown = Some(format!("{what} is not known: {why}"));
            }
        }
    }
    at_risk
}

/// Removes an issue's files and session.
///
/// # Errors
/// Work would be removed and the caller did not say that it may; a run is going on; something could not be rescued or
/// removed. Nothing that is not rescued is removed.
pub async fn destroy(engine: &Engine, request: &DestroyRequest) -> Result<Destroyed, Problem> {
    let issue = there(engine, &request.issue).await?;
    if !request.discard {
        let found = risk(engine, &issue).await;
        if !found.is_nothing() {
            return Err(Problem::new(ProblemKind::NeedsPerson, format!("{} is not removed: {found}", found.issue))
                .hint("add --discard to remove it all the same; it is kept in rescue (kugetsu rescue list)"));
        }
    }
    let asked = engine.apply(issue.id, Event::DestroyRequested).await;
    let issue = asked.map_err(|error| not_stored(&issue.reference, error))?;
    carry_out(engine, issue).await
}

/// Brings a removal to its end that a daemon began which ended since.
///
/// # Errors
/// The words of whatever stands in the way; nothing more was removed.
pub(crate) async fn resume(engine: &Engine, issue: IssueId) -> Result<(), String> {
    let issue = engine.store().issue_by_id(issue).await.map_err(|error| error.to_string())?;
    carry_out(engine, issue).await.map(drop).map_err(|problem| problem.to_string())
}

async fn carry_out(engine: &Engine, issue: Issue) -> Result<Destroyed, Problem> {
    let (id, reference) = (issue.id, issue.reference.clone());
    let removed = remove(engine, &issue).await;
    let event = match &removed {
        Ok(removed) => Event::Destroyed { rescue: removed.rescue.clone(), notes: removed.notes.clone() },
        Err(why) => Event::DestroyFailed { reason: why.clone() },
    };
    let stored: Result<Issue, StoreError> = engine.apply(id, event).await;
    let destroyed = removed.map_err(|why| {
        Problem::new(ProblemKind::Failed, format!("{reference} was not destroyed: {why}"))
            .hint("what is left is as it was; try again when that is settled")
    })?;
    stored.map_err(|error| not_stored(&reference, error))?;
    Ok(destroyed)
}

/// Rescue, then the agent's session, then the files: whatever fails, what comes after it is still there.
async fn remove(engine: &Engine, issue: &Issue) -> Result<Destroyed, String> {
    let mut destroyed = Destroyed { issue: issue.reference.to_string(), rescue: None, notes: vec![] };
    if issue.reference.is_coordinator() {
        // Its session lies in its agent's own state, and that is all that is there. Its notes stay.
        let state = engine.home().coordinator_agent();
        discard(state.clone()).await.map_err(|error| format!("{} could not be removed: {error}", state.display()))?;
        return Ok(destroyed);
    }
    if let Some(files) = &issue.worktree {
        let (directory, relay) = engine.home().files(&files.directory);
        // To the end of the removal. Files that are gone, or cannot be read, are nobody's.
        let _held = match hold(&directory) {
            Ok(None) => return Err(ATTACHED.to_owned()),
            held => held.ok().flatten(),
        };
        if directory.exists() || relay.exists() {
            let mirror = repositories::mirror(engine, issue).await.map_err(|error| error.to_string())?;
            let worktree = repositories::worktree(engine, issue, &mirror).await.map_err(|error| error.to_string())?;
            if let Some(worktree) = &worktree {
                let spec = SaveSpec {
                    issue_number: issue.reference.number,
                    reason: "the issue was destroyed".to_owned(),
                    at: rescue_time::format(now()),
                };
                let saved = rescue::save(&mirror, worktree, spec).await.map_err(|error| error.to_string())?;
                if let Some(saved) = saved {
                    if !saved.unsaved.is_empty() {
                        return Err(format!("this cannot be rescued: {}", saved.unsaved.join(", ")));
                    }
                    destroyed.rescue = Some(saved.name);
                }
            }
            delete_session(engine, issue, &directory, &mut destroyed.notes).await;
            match &worktree {
                Some(worktree) => worktree.remove().await,
                None => Worktree::remove_leftovers(&directory, &relay).await,
            }
            .map_err(|error| error.to_string())?;
            return Ok(destroyed);
        }
    }
    delete_session(engine, issue, engine.home().path(), &mut destroyed.notes).await;
    Ok(destroyed)
}

/// Asks the agent to forget the session. If that fails the files still go: it is said, and the command to type.
async fn delete_session(engine: &Engine, issue: &Issue, directory: &Path, notes: &mut Vec<String>) {
    let Some(session) = issue.session.as_ref().filter(|session| session.state == SessionState::Open) else { return };
    let settings = engine.settings();
    let (profile, program) = match agents::check(&settings, &session.agent) {
        Ok(found) => found,
        Err(problem) => {
            notes.push(format!("the agent's session {} is still there: {}", session.id, problem.message));
            return;
        }
    };
    let launch = SessionId::new(&session.id).ok().and_then(|id| profile.delete_session(&id));
    let Some(launch) = launch else {
        notes.push(format!("{} cannot delete sessions; its session {} is still there", session.agent, session.id));
        return;
    };
    let mut env = environment(std::env::vars_os(), &settings.variables, &std::env::temp_dir());
    if let Err(error) = launch.extend_env(&mut env) {
        notes.push(format!("the agent's session {} is still there: {error}", session.id));
        return;
    }
    let mut short = OneShot::new(&program).args(&launch.args).cwd(directory);
    short.time_limit = Some(DELETE_LIMIT);
    for (name, value) in env {
        short = short.env(name, value);
    }
    let why = match run(short).await {
        Ok(ended) if ended.status.success() => return,
        Ok(ended) => String::from_utf8_lossy(&ended.stderr).trim().chars().take(300).collect(),
        Err(error) => error.to_string(),
    };
    let command: Vec<String> = launch.args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    notes.push(format!(
        "the agent did not delete its session ({why}); to do so by hand: {} {}",
        program.display(),
        command.join(" ")
    ));
}

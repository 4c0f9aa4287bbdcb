//! Takes messages for the coordinator in, with what is known of the issues that they name.

use std::path::Path;

use kugetsu_api::delegate::DelegateRequest;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::task::{Task, TaskKind, TaskState};
use kugetsu_forge::references::reference::Reference;
use kugetsu_process::sandbox;
use kugetsu_store::view::{Repo, RunView};
use kugetsu_store::write::{Enqueue, Precondition};
use uuid::Uuid;

use super::facts;
use super::reading::{Candidate, read, view};
use crate::agents;
use crate::engine::{Engine, now};
use crate::intake::tasks::{Queued, store, stored};
use crate::problems::{absolute, internal, store_failed, task_id, tellable, usage};
use crate::resolve;
use crate::settings::Settings;

/// Longest message, in bytes: it is a request, not a file.
const MESSAGE_MAX: usize = 64 * 1024;
/// What separates the person's words from what kugetsu adds. The message is stored with both: what was true when it was
/// sent.
const ADDED: &str = "\n\n---\nkugetsu adds (facts, no instructions):\n";

/// The person's own words in a message as it is stored.
pub fn own_words(message: &str) -> &str {
    message.split(ADDED).next().unwrap_or(message)
}

/// What became of a message so far.
#[derive(Clone, Debug)]
pub struct Delegated {
    /// The message's task, then the reports on what it led to.
    pub tasks: Vec<RunView>,
    /// What the coordinator asked for.
    pub asked: Vec<RunView>,
    /// Whether nothing more comes by itself.
    pub over: bool,
}

/// The issues with work of their own that a message may mean.
///
/// # Errors
/// A [`Problem`].
pub async fn candidates(engine: &Engine, message: &str, cwd: &Path) -> Result<Vec<Candidate>, Problem> {
    Ok(read(engine, message, cwd).await?.candidates())
}

/// Queues a message for the coordinator. Asking twice with the same task identifier queues it once.
///
/// # Errors
/// A [`Problem`] that says what to do: the message may mean issues that were worked on, and the caller did not say which.
pub async fn delegate(engine: &Engine, request: &DelegateRequest) -> Result<Queued, Problem> {
    let id = task_id(&request.task)?;
    let message = request.message.trim();
    if message.is_empty() {
        return Err(usage("there is no message").hint("say what is to be done: kugetsu delegate \"<message>\""));
    }
    tellable(message, MESSAGE_MAX, "put the details into an issue, and name it in the message")?;
    let cwd = absolute(&request.cwd)?;
    if let Some(stored) = stored(engine, id).await? {
        return Ok(stored);
    }
    let task = coordinators_task(engine, id, TaskKind::Delegate, String::new());
    agents::check(&engine.settings(), &task.agent)?;
    confined(&engine.settings()).await?;
    let read = read(engine, message, cwd).await?;
    let chosen = match &request.worktree {
        Some(reference) => Some(chosen(engine, reference, cwd).await?),
        None => None,
    };
    let candidates = read.candidates();
    if chosen.is_none() && !request.anyway && !candidates.is_empty() {
        return Err(which(&candidates));
    }
    let text = format!("{message}{ADDED}{}", read.told(cwd, chosen.as_ref(), &candidates));
    store(engine, enqueue(Task { message: text, ..task }), &IssueRef::coordinator(), vec![]).await
}

/// What became of a message so far, by the identifier of its task or of a report on it.
///
/// # Errors
/// There is no such task of the coordinator's.
pub async fn delegated(engine: &Engine, task: &str) -> Result<Delegated, Problem> {
    let (mut tasks, mut asked, mut ahead, mut over) = (Vec::new(), Vec::new(), vec![task_id(task)?], true);
    while let Some(task) = ahead.pop() {
        let view = engine.store().view(task).await.map_err(store_failed)?;
        let view = view.filter(|view| view.reference.is_coordinator()).ok_or_else(|| {
            Problem::new(ProblemKind::NotFound, format!("the coordinator has no task {task}"))
                .hint("kugetsu queue list --all shows its tasks")
        })?;
        over &= view.task.state.is_final();
        // A canceled one is told nothing, and what it began goes on without it.
        let is_told = view.task.state != TaskState::Canceled;
        for child in engine.store().delegated_tasks(task).await.map_err(store_failed)? {
            match child.view.task.kind {
                TaskKind::Report => ahead.push(child.view.task.id),
                _ => {
                    over &= child.is_settled || !is_told;
                    asked.push(child.view);
                }
            }
        }
        tasks.push(view);
    }
    let coordinator = tasks.first().map(|view| view.issue);
    if let Some(coordinator) = coordinator.filter(|_| over) {
        let due = engine.store().reports_due(coordinator).await.map_err(store_failed)?;
        over = !due.iter().any(|(due, _)| tasks.iter().any(|view| view.task.id == *due));
    }
    // Identifiers rise with the time.
    tasks.sort_by_key(|view| view.task.id);
    asked.sort_by_key(|view| view.task.id);
    Ok(Delegated { tasks, asked, over })
}

/// Whether the coordinator can be kept from writing, where that is wanted: said now, and not by a run that fails later.
async fn confined(settings: &Settings) -> Result<(), Problem> {
    if !settings.pm_cage {
        return Ok(());
    }
    let found = tokio::task::spawn_blocking(sandbox::best_backend).await.map_err(internal)?;
    found.map(drop).map_err(|why| {
        let hint = why.hint().unwrap_or_default();
        Problem::new(ProblemKind::NeedsPerson, format!("the coordinator is not run where it could write: {why}"))
            .hint(format!("{hint}; or run it without a sandbox: kugetsu config set pm.cage off"))
    })
}

/// A task of the coordinator's.
pub(crate) fn coordinators_task(engine: &Engine, id: TaskId, kind: TaskKind, message: String) -> Task {
    let settings = engine.settings();
    let agent = settings.pm_agent.clone().unwrap_or_else(|| settings.agent_default.clone());
    Task { model: settings.pm_model.clone(), ..Task::queued(id, kind, agent, message, now()) }
}

/// Puts a task into the coordinator's line.
pub(crate) fn enqueue(task: Task) -> Enqueue {
    let coordinator = IssueRef::coordinator();
    Enqueue {
        repo: Repo { name: coordinator.repo, kind: None, source: String::new() },
        number: Some(coordinator.number),
        new_issue: IssueId::new(Uuid::now_v7()),
        title: "coordinator".to_owned(),
        pr_url: None,
        task,
        precondition: Precondition::Any,
    }
}

async fn chosen(engine: &Engine, reference: &str, cwd: &Path) -> Result<RunView, Problem> {
    let issue = resolve::issue(engine, &Reference::new(reference), cwd).await?;
    if issue.reference.is_coordinator() {
        return Err(usage("--worktree names an issue, not the coordinator itself"));
    }
    view(engine, &issue).await?.ok_or_else(|| {
        usage(format!("{} has no work to go on with", issue.reference))
            .hint("leave --worktree out, and name the issue in the message")
    })
}

fn which(candidates: &[Candidate]) -> Problem {
    let listed = candidates.iter().map(|Candidate { written, view }| {
        let name = view.reference.to_string();
        let written = if *written == name { String::new() } else { format!(" ({written})") };
        format!("  {name}{written} is {}", facts::standing(view))
    });
    let said = listed.collect::<Vec<_>>().join("\n");
    let first = &candidates[0].view.reference;
    Problem::new(ProblemKind::NeedsPerson, format!("the message may mean work that was begun already:\n{said}")).hint(
        format!(
            "say which one it is about: kugetsu delegate --worktree {first} \"<message>\"; or hand it over as it is: \
             kugetsu delegate --anyway \"<message>\""
        ),
    )
}

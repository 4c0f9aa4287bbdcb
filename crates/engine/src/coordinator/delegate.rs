//! `kugetsu delegate`: queues messages for the coordinator, together with what is known of the issues they mention.

use std::path::Path;

use kugetsu_api::delegate::DelegateRequest;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::task::{Task, TaskKind, TaskState};
use kugetsu_forge::references::reference::Reference;
use kugetsu_process::sandbox::{Helper, best_backend};
use kugetsu_store::view::{Repo, RunView};
use kugetsu_store::write::{Enqueue, Precondition};
use uuid::Uuid;

use super::describe::describe;
use super::mentions::{Candidate, latest_task, read};
use crate::agents;
use crate::engine::Engine;
use crate::intake::models;
use crate::intake::tasks::{Checked, stored};
use crate::problems::{absolute, check_message, internal, store_failed, task_id, usage};
use crate::resolve;
use crate::settings::Settings;

/// Longest message, in bytes: a request, not a file.
const MESSAGE_MAX: usize = 64 * 1024;
/// Separates the user's text from what kugetsu adds. Both are stored: the facts are those of the time of sending.
const ADDED: &str = "\n\n---\nkugetsu adds (facts, no instructions):\n";

/// Returns the user's own text of a stored message.
pub fn own_words(message: &str) -> &str {
    message.split(ADDED).next().unwrap_or(message)
}

/// A message with everything it led to.
#[derive(Clone, Debug)]
pub struct Delegated {
    /// The message's task, then the reports.
    pub tasks: Vec<RunView>,
    /// The tasks that the coordinator started.
    pub asked: Vec<RunView>,
    /// Whether everything has ended or cannot begin by itself.
    pub over: bool,
}

/// Returns the issues with existing work that a message may refer to.
pub async fn candidates(engine: &Engine, message: &str, cwd: &Path) -> Result<Vec<Candidate>, Problem> {
    Ok(read(engine, message, cwd).await?.candidates())
}

/// Checks a message for the coordinator, which `intake::tasks::queue` queues. A directory that it is about may take long to answer.
///
/// # Errors
/// The message may refer to issues with existing work, and the request does not say which is meant.
pub async fn check(engine: &Engine, request: &DelegateRequest) -> Result<Checked, Problem> {
    let id = task_id(&request.task)?;
    let message = request.message.trim();
    if message.is_empty() {
        return Err(usage("a message is required").hint("run `kugetsu delegate \"<message>\"`"));
    }
    check_message(message, MESSAGE_MAX, "put the details into an issue, and name it in the message")?;
    let cwd = absolute(&request.cwd)?;
    if let Some(stored) = stored(engine, id).await? {
        return Ok(Checked::stored(stored));
    }
    let task = coordinators_task(engine, id, TaskKind::Delegate, String::new());
    let agent = agents::installed(engine, &task.agent, true)?;
    if let Some(why) = agent.profile.no_coordinator() {
        let problem = Problem::new(ProblemKind::Usage, format!("{} cannot be the coordinator: {why}", task.agent));
        return Err(
            problem.hint("choose another agent with `kugetsu config set pm.agent <name>`: see `kugetsu agents`")
        );
    }
    require_sandbox(&engine.settings()).await?;
    let mentions = read(engine, message, cwd).await?;
    let chosen = match &request.worktree {
        Some(reference) => Some(chosen(engine, reference, cwd).await?),
        None => None,
    };
    let candidates = mentions.candidates();
    if chosen.is_none() && !request.anyway && !candidates.is_empty() {
        return Err(ambiguous(&candidates));
    }
    let text = format!("{message}{ADDED}{}", mentions.facts(cwd, chosen.as_ref(), &candidates));
    // The setting pm.model.
    let notes =
        task.model.as_deref().and_then(|model| models::warning(engine, &task.agent, model)).into_iter().collect();
    Ok(Checked::for_issue(enqueue(Task { message: text, ..task }), notes))
}

/// Returns a message with everything it led to, by the id of its task or of a report on it.
///
/// # Errors
/// There is no such task of the coordinator's.
pub async fn delegated(engine: &Engine, task: &str) -> Result<Delegated, Problem> {
    let id = task_id(task)?;
    let mut found = tasks_of(engine, id).await?;
    while let Some(coordinator) = found.tasks.first().map(|view| view.issue).filter(|_| found.over) {
        let due = engine.store().reports_due(coordinator).await.map_err(store_failed)?;
        found.over = !due.iter().any(|(due, _)| found.tasks.iter().any(|view| view.task.id == *due));
        // A report that was queued since the tasks were read is due no more, and not among them.
        let again = tasks_of(engine, id).await?;
        if !found.over || again.tasks.len() == found.tasks.len() {
            break;
        }
        found = again;
    }
    Ok(found)
}

/// Reads the tasks. [`Delegated::over`] leaves out reports that are due and not queued.
async fn tasks_of(engine: &Engine, message: TaskId) -> Result<Delegated, Problem> {
    let (mut tasks, mut asked, mut ahead, mut over) = (Vec::new(), Vec::new(), vec![message], true);
    while let Some(task) = ahead.pop() {
        let view = engine.store().view(task).await.map_err(store_failed)?;
        let view = view.filter(|view| view.reference.is_coordinator()).ok_or_else(|| {
            Problem::new(ProblemKind::NotFound, format!("the coordinator has no task {task}"))
                .hint("kugetsu queue list --all shows its tasks")
        })?;
        over &= view.task.state.is_final();
        // A canceled message gets no report; what it started continues without it.
        let gets_report = view.task.state != TaskState::Canceled;
        for child in engine.store().delegated_tasks(task).await.map_err(store_failed)? {
            match child.view.task.kind {
                TaskKind::Report => ahead.push(child.view.task.id),
                _ => {
                    over &= child.is_settled || !gets_report;
                    asked.push(child.view);
                }
            }
        }
        tasks.push(view);
    }
    // Ids rise with time.
    tasks.sort_by_key(|view| view.task.id);
    asked.sort_by_key(|view| view.task.id);
    Ok(Delegated { tasks, asked, over })
}

/// Fails now, rather than in the run, if the coordinator needs a sandbox and there is none.
async fn require_sandbox(settings: &Settings) -> Result<(), Problem> {
    if !settings.pm.needs_sandbox() {
        return Ok(());
    }
    let found = tokio::task::spawn_blocking(|| best_backend(&Helper::of_this_program())).await.map_err(internal)?;
    found.map(drop).map_err(|why| {
        let hint = why.hint().unwrap_or_default();
        Problem::new(ProblemKind::NeedsPerson, format!("the coordinator is not run where it could write: {why}"))
            .hint(format!("{hint}; or run it without a sandbox: kugetsu config set pm.cage off"))
    })
}

pub(crate) fn coordinators_task(engine: &Engine, id: TaskId, kind: TaskKind, message: String) -> Task {
    let settings = engine.settings();
    let agent = settings.pm.agent.clone().unwrap_or_else(|| settings.default_agent.clone());
    Task { model: settings.pm.model.clone(), ..Task::queued(id, kind, agent, message, engine.now()) }
}

/// Returns the request that queues a task for the coordinator.
pub(crate) fn enqueue(task: Task) -> Enqueue {
    let coordinator = IssueRef::coordinator();
    Enqueue {
        repo: Repo { name: coordinator.repo, kind: None, source: String::new() },
        number: Some(coordinator.number),
        used_numbers: 0,
        new_issue: IssueId::new(Uuid::now_v7()),
        title: "coordinator".to_owned(),
        pr_url: None,
        watch: None,
        task,
        precondition: Precondition::Any,
        interrupt: false,
    }
}

async fn chosen(engine: &Engine, reference: &str, cwd: &Path) -> Result<RunView, Problem> {
    let issue = resolve::issue(engine, &Reference::new(reference), cwd).await?;
    if issue.reference.is_coordinator() {
        return Err(usage("--worktree names an issue, not the coordinator itself"));
    }
    latest_task(engine, &issue).await?.ok_or_else(|| {
        usage(format!("{} has no work to continue", issue.reference))
            .hint("omit --worktree, and name the issue in the message")
    })
}

fn ambiguous(candidates: &[Candidate]) -> Problem {
    let listed = candidates.iter().map(|Candidate { written, view }| {
        let name = view.reference.to_string();
        let written = if *written == name { String::new() } else { format!(" ({written})") };
        format!("  {name}{written} is {}", describe(view))
    });
    let list = listed.collect::<Vec<_>>().join("\n");
    let first = &candidates[0].view.reference;
    Problem::new(ProblemKind::NeedsPerson, format!("the message may refer to existing work:\n{list}"))
        .hint(format!("choose an issue with `--worktree {first}`, or pass `--anyway` to let the coordinator decide"))
}

//! Takes messages for the coordinator in: finds the issues that they may mean, and says what is known and what is missing.

use std::fmt::Write as _;
use std::path::Path;

use kugetsu_api::delegate::DelegateRequest;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::reference::{IssueRef, RepoRef};
use kugetsu_domain::task::{Task, TaskKind, TaskState};
use kugetsu_forge::address::{Address, Context, What};
use kugetsu_forge::place::place;
use kugetsu_forge::prose::{Mention, mentions};
use kugetsu_store::store::{Enqueue, Precondition};
use kugetsu_store::view::{Repo, RunView};
use uuid::Uuid;

use super::facts;
use crate::engine::{Engine, now};
use crate::intake::{Queued, store};
use crate::problems::{internal, usage};
use crate::settings::Settings;
use crate::{agents, resolve};

/// Longest message, in bytes: it is a request, not a file.
const MESSAGE_MAX: usize = 64 * 1024;
/// What separates the person's words from what kugetsu adds. The message is stored with both: what was true when it was
/// sent.
const ADDED: &str = "\n\n---\nkugetsu adds (facts, no instructions):\n";

/// An issue that was worked on and that a message may mean.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What the message says.
    pub written: String,
    /// Its latest task with its latest run.
    pub view: RunView,
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
    let id: TaskId = request.task.parse().map_err(|_| usage(format!("{:?} is no task identifier", request.task)))?;
    let message = request.message.trim();
    if message.is_empty() {
        return Err(usage("there is no message").hint("say what is to be done: kugetsu delegate \"<message>\""));
    }
    if message.len() > MESSAGE_MAX {
        return Err(usage(format!("the message has {} bytes, more than the {MESSAGE_MAX} that fit", message.len()))
            .hint("put the details into an issue, and name it in the message"));
    }
    if message.contains('\0') {
        return Err(usage("the message holds a NUL character, which no agent can be told"));
    }
    let cwd = Path::new(&request.cwd);
    if !cwd.is_absolute() {
        return Err(usage(format!("the directory {:?} is not absolute", request.cwd)));
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
pub async fn delegated(engine: &Engine, task: TaskId) -> Result<Delegated, Problem> {
    let (mut tasks, mut all, mut ahead) = (Vec::new(), Vec::new(), vec![task]);
    while let Some(task) = ahead.pop() {
        let view = engine.store().run_of_task(task).await.map_err(internal)?;
        let view = view.filter(|view| view.reference.is_coordinator()).ok_or_else(|| {
            Problem::new(ProblemKind::NotFound, format!("the coordinator has no task {task}"))
                .hint("kugetsu queue list --all shows its tasks")
        })?;
        tasks.push(view);
        for asked in engine.store().asked_by(task).await.map_err(internal)? {
            match asked.task.kind {
                TaskKind::Report => ahead.push(asked.task.id),
                _ => all.push(asked),
            }
        }
    }
    let is_over = |view: &RunView| !matches!(view.task.state, TaskState::Queued | TaskState::Running);
    let last_asked = tasks.last().map(|last| last.task.id);
    let reported = !all.iter().any(|asked| asked.task.asked_by == last_asked);
    // A canceled message gets no report.
    let wanted = tasks.last().is_some_and(|last| last.task.state != TaskState::Canceled);
    let over = tasks.iter().all(is_over) && all.iter().all(is_over) && (reported || !wanted);
    Ok(Delegated { tasks, asked: all, over })
}

/// Whether the coordinator can be kept from writing, where that is wanted: said now, and not by a run that fails later.
async fn confined(settings: &Settings) -> Result<(), Problem> {
    if !settings.pm_cage {
        return Ok(());
    }
    let found = tokio::task::spawn_blocking(kugetsu_process::cage::best).await.map_err(internal)?;
    found.map(drop).map_err(|why| {
        Problem::new(ProblemKind::NeedsPerson, format!("the coordinator is not run where it could write: {why}"))
            .hint("to run it all the same: kugetsu config set pm.cage off")
    })
}

/// A task of the coordinator's.
pub(crate) fn coordinators_task(engine: &Engine, id: TaskId, kind: TaskKind, message: String) -> Task {
    let settings = engine.settings();
    Task {
        id,
        kind,
        state: TaskState::Queued,
        message,
        agent: settings.pm_agent.clone().unwrap_or_else(|| settings.agent_default.clone()),
        model: settings.pm_model.clone(),
        base: None,
        priority: 0,
        after: None,
        asked_by: None,
        attempt: 0,
        cancel_asked: false,
        queued_at: now(),
        ended_at: None,
        reason: None,
    }
}

/// Puts a task into the coordinator's line.
pub(crate) fn enqueue(task: Task) -> Enqueue {
    let coordinator = IssueRef::coordinator();
    Enqueue {
        repo: Repo { name: coordinator.repo, kind: None, source: String::new() },
        number: Some(coordinator.number),
        new_issue: IssueId::new(Uuid::now_v7()),
        title: "coordinator".to_owned(),
        change_url: None,
        task,
        precondition: Precondition::InLine,
    }
}

async fn chosen(engine: &Engine, reference: &str, cwd: &Path) -> Result<RunView, Problem> {
    let issue = resolve::issue(engine, reference, cwd).await?;
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

/// A message, read.
struct Read {
    /// The repository that the person is in.
    here: Option<Context>,
    named: Vec<Named>,
}

/// A thing that the message names.
struct Named {
    written: String,
    found: Found,
}

enum Found {
    /// An issue that kugetsu has worked on.
    Known(Box<RunView>),
    /// An issue that it has not worked on.
    New { reference: IssueRef, is_configured: bool },
    /// It may be any of these, or another one.
    Ambiguous(Vec<RunView>),
    /// A pull or merge request.
    Change,
    /// It cannot be found out which repository is meant.
    Unclear(String),
}

impl Read {
    fn candidates(&self) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = Vec::new();
        for named in &self.named {
            let views = match &named.found {
                Found::Known(view) => std::slice::from_ref(view.as_ref()),
                Found::Ambiguous(views) => views.as_slice(),
                _ => &[],
            };
            for view in views {
                if !all.iter().any(|other| other.view.issue == view.issue) {
                    all.push(Candidate { written: named.written.clone(), view: view.clone() });
                }
            }
        }
        all
    }

    /// What the coordinator is told besides the message.
    fn told(&self, cwd: &Path, chosen: Option<&RunView>, candidates: &[Candidate]) -> String {
        let mut text = format!("- the person was in {}", cwd.display());
        // Writing into a string cannot fail.
        let _ = match &self.here {
            Some(here) => writeln!(text, ", of the repository {}/{}", here.base.without_scheme(), here.project),
            None => writeln!(text, ", which is no repository that is known"),
        };
        for named in &self.named {
            let _ = writeln!(text, "- {}", named.told());
        }
        if self.named.is_empty() && chosen.is_none() {
            text.push_str("- no issue is named\n");
        }
        let _ = match chosen {
            Some(view) => writeln!(
                text,
                "- chosen by the person: {}, which is {}; go on with it by `continue`",
                view.reference,
                facts::standing(view)
            ),
            None if !candidates.is_empty() => {
                writeln!(text, "- the person was shown what was worked on already and chose none of it")
            }
            None => Ok(()),
        };
        text
    }
}

impl Named {
    fn told(&self) -> String {
        match &self.found {
            Found::Known(view) => {
                format!("{}: worked on; {}; more goes to it by `continue`", view.reference, facts::standing(view))
            }
            Found::New { reference, is_configured: true } => format!("{reference}: not worked on yet"),
            Found::New { reference, is_configured: false } => format!(
                "{reference}: not worked on yet; its server is not in the settings, so there is no token for it"
            ),
            Found::Ambiguous(views) if views.is_empty() => {
                format!("{}: it is missing which repository is meant", self.written)
            }
            Found::Ambiguous(views) => {
                let names: Vec<String> = views.iter().map(|view| view.reference.to_string()).collect();
                format!("{}: it is missing which repository is meant; worked on are {}", self.written, names.join(", "))
            }
            Found::Change => {
                format!("{}: a pull or merge request; work begins from the issue that it belongs to", self.written)
            }
            Found::Unclear(why) => format!("{}: {why}", self.written),
        }
    }
}

async fn read(engine: &Engine, message: &str, cwd: &Path) -> Result<Read, Problem> {
    let settings = engine.settings();
    let here = resolve::context(engine, &settings, cwd).await?;
    let mut servers = settings.servers.known();
    servers.extend(resolve::worked_with(engine).await?);
    let mut named: Vec<Named> = Vec::new();
    for mention in mentions(message, &servers, here.as_ref()) {
        let next = match mention {
            Mention::Number(number) => {
                Named { written: format!("#{number}"), found: Found::Ambiguous(numbered(engine, number).await?) }
            }
            Mention::Address(address) => {
                let written = address.to_string();
                let found = match address.what {
                    What::Change(_) => Found::Change,
                    What::Repo => continue,
                    What::Issue(number) => match repository(&address, &settings) {
                        Ok(repo) => {
                            let is_configured = repo.base.is_local()
                                || settings.servers.known().iter().any(|known| known.base == repo.base);
                            on_issue(engine, IssueRef { repo, number }, is_configured).await?
                        }
                        Err(why) => Found::Unclear(why),
                    },
                };
                Named { written, found }
            }
        };
        // `acme/api#5` and its page are the same issue once it is known where they lead.
        if !named.iter().any(|other| other.is_same(&next)) {
            named.push(next);
        }
    }
    Ok(Read { here, named })
}

/// The repository of an address; where the address names no server, the settings do.
fn repository(address: &Address, settings: &Settings) -> Result<RepoRef, String> {
    match address.repo() {
        Some(repo) => Ok(repo),
        None => place(address, &settings.repositories, &settings.servers)
            .map(|placed| placed.repo)
            .map_err(|error| error.to_string()),
    }
}

impl Named {
    fn is_same(&self, other: &Self) -> bool {
        match (&self.found, &other.found) {
            (Found::Known(one), Found::Known(other)) => one.issue == other.issue,
            (Found::New { reference: one, .. }, Found::New { reference: other, .. }) => one == other,
            _ => self.written == other.written,
        }
    }
}

async fn on_issue(engine: &Engine, reference: IssueRef, is_configured: bool) -> Result<Found, Problem> {
    let known = engine.store().issue(&reference).await.map_err(internal)?;
    let view = match &known {
        Some(issue) => view(engine, issue).await?,
        None => None,
    };
    Ok(view.map_or(Found::New { reference, is_configured }, |view| Found::Known(Box::new(view))))
}

/// The issues with work of their own that have this number, in whatever repository.
async fn numbered(engine: &Engine, number: u64) -> Result<Vec<RunView>, Problem> {
    let mut views = Vec::new();
    for issue in engine.store().issues_numbered(number).await.map_err(internal)? {
        views.extend(view(engine, &issue).await?);
    }
    Ok(views)
}

/// The issue's latest task, if there is work of it to go on with.
async fn view(engine: &Engine, issue: &Issue) -> Result<Option<RunView>, Problem> {
    let is_begun = issue.worktree.is_some() || issue.session.is_some() || !issue.tasks.is_empty();
    if issue.state != IssueState::Open || !is_begun {
        return Ok(None);
    }
    engine.store().latest_run(issue.id).await.map_err(internal)
}

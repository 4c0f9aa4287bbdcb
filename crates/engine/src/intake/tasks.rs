//! Takes tasks in: finds out what is meant, refuses what cannot work, and stores the rest before it answers.

use std::collections::HashSet;
use std::path::Path;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::task::{TaskKind as WireKind, TaskRequest};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::naming;
use kugetsu_domain::reference::{COORDINATOR, IssueRef, RepoRef};
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_forge::references::reference::Reference;
use kugetsu_git::command::Cause;
use kugetsu_git::mirror::SourceError;
use kugetsu_git::names::BranchName;
use kugetsu_store::view::{Repo, RunView};
use kugetsu_store::write::{Enqueue, Precondition};
use uuid::Uuid;

use crate::agents;
use crate::coordinator::rounds;
use crate::credentials::{source, token_variable, with_token};
use crate::engine::{Engine, now};
use crate::intake::issue_prompt::wanted;
use crate::problems::{absolute, internal, not_stored, store_failed, task_id, tellable, usage, worded};
use crate::pull_requests::checked;
use crate::resolve;
use kugetsu_git::worktree::lock::{ATTACHED, is_held};

/// Longest message, in bytes: as much as an agent's context can hold, and no file by mistake.
const MESSAGE_MAX: usize = 1024 * 1024;
/// Longest title that is kept of a message, in characters.
const TITLE_MAX: usize = 120;

/// A task that was taken in.
#[derive(Clone, Debug)]
pub struct Queued {
    /// The task with its issue.
    pub view: RunView,
    /// What the caller should know besides.
    pub notes: Vec<String>,
}

/// Queues a task. Asking twice with the same task identifier queues it once.
///
/// # Errors
/// A [`Problem`] that says what to do; nothing was stored then.
pub async fn queue(engine: &Engine, request: TaskRequest) -> Result<Queued, Problem> {
    let id = task_id(&request.task)?;
    let reference = Reference::new(&request.reference);
    if reference == Reference::Coordinator {
        refuse_the_coordinator(&IssueRef::coordinator())?;
    }
    if let Some(stored) = stored(engine, id).await? {
        return Ok(stored);
    }
    let message = message(&request)?;
    let cwd = absolute(&request.cwd)?;
    let after = match &request.after {
        Some(reference) => Some(resolve::issue(engine, &Reference::new(reference), cwd).await?),
        None => None,
    };
    if let Some(issue) = &after {
        refuse_the_coordinator(&issue.reference)?;
    }
    let after = after.map(|issue| (issue.id, issue.reference));
    if let Some(base) = &request.base {
        BranchName::new(base.clone())
            .map_err(|error| usage(error.to_string()).hint("name a branch of the repository: --base main"))?;
    }
    let asked_by = request.asked_by.as_deref().map(task_id).transpose()?;
    if let Some(task) = asked_by {
        rounds::may_ask(engine, task).await?;
    }
    let draft = Draft { id, message, after, asked_by };
    match request.kind {
        WireKind::Start => start(engine, &request, &reference, draft, cwd).await,
        WireKind::Continue => go_on(engine, &request, &reference, draft, cwd).await,
        WireKind::Delegate | WireKind::Report => {
            Err(usage("messages for the coordinator are not queued here").hint("kugetsu delegate \"<message>\""))
        }
    }
}

/// What is known of a task before its issue is.
struct Draft {
    id: TaskId,
    message: Option<String>,
    after: Option<(IssueId, IssueRef)>,
    asked_by: Option<TaskId>,
}

impl Draft {
    fn task(self, kind: TaskKind, agent: String, request: &TaskRequest) -> Task {
        Task {
            model: request.model.clone(),
            base: request.base.clone(),
            priority: request.priority,
            after: self.after.as_ref().map(|(issue, _)| *issue),
            asked_by: self.asked_by,
            // Shown as long as it is queued: a task that waits says for what.
            reason: self.after.map(|(_, issue)| format!("waits until {issue} is done")),
            ..Task::queued(self.id, kind, agent, self.message.unwrap_or_default(), now())
        }
    }
}

/// The message, as far as the caller says one; a `start` may leave it to the issue.
fn message(request: &TaskRequest) -> Result<Option<String>, Problem> {
    let message = request.message.as_deref().unwrap_or_default().trim();
    if message.is_empty() && request.kind == WireKind::Start {
        return Ok(None);
    }
    if message.is_empty() {
        return Err(usage("there is no message").hint(format!(
            "say what is to be done: kugetsu {} {} \"<message>\"",
            request.kind.verb(),
            request.reference
        )));
    }
    tellable(message, MESSAGE_MAX, "put the details into a file of the repository and name it in the message")?;
    Ok(Some(message.to_owned()))
}

async fn start(
    engine: &Engine,
    request: &TaskRequest,
    reference: &Reference,
    mut draft: Draft,
    cwd: &Path,
) -> Result<Queued, Problem> {
    let settings = engine.settings();
    let agent = request.agent.clone().unwrap_or_else(|| settings.agent_default.clone());
    agents::check(&settings, &agent)?;
    // A new local repository keeps its name from here to the commit that stores it.
    let naming = match reference.is_path() {
        true => Some(engine.naming().lock().await),
        false => None,
    };
    let target = resolve::target(engine, reference, cwd).await?;
    if let Some(number) = target.number {
        let own = IssueRef { repo: target.repo.name.clone(), number };
        refuse_to_wait_for_ever(engine, &own, draft.after.as_ref()).await?;
    }
    refuse_beside_other_work(engine, &target).await?;
    let mut notes = first_contact(engine, &target.repo).await?;
    let mut title = draft.message.as_deref().map(title);
    if draft.message.is_none() {
        let wanted = match target.number {
            Some(number) => wanted(engine, &IssueRef { repo: target.repo.name.clone(), number }).await?,
            None => {
                return Err(usage("there is no message, and a new local issue has no other words")
                    .hint(format!("say what is to be done: kugetsu start {} \"<message>\"", request.reference)));
            }
        };
        draft.message = Some(wanted.message);
        title = Some(wanted.title);
        notes.extend(wanted.notes);
    }
    let mut task = draft.task(TaskKind::Start, agent, request);
    task.base = task.base.or_else(|| target.branch.as_ref().map(|branch| branch.as_str().to_owned()));
    let enqueue = Enqueue {
        repo: target.repo.clone(),
        number: target.number,
        new_issue: IssueId::new(Uuid::now_v7()),
        title: title.unwrap_or_default(),
        pr_url: pr_url(request)?,
        task,
        precondition: Precondition::Idle,
    };
    // Counted and queued in one step, so that two callers cannot both take the last place.
    let places = match request.no_queue {
        true => Some(engine.places().lock().await),
        false => None,
    };
    if places.is_some() {
        refuse_when_full(engine).await?;
    }
    let shown = |number: Option<u64>| IssueRef { repo: target.repo.name.clone(), number: number.unwrap_or_default() };
    let number = enqueue.number;
    let queued = store(engine, enqueue, &shown(number), notes).await?;
    engine.remember(&target.repo);
    drop((naming, places));
    Ok(queued)
}

async fn go_on(
    engine: &Engine,
    request: &TaskRequest,
    reference: &Reference,
    draft: Draft,
    cwd: &Path,
) -> Result<Queued, Problem> {
    let issue = resolve::issue(engine, reference, cwd).await?;
    refuse_the_coordinator(&issue.reference)?;
    refuse_to_wait_for_ever(engine, &issue.reference, draft.after.as_ref()).await?;
    refuse_while_attached(engine, &issue)?;
    let settings = engine.settings();
    let agent = match (&request.agent, &issue.session) {
        (Some(agent), _) => agent.clone(),
        (None, Some(session)) => session.agent.clone(),
        (None, None) => settings.agent_default.clone(),
    };
    agents::check(&settings, &agent)?;
    let repo = engine.store().repo(&issue.reference.repo).await.map_err(store_failed)?;
    let enqueue = Enqueue {
        repo: repo.ok_or_else(|| internal("the issue's repository is not stored"))?,
        number: Some(issue.reference.number),
        new_issue: issue.id,
        title: issue.title.clone(),
        pr_url: pr_url(request)?,
        task: draft.task(TaskKind::Continue, agent, request),
        precondition: Precondition::Continuable,
    };
    let queued = store(engine, enqueue, &issue.reference, vec![]).await?;
    if request.interrupt
        && let Some(running) = issue.live_run()
    {
        let event = Event::CancelRequested { task: running.task };
        engine.apply(issue.id, event).await.map_err(|error| not_stored(&issue.reference, error))?;
    }
    Ok(queued)
}

/// Its session can be named too, and it has a line of its own.
fn refuse_the_coordinator(reference: &IssueRef) -> Result<(), Problem> {
    match reference.is_coordinator() {
        true => Err(usage(format!("{COORDINATOR} is the coordinator, and no issue"))
            .hint("to ask it for something: kugetsu delegate \"<message>\"")),
        false => Ok(()),
    }
}

/// What lies where the worktree would go and is none of ours is work of the script's: a run could not begin.
async fn refuse_beside_other_work(engine: &Engine, target: &resolve::TaskTarget) -> Result<(), Problem> {
    let Some(number) = target.number else { return Ok(()) };
    let reference = IssueRef { repo: target.repo.name.clone(), number };
    let place = engine.home().files(&naming::worktree_directory(&reference)).0;
    let is_empty = std::fs::read_dir(&place).is_ok_and(|mut entries| entries.next().is_none());
    if place.symlink_metadata().is_err() || is_empty {
        return Ok(());
    }
    if engine.store().issue(&reference).await.map_err(store_failed)?.is_some() {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::Conflict, format!("{} holds work that kugetsu did not begin", place.display()))
        .hint(format!("to take it over: kugetsu init; then: kugetsu continue {reference} \"<message>\"")))
}

/// Two cannot use one session. A run that begins all the same, since it was in line before, finds that out as well.
fn refuse_while_attached(engine: &Engine, issue: &Issue) -> Result<(), Problem> {
    let Some(files) = issue.worktree.as_ref().filter(|_| issue.live_run().is_none()) else { return Ok(()) };
    if !is_held(&engine.home().files(&files.directory).0) {
        return Ok(());
    }
    let reference = &issue.reference;
    Err(Problem::new(ProblemKind::Conflict, format!("{reference} cannot be gone on with: {ATTACHED}"))
        .hint("say it there, or leave that screen and try again"))
}

/// A task that is asked for once more, and was stored the first time: whatever has changed since does not count.
pub(crate) async fn stored(engine: &Engine, id: TaskId) -> Result<Option<Queued>, Problem> {
    let stored = engine.store().view(id).await.map_err(store_failed)?;
    if stored.is_some() {
        // Whoever asked first may have gone away between the commit and its effects.
        engine.wake_dispatcher();
    }
    Ok(stored.map(|view| Queued { view, notes: vec![] }))
}

pub(crate) async fn store(
    engine: &Engine,
    enqueue: Enqueue,
    shown: &IssueRef,
    notes: Vec<String>,
) -> Result<Queued, Problem> {
    let (id, kind) = (enqueue.task.id, enqueue.task.kind);
    let applied = engine.store().enqueue(enqueue, now()).await.map_err(|error| not_stored(shown, error))?;
    engine.carry_out_queued(&applied, kind);
    if let Some(task) = applied.issue.task(id).filter(|_| !applied.repeated).cloned() {
        return Ok(Queued { view: RunView::new(applied.issue, task, None), notes });
    }
    // Two who ask at once.
    stored(engine, id).await?.ok_or_else(|| internal("the task that was asked for twice is not stored"))
}

/// A task that comes after its own issue, directly or by way of others that wait, would never begin.
async fn refuse_to_wait_for_ever(
    engine: &Engine,
    own: &IssueRef,
    after: Option<&(IssueId, IssueRef)>,
) -> Result<(), Problem> {
    let Some((first, first_reference)) = after else { return Ok(()) };
    let (mut seen, mut ahead) = (HashSet::new(), vec![*first]);
    while let Some(id) = ahead.pop() {
        let issue = engine.store().issue_by_id(id).await.map_err(store_failed)?;
        if issue.reference == *own {
            let said = match first_reference == own {
                true => format!("{own} cannot come after itself"),
                false => format!("{own} cannot come after {first_reference}, which waits for {own}"),
            };
            return Err(usage(format!("{said}: it would wait for ever"))
                .hint(format!("leave --after out, or cancel what waits: kugetsu queue cancel {first_reference}")));
        }
        if seen.insert(id) {
            ahead.extend(issue.tasks.iter().filter_map(|task| task.after));
        }
    }
    Ok(())
}

/// A repository that kugetsu has never seen is looked at before anything is stored, so that a wrong address is an error
/// now and not a failed run later.
async fn first_contact(engine: &Engine, repo: &Repo) -> Result<Vec<String>, Problem> {
    if engine.remembers(repo) {
        return Ok(vec![]);
    }
    let known = engine.store().repo(&repo.name).await.map_err(store_failed)?;
    if known.is_some_and(|known| known.source == repo.source) {
        return Ok(vec![]);
    }
    let source = source(repo.name.base.is_local(), &repo.source);
    let git = with_token(engine.git(), &engine.settings(), repo.name.base.as_str());
    let probe = source.probe(&git).await.map_err(|error| unreachable(engine, &repo.name, &error))?;
    let mut notes = Vec::new();
    if probe.uncommitted > 0 {
        notes.push(kugetsu_git::mirror::uncommitted_notice(probe.uncommitted, &repo.source));
    }
    Ok(notes)
}

fn unreachable(engine: &Engine, repo: &RepoRef, error: &SourceError) -> Problem {
    let cause = match error {
        SourceError::Git(error) => Some(error.cause()),
        _ => None,
    };
    let kind = match cause {
        // What was typed may be right; the way there is not open now.
        Some(Cause::HostUnknown | Cause::Network | Cause::DiskFull | Cause::Other) => ProblemKind::Failed,
        _ => ProblemKind::Usage,
    };
    let problem = worded(kind, &format!("{repo} cannot be used: {error}"));
    let needs_login = matches!(cause, Some(Cause::Authentication | Cause::RepositoryNotFound));
    if !needs_login || repo.base.is_local() {
        return problem;
    }
    problem.hint(match token_variable(&engine.settings(), repo.base.as_str()) {
        Some(name) => format!("kugetsu env set {name} -   (reads the token from standard input)"),
        None => format!(
            "for a token, name the server first: kugetsu server add <name> {}; it says where the token goes",
            repo.base
        ),
    })
}

async fn refuse_when_full(engine: &Engine) -> Result<(), Problem> {
    let max = engine.settings().agents_max;
    let queue = engine.store().queue(max).await.map_err(store_failed)?;
    let taken = queue.slots_in_use;
    let waiting = queue.candidates.iter().filter(|candidate| candidate.kind.needs_slot()).count();
    if taken + waiting < max {
        return Ok(());
    }
    let said = match max {
        0 => "there is no place, as agents.max is 0".to_owned(),
        1 => "the one place is taken".to_owned(),
        max => format!("all {max} places are taken"),
    };
    Err(Problem::new(ProblemKind::Full, said)
        .hint("leave --no-queue out to wait in line, or allow more: kugetsu config set agents.max <number>"))
}

fn pr_url(request: &TaskRequest) -> Result<Option<String>, Problem> {
    request.pr_url.as_deref().map(checked).transpose()
}

/// The first line of the message, not longer than a line.
pub(crate) fn title(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().chars().take(TITLE_MAX).collect()
}

//! `kugetsu start` and `continue`: resolves the reference, refuses what cannot work, and stores the task before it returns.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::task::{TaskKind as WireKind, TaskRequest};
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::naming;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::{COORDINATOR, IssueRef, RepoRef};
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_domain::watch::quote::quoted;
use kugetsu_forge::references::reference::Reference;
use kugetsu_git::command::Cause;
use kugetsu_git::mirror::{BaseError, SourceError};
use kugetsu_git::names::BranchName;
use kugetsu_store::error::StoreError;
use kugetsu_store::view::{Repo, RunView};
use kugetsu_store::write::{Enqueue, Precondition};
use uuid::Uuid;

use crate::agents;
use crate::credentials::{source, token_variable, with_token};
use crate::engine::Engine;
use crate::holds;
use crate::home::used_numbers;
use crate::intake::issue_prompt::issue_prompt;
use crate::intake::lineage;
use crate::intake::models::{self, Project};
use crate::problems::{absolute, check_message, internal, not_stored, problem, store_failed, task_id, usage};
use crate::pull_requests::of_pull_request;
use crate::queries::agent_comments::open_question;
use crate::queries::tasks::{ended_without_success, start_of};
use crate::resolve;
use kugetsu_git::worktree::lock::{ATTACHED, is_held};

/// Longest message, in bytes: what an agent's context can hold, but not a whole file by mistake.
const MESSAGE_MAX: usize = 1024 * 1024;
/// Longest title that is taken from a message, in characters.
const TITLE_MAX: usize = 120;

/// A task that was queued.
#[derive(Clone, Debug)]
pub struct Queued {
    pub view: RunView,
    /// Warnings for the user.
    pub notes: Vec<String>,
}

/// A request that was checked, and has changed nothing yet.
#[derive(Debug)]
pub struct Checked(pub(crate) Step);

#[derive(Debug)]
pub(crate) enum Step {
    /// The request was sent again.
    Stored(Box<Queued>),
    Store(Box<Pending>),
}

/// A task that is to be queued.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) enqueue: Enqueue,
    /// The directory of a repository that was named by its path. It gets its name when the task is queued, and the issue its
    /// number.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) no_queue: bool,
    pub(crate) notes: Vec<String>,
}

impl Checked {
    pub(crate) fn stored(queued: Queued) -> Self {
        Self(Step::Stored(Box::new(queued)))
    }

    /// Of a task for an issue that has a number.
    pub(crate) fn for_issue(enqueue: Enqueue, notes: Vec<String>) -> Self {
        Self::for_pending(Pending { enqueue, directory: None, no_queue: false, notes })
    }

    fn for_pending(pending: Pending) -> Self {
        Self(Step::Store(Box::new(pending)))
    }

    fn with_more_notes(mut self, more: Vec<String>) -> Self {
        match &mut self.0 {
            Step::Stored(queued) => queued.notes.extend(more),
            Step::Store(pending) => pending.notes.extend(more),
        }
        self
    }
}

/// Checks the request for a task. A directory or a server may take long to answer, so no lock is held, and a caller that goes
/// away can drop this.
///
/// # Errors
/// The request cannot be carried out.
pub async fn check(engine: &Engine, request: &TaskRequest) -> Result<Checked, Problem> {
    let id = task_id(&request.task)?;
    let reference = Reference::new(&request.reference);
    if reference == Reference::Coordinator {
        refuse_the_coordinator(&IssueRef::coordinator())?;
    }
    if let Some(stored) = stored(engine, id).await? {
        return Ok(Checked::stored(stored));
    }
    let message = message(request)?;
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
        lineage::may_start(engine, task).await?;
    }
    let obstacles = obstacles(engine, after.as_ref()).await?;
    let draft = Draft { id, message, after, asked_by };
    let checked = match request.kind {
        WireKind::Start => start(engine, request, &reference, draft, cwd).await,
        WireKind::Continue => continue_issue(engine, request, &reference, draft, cwd).await,
        WireKind::Push => push(engine, request, &reference, draft, cwd).await,
        WireKind::Delegate | WireKind::Report => {
            Err(usage("messages for the coordinator are not queued this way").hint("kugetsu delegate \"<message>\""))
        }
    };
    checked.map(|checked| checked.with_more_notes(obstacles))
}

/// Queues a task that was checked. A request that is sent again with the same task id queues it once. It does nothing that may
/// take long: other requests wait for it.
///
/// # Errors
/// Nothing was stored.
pub async fn queue(engine: &Engine, checked: Checked) -> Result<Queued, Problem> {
    let Pending { mut enqueue, directory, no_queue, mut notes } = match checked.0 {
        Step::Stored(queued) => return Ok(*queued),
        Step::Store(pending) => *pending,
    };
    // The name of a new local repository must not be taken by another request before it is stored.
    let naming = match &directory {
        Some(_) => Some(engine.naming().lock().await),
        None => None,
    };
    if let Some(directory) = &directory {
        enqueue.repo = resolve::local_repo(engine, directory).await?;
        enqueue.used_numbers = used_numbers(engine, &enqueue.repo.name).await?;
    }
    // Held until the task is queued, so that two callers cannot both take the last slot.
    let slots = match no_queue {
        true => Some(engine.slots().lock().await),
        false => None,
    };
    if slots.is_some() {
        refuse_when_full(engine).await?;
    }
    let repo = enqueue.repo.clone();
    let start = start_of(&enqueue.task, &repo.name, None);
    if let Some(hold) = holds::of(engine, &start).await.map_err(store_failed)? {
        let why = holds::describe(&hold);
        if no_queue {
            let hint = why.hint.iter().map(|hint| format!(", or {hint}"));
            let hint = format!("omit --no-queue to queue the task{}", hint.collect::<String>());
            return Err(Problem::new(ProblemKind::Full, why.text).hint(hint));
        }
        notes.push(why.in_one_line());
    }
    let reference = IssueRef { repo: repo.name.clone(), number: enqueue.number.unwrap_or_default() };
    let queued = store(engine, enqueue, &reference, notes).await?;
    engine.repo_was_stored(&repo);
    drop((naming, slots));
    Ok(queued)
}

/// Returns warnings about what keeps a task in the queue until the user does something.
async fn obstacles(engine: &Engine, after: Option<&(IssueId, IssueRef)>) -> Result<Vec<String>, Problem> {
    let mut obstacles = Vec::new();
    if engine.settings().agents.max == 0 {
        obstacles.push(
            "no task starts while agents.max is 0; raise it with `kugetsu config set agents.max <number>`".to_owned(),
        );
    }
    if let Some((issue, reference)) = after
        && let Some(view) = ended_without_success(engine, *issue).await.map_err(store_failed)?
    {
        let state = view.task.state.name();
        obstacles.push(format!(
            "{reference} is {state}; this task starts only when it is done: `kugetsu queue retry {reference}`"
        ));
    }
    Ok(obstacles)
}

/// The parts of a task that do not depend on its issue.
struct Draft {
    id: TaskId,
    message: Option<String>,
    after: Option<(IssueId, IssueRef)>,
    asked_by: Option<TaskId>,
}

impl Draft {
    fn task(self, kind: TaskKind, agent: String, request: &TaskRequest, now: Timestamp) -> Task {
        Task {
            model: request.model.clone(),
            base: request.base.clone(),
            priority: request.priority,
            after: self.after.as_ref().map(|(issue, _)| *issue),
            asked_by: self.asked_by,
            // Shown while it is queued.
            reason: self.after.map(|(_, issue)| Reason::from(format!("waits until {issue} is done"))),
            ..Task::queued(self.id, kind, agent, self.message.unwrap_or_default(), now)
        }
    }
}

/// Returns the message of the request. Without one, `start` takes the issue's title and description; `push` has none.
fn message(request: &TaskRequest) -> Result<Option<String>, Problem> {
    let message = request.message.as_deref().unwrap_or_default().trim();
    let is_optional = match request.kind {
        WireKind::Push => return Ok(None),
        kind => kind == WireKind::Start,
    };
    if message.is_empty() && is_optional {
        return Ok(None);
    }
    if message.is_empty() && request.is_answer {
        let hint = format!("run `kugetsu answer {} \"<text>\"`", request.reference);
        return Err(usage("the text of the answer is required").hint(hint));
    }
    if message.is_empty() {
        return Err(usage("a message is required").hint(format!(
            "run `kugetsu {} {} \"<message>\"`",
            request.kind.verb(),
            request.reference
        )));
    }
    check_message(message, MESSAGE_MAX, "put the details into a file of the repository and name it in the message")?;
    Ok(Some(message.to_owned()))
}

async fn start(
    engine: &Engine,
    request: &TaskRequest,
    reference: &Reference,
    mut draft: Draft,
    cwd: &Path,
) -> Result<Checked, Problem> {
    let settings = engine.settings();
    let agent = request.agent.clone().unwrap_or_else(|| settings.default_agent.clone());
    let installed = agents::installed(engine, &agent, false)?;
    let mut notes = Vec::new();
    let target = resolve::target(engine, reference, cwd).await?;
    if let Some(model) = &request.model {
        let project = Project::Base { repo: &target.repo, branch: request.base.as_deref() };
        notes.extend(models::check(engine, &installed, model, project).await?);
    }
    if let Some(number) = target.number {
        let own = IssueRef { repo: target.repo.name.clone(), number };
        refuse_cycle(engine, &own, draft.after.as_ref()).await?;
        if let Some(issue) = engine.store().issue(&own).await.map_err(store_failed)? {
            refuse_while_attached(engine, &issue, WireKind::Start)?;
        }
    }
    refuse_unknown_files(engine, &target).await?;
    notes.extend(probe_new_repository(engine, &target.repo).await?);
    refuse_unknown_base(engine, &target.repo, request).await?;
    let mut title = draft.message.as_deref().map(title);
    if draft.message.is_none() {
        let prompt = match target.number {
            Some(number) => issue_prompt(engine, &IssueRef { repo: target.repo.name.clone(), number }).await?,
            None => {
                return Err(usage("a message is required: a new local issue has no title or description")
                    .hint(format!("run `kugetsu start {} \"<message>\"`", request.reference)));
            }
        };
        draft.message = Some(prompt.message);
        title = Some(prompt.title);
        notes.extend(prompt.notes);
    }
    let mut task = draft.task(TaskKind::Start, agent, request, engine.now());
    task.base = task.base.or_else(|| target.branch.as_ref().map(|branch| branch.as_str().to_owned()));
    let enqueue = Enqueue {
        repo: target.repo,
        number: target.number,
        used_numbers: 0,
        new_issue: IssueId::new(Uuid::now_v7()),
        title: title.unwrap_or_default(),
        pr_url: pr_url(engine, request)?,
        watch: None,
        task,
        precondition: Precondition::Idle,
        interrupt: false,
    };
    Ok(Checked::for_pending(Pending { enqueue, directory: target.directory, no_queue: request.no_queue, notes }))
}

async fn continue_issue(
    engine: &Engine,
    request: &TaskRequest,
    reference: &Reference,
    mut draft: Draft,
    cwd: &Path,
) -> Result<Checked, Problem> {
    let issue = resolve::issue(engine, reference, cwd).await?;
    refuse_the_coordinator(&issue.reference)?;
    refuse_cycle(engine, &issue.reference, draft.after.as_ref()).await?;
    refuse_while_attached(engine, &issue, WireKind::Continue)?;
    if request.is_answer {
        // An answer continues, and there is nothing to continue.
        if issue.state == IssueState::Destroyed {
            return Err(not_stored(&issue.reference, StoreError::NothingToContinue("it was destroyed")));
        }
        draft.message = Some(answer(engine, &issue, draft.message.unwrap_or_default()).await?);
    }
    let settings = engine.settings();
    let latest = engine.store().view(issue.id).await.map_err(store_failed)?.map(|view| view.task);
    let agent = match (&request.agent, &issue.session, &latest) {
        (Some(agent), ..) => agent.clone(),
        (None, Some(session), _) => session.agent.clone(),
        // It failed before its agent opened a session.
        (None, None, Some(latest)) => latest.agent.clone(),
        (None, None, None) => settings.default_agent.clone(),
    };
    let installed = agents::installed(engine, &agent, false)?;
    let repo = engine.store().repo(&issue.reference.repo).await.map_err(store_failed)?;
    let repo = repo.ok_or_else(|| internal("the issue's repository is not stored"))?;
    refuse_unknown_base(engine, &repo, request).await?;
    let mut notes = Vec::new();
    if let Some(model) = &request.model {
        let worktree = issue.worktree.as_ref().map(|files| engine.home().files(&files.directory).0);
        let project = match &worktree {
            Some(worktree) => Project::Worktree(worktree),
            None => Project::Base { repo: &repo, branch: request.base.as_deref() },
        };
        notes.extend(models::check(engine, &installed, model, project).await?);
    }
    let mut task = draft.task(TaskKind::Continue, agent, request, engine.now());
    if issue.worktree.is_none() {
        // It failed before its work began.
        task.base = task.base.or_else(|| latest.and_then(|latest| latest.base));
    }
    let enqueue = Enqueue {
        repo,
        number: Some(issue.reference.number),
        used_numbers: 0,
        new_issue: issue.id,
        title: issue.title.clone(),
        pr_url: pr_url(engine, request)?,
        watch: None,
        task,
        precondition: Precondition::Continuable,
        interrupt: request.interrupt,
    };
    Ok(Checked::for_issue(enqueue, notes))
}

/// The message with the answer to the agent's question.
async fn answer(engine: &Engine, issue: &Issue, text: String) -> Result<String, Problem> {
    let (_, question) = open_question(engine, issue).await.map_err(internal)?.ok_or_else(|| {
        Problem::new(ProblemKind::Conflict, format!("the agent of {} has no open question", issue.reference))
            .hint(format!("send it a message with `kugetsu continue {} \"<message>\"`", issue.reference))
    })?;
    Ok(format!("The user answers your question.\n\n{}\n\nThe answer:\n\n{text}", quoted("your question", &question)))
}

/// Queues the push of an issue's work. Its agent is that of the work, which does not run.
async fn push(
    engine: &Engine,
    request: &TaskRequest,
    reference: &Reference,
    draft: Draft,
    cwd: &Path,
) -> Result<Checked, Problem> {
    let issue = resolve::issue(engine, reference, cwd).await?;
    let name = &issue.reference;
    refuse_the_coordinator(name)?;
    refuse_cycle(engine, name, draft.after.as_ref()).await?;
    refuse_while_attached(engine, &issue, WireKind::Push)?;
    let conflict = |message: String| Problem::new(ProblemKind::Conflict, message);
    if issue.state == IssueState::Destroyed {
        return Err(conflict(format!("{name} has nothing to push: it was destroyed"))
            .hint(format!("list its rescues with `kugetsu rescue list {name}`")));
    }
    if issue.worktree.is_none() && issue.live_run().is_none() {
        return Err(conflict(format!("{name} has nothing to push: it has no worktree"))
            .hint(format!("see why with `kugetsu why {name}`")));
    }
    let latest = engine.store().view(issue.id).await.map_err(store_failed)?.map(|view| view.task);
    let agent = issue.session.as_ref().map(|session| session.agent.clone()).or(latest.map(|latest| latest.agent));
    let agent = agent.unwrap_or_else(|| engine.settings().default_agent.clone());
    let repo = engine.store().repo(&name.repo).await.map_err(store_failed)?;
    let repo = repo.ok_or_else(|| internal("the issue's repository is not stored"))?;
    let now = engine.now();
    let task = Task { model: None, base: None, ..draft.task(TaskKind::Push, agent, request, now) };
    let enqueue = Enqueue {
        repo,
        number: Some(name.number),
        used_numbers: 0,
        new_issue: issue.id,
        title: issue.title.clone(),
        pr_url: None,
        watch: None,
        task,
        precondition: Precondition::Continuable,
        interrupt: false,
    };
    Ok(Checked::for_issue(enqueue, vec![]))
}

/// A session id may name it as well.
fn refuse_the_coordinator(reference: &IssueRef) -> Result<(), Problem> {
    match reference.is_coordinator() {
        true => Err(usage(format!("{COORDINATOR} is the coordinator, not an issue"))
            .hint("send it a message with `kugetsu delegate \"<message>\"`")),
        false => Ok(()),
    }
}

/// Files where the worktree would be created, of an issue that is not known, are work from before kugetsu.
async fn refuse_unknown_files(engine: &Engine, target: &resolve::TaskTarget) -> Result<(), Problem> {
    let Some(number) = target.number else { return Ok(()) };
    let reference = IssueRef { repo: target.repo.name.clone(), number };
    let worktree = engine.home().files(&naming::worktree_directory(&reference)).0;
    let is_empty = std::fs::read_dir(&worktree).is_ok_and(|mut entries| entries.next().is_none());
    let is_absent = worktree.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    if is_absent || is_empty {
        return Ok(());
    }
    if engine.store().issue(&reference).await.map_err(store_failed)?.is_some() {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::Conflict, format!("{} holds work that kugetsu did not start", worktree.display()))
        .hint(format!("import it with `kugetsu init`, then run `kugetsu continue {reference} \"<message>\"`")))
}

/// The number up to which something in the home is that of an issue of the repository. It is looked for once: later numbers
/// are given by this daemon.
async fn used_numbers(engine: &Engine, repo: &RepoRef) -> Result<u64, Problem> {
    if let Some(known) = engine.used_numbers().get(repo) {
        return Ok(*known);
    }
    let (home, name) = (engine.home().clone(), repo.clone());
    let found = tokio::task::spawn_blocking(move || used_numbers::highest(&home, &name)).await.map_err(internal)?;
    let found = found.map_err(|error| internal(error).hint("make it readable, then try again"))?;
    engine.used_numbers().insert(repo.clone(), found);
    Ok(found)
}

/// A run and an attached user cannot share a session. A run of a task that was queued before checks again.
fn refuse_while_attached(engine: &Engine, issue: &Issue, kind: WireKind) -> Result<(), Problem> {
    let Some(files) = issue.worktree.as_ref().filter(|_| issue.live_run().is_none()) else { return Ok(()) };
    let (refused, directory) =
        (format!("cannot {} {}", kind.verb(), issue.reference), engine.home().files(&files.directory).0);
    let is_held = is_held(&directory)
        .map_err(|error| internal(format!("{refused}: could not lock {}: {error}", directory.display())))?;
    if !is_held {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::Conflict, format!("{refused}: {ATTACHED}")).hint(match kind {
        WireKind::Push => "push there, or detach and try again",
        _ => "give the message there, or detach and try again",
    }))
}

/// Returns the task if it is stored already: the request was sent again, and changes since then do not matter.
pub(crate) async fn stored(engine: &Engine, id: TaskId) -> Result<Option<Queued>, Problem> {
    let stored = engine.store().view(id).await.map_err(store_failed)?;
    Ok(stored.map(|view| Queued { view, notes: vec![] }))
}

async fn store(engine: &Engine, enqueue: Enqueue, reference: &IssueRef, notes: Vec<String>) -> Result<Queued, Problem> {
    let id = enqueue.task.id;
    let applied = engine.store().enqueue(enqueue, engine.now()).await.map_err(|error| not_stored(reference, error))?;
    if let Some(task) = applied.issue.task(id).filter(|_| !applied.repeated).cloned() {
        return Ok(Queued { view: RunView::new(applied.issue, task, None), notes });
    }
    // Two requests with one id at once.
    stored(engine, id).await?.ok_or_else(|| internal("the task is not stored"))
}

/// A task that comes after its own issue, directly or through other queued tasks, would never begin.
async fn refuse_cycle(engine: &Engine, own: &IssueRef, after: Option<&(IssueId, IssueRef)>) -> Result<(), Problem> {
    let Some((first, first_reference)) = after else { return Ok(()) };
    let (mut seen, mut ahead) = (HashSet::new(), vec![*first]);
    while let Some(id) = ahead.pop() {
        let issue = engine.store().issue_by_id(id).await.map_err(store_failed)?;
        if issue.reference == *own {
            let message = match first_reference == own {
                true => format!("{own} cannot wait for itself"),
                false => format!("{own} cannot wait for {first_reference}, which waits for {own}"),
            };
            return Err(usage(message).hint(format!(
                "omit --after, or cancel the waiting task with `kugetsu queue cancel {first_reference}`"
            )));
        }
        if seen.insert(id) {
            ahead.extend(issue.tasks.iter().filter_map(|task| task.after));
        }
    }
    Ok(())
}

/// Contacts a new repository before anything is stored, so that a wrong address is an error now rather than a failed run
/// later. Returns warnings for the user.
async fn probe_new_repository(engine: &Engine, repo: &Repo) -> Result<Vec<String>, Problem> {
    if engine.is_repo_stored(repo) {
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

/// A base that the repository does not have is an error now rather than a failed run later. If a known server does not
/// answer, the run finds out.
async fn refuse_unknown_base(engine: &Engine, repo: &Repo, request: &TaskRequest) -> Result<(), Problem> {
    let Some(base) = &request.base else { return Ok(()) };
    let base = BranchName::new(base.clone()).map_err(|error| usage(error.to_string()))?;
    let source = source(repo.name.base.is_local(), &repo.source);
    let git = with_token(engine.git(), &engine.settings(), repo.name.base.as_str());
    match source.check_base(&git, &base).await {
        Err(error @ BaseError::Unknown { .. }) => Err(problem(ProblemKind::Usage, &error, error.hint())),
        Err(error) => {
            tracing::warn!(repo = %repo.name, %base, %error, "the base is not checked before the task is queued");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn unreachable(engine: &Engine, repo: &RepoRef, error: &SourceError) -> Problem {
    let cause = match error {
        SourceError::Git(error) => Some(error.cause()),
        _ => None,
    };
    let kind = match cause {
        // The address may be right.
        Some(Cause::HostUnknown | Cause::Network | Cause::DiskFull | Cause::Locked | Cause::Other) => {
            ProblemKind::Failed
        }
        _ => ProblemKind::Usage,
    };
    let problem = problem(kind, format!("cannot use {repo}: {error}"), error.hint());
    let needs_login = matches!(cause, Some(Cause::Authentication | Cause::RepositoryNotFound));
    if !needs_login || repo.base.is_local() {
        return problem;
    }
    problem.hint(match token_variable(&engine.settings(), repo.base.as_str()) {
        Some(name) => format!("set a token with `kugetsu env set {name} -`, which reads it from stdin"),
        None => format!("to use a token, first add the server with `kugetsu server add <name> {}`", repo.base),
    })
}

async fn refuse_when_full(engine: &Engine) -> Result<(), Problem> {
    let max = engine.settings().agents.max;
    let queue = engine.store().queue(max).await.map_err(store_failed)?;
    let in_use = queue.slots_in_use;
    let waiting = queue.candidates.iter().filter(|candidate| candidate.kind.needs_slot()).count();
    if in_use + waiting < max {
        return Ok(());
    }
    let message = match max {
        0 => "no slots: agents.max is 0".to_owned(),
        max => format!("{max} of {max} slots in use"),
    };
    Err(Problem::new(ProblemKind::Full, message)
        .hint("omit --no-queue to queue the task, or raise the limit with `kugetsu config set agents.max <number>`"))
}

fn pr_url(engine: &Engine, request: &TaskRequest) -> Result<Option<String>, Problem> {
    request.pr_url.as_deref().map(|url| of_pull_request(engine, url)).transpose()
}

/// Returns the first line of the message, shortened.
pub(crate) fn title(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().chars().take(TITLE_MAX).collect()
}

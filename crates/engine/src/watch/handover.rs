//! Starts the issues of a watched repository that meet every condition.

use jiff::Timestamp;
use kugetsu_domain::hash::fnv1a;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::naming;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_domain::watch::conditions::{Author, Condition, ConditionKind, Facts, Load, Met, conditions, is_eligible};
use kugetsu_forge::clone_source::clone_source;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::issue::{Issue, IssueState};
use kugetsu_forge::references::parser::parse;
use kugetsu_store::error::StoreError;
use kugetsu_store::query::IssueFilter;
use kugetsu_store::view::{Candidate, Repo};
use kugetsu_store::write::{Enqueue, Precondition};
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::{Builder, Uuid};

use super::trusted::is_trusted;
use crate::engine::Engine;
use crate::intake::issue_prompt;
use crate::watches::Watch;

#[derive(Debug, Error)]
pub(crate) enum HandoverError {
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("its clone location is not known: {0}")]
    Source(String),
}

/// Returns the conditions of an issue, and the hash of its text. Changes nothing. `also_running` is added to the runs.
pub(crate) async fn judge(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    issue: &Issue,
    also_running: u32,
) -> Result<(Vec<Condition>, String), HandoverError> {
    let mut load = load(engine, watch).await?;
    load.running = load.running.saturating_add(also_running);
    let facts = facts(engine, watch, forge, issue, load).await?;
    Ok((conditions(&watch.policy, &facts, load), facts.text))
}

/// Returns the conditions that change in kugetsu only, as they are now.
pub(crate) async fn local_conditions(
    engine: &Engine,
    watch: &Watch,
    number: u64,
) -> Result<Vec<Condition>, StoreError> {
    let (task, is_stopped) = work(engine, watch, number).await?;
    let found = conditions(&watch.policy, &Facts { task, is_stopped, ..Facts::default() }, load(engine, watch).await?);
    Ok(found.into_iter().filter(|condition| condition.kind.is_local()).collect())
}

/// Starts the issue if every condition is met. Returns the conditions.
pub(crate) async fn consider(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    issue: &Issue,
) -> Result<Vec<Condition>, HandoverError> {
    let (found, text) = judge(engine, watch, forge, issue, 0).await?;
    let candidate = is_handed_over(&found).then(|| Candidate {
        text_hash: text.clone(),
        seen_at: engine.now(),
        conditions: found.clone(),
        read_at: engine.now(),
    });
    // Before the start: the text is the one that was approved, whatever happens to the daemon now.
    engine.store().set_candidate(watch.repo.clone(), issue.number, candidate).await?;
    if is_eligible(&found) {
        start(engine, watch, issue, &text).await?;
    }
    Ok(found)
}

/// Reads what the conditions depend on. Only what decides is requested: an issue without the label costs nothing.
async fn facts(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    issue: &Issue,
    load: Load,
) -> Result<Facts, HandoverError> {
    let store = engine.store();
    let text = text_hash(issue);
    let candidate = store.candidate(watch.repo.clone(), issue.number).await?;
    // The current text is approved, if none was before.
    let approved = candidate.map_or_else(|| text.clone(), |candidate| candidate.text_hash);
    let (task, is_stopped) = work(engine, watch, issue.number).await?;
    let mut facts = Facts {
        is_open: issue.state == IssueState::Open,
        is_pull_request: issue.is_pull_request,
        labels: issue.labels.clone(),
        assignees: issue.assignees.clone(),
        author: issue.author.as_ref().map(|author| Author { login: author.login.clone(), is_trusted: None }),
        approved: Some(approved),
        text,
        open_dependencies: Some(Vec::new()),
        pull_request: None,
        task,
        is_stopped,
        is_complete: false,
        read_at: Some(engine.now()),
    };
    // The rest costs requests. Trust may depend on what the server says about the author.
    let unmet = |facts: &Facts| {
        let found = conditions(&watch.policy, facts, load);
        found.iter().any(|condition| condition.met == Met::No && condition.kind != ConditionKind::Trust)
    };
    if unmet(&facts) {
        return Ok(facts);
    }
    facts.is_complete = true;
    if let Some(author) = &mut facts.author {
        author.is_trusted = is_trusted(&watch.policy.trust, forge, &watch.repo.project, &author.login).await?;
    }
    facts.open_dependencies = Some(forge.open_dependencies(&watch.repo.project, issue.number).await?);
    let branch = naming::branch(issue.number, &issue.title);
    let pulls = forge.find_pull_requests(&watch.repo.project, &branch).await?;
    facts.pull_request = pulls.first().map(|pull| pull.state);
    Ok(facts)
}

/// The state of kugetsu's latest task for the issue, and whether a user stopped it.
async fn work(engine: &Engine, watch: &Watch, number: u64) -> Result<(Option<String>, bool), StoreError> {
    let reference = IssueRef { repo: watch.repo.clone(), number };
    let Some(known) = engine.store().issue(&reference).await? else { return Ok((None, false)) };
    let task = engine.store().view(known.id).await?.map(|view| view.task.state.name().to_owned());
    Ok((task, known.follow.is_some_and(|follow| follow.is_stopped)))
}

/// Whether the repository's people want it done, whatever else is the case.
pub(crate) fn is_handed_over(found: &[Condition]) -> bool {
    let says_so = [ConditionKind::Open, ConditionKind::Label, ConditionKind::Assignee];
    found.iter().all(|condition| condition.met == Met::Yes || !says_so.contains(&condition.kind))
}

/// The load of the repository.
pub(crate) async fn load(engine: &Engine, watch: &Watch) -> Result<Load, StoreError> {
    let open = engine.store().issues(IssueFilter::OpenIn(watch.repo.clone()), usize::MAX).await?.issues;
    let own = || open.iter().filter(|issue| issue.follow.as_ref().is_some_and(|follow| follow.watch == watch.name));
    let is_open = |issue: &&kugetsu_domain::issue::Issue| {
        let state = issue.pr.as_ref().and_then(|pr| pr.checked).map(|(state, _)| state);
        state.is_some_and(|state| state.is_open())
    };
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(Load {
        running: count(own().filter(|issue| !issue.tasks.is_empty()).count()),
        open_pull_requests: count(own().filter(is_open).count()),
        is_paused: watch.is_paused,
    })
}

async fn start(engine: &Engine, watch: &Watch, issue: &Issue, text: &str) -> Result<(), HandoverError> {
    let settings = engine.settings();
    let prompt = issue_prompt::of(issue);
    let agent = watch.agent.clone().unwrap_or_else(|| settings.default_agent.clone());
    let (id, now) = (task_id(watch, issue.number, text, engine.now()), engine.now());
    let task = Task::queued(id, TaskKind::Start, agent, prompt.message, now);
    let enqueue = Enqueue {
        repo: repo(engine, watch)?,
        number: Some(issue.number),
        used_numbers: 0,
        new_issue: IssueId::new(Uuid::now_v7()),
        title: prompt.title,
        pr_url: None,
        watch: Some(watch.name.clone()),
        task: Task { model: watch.model.clone(), base: watch.base.clone(), ..task },
        precondition: Precondition::New,
        interrupt: false,
    };
    match engine.store().enqueue(enqueue, now).await {
        Ok(applied) => {
            tracing::info!(issue = %applied.issue.reference, watch = watch.name, "the issue was handed over");
            Ok(())
        }
        // It was started meanwhile.
        Err(StoreError::Known) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn repo(engine: &Engine, watch: &Watch) -> Result<Repo, HandoverError> {
    let settings = engine.settings();
    let address = format!("{}/{}", watch.repo.base, watch.repo.project);
    let address = parse(&address, &settings.servers.known(), None);
    let address = address.map_err(|error| HandoverError::Source(error.to_string()))?;
    let source = clone_source(&address, &settings.repositories, &settings.servers);
    let source = source.map_err(|error| HandoverError::Source(error.to_string()))?;
    Ok(Repo { name: source.repo, kind: source.kind, source: source.clone_url.as_str().to_owned() })
}

/// A hash of title and description: what a label approves.
fn text_hash(issue: &Issue) -> String {
    let mut hash = Sha256::new();
    // The length keeps a title from running into the description.
    hash.update(issue.title.len().to_be_bytes());
    hash.update(issue.title.as_bytes());
    hash.update(issue.body.as_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An ID that depends on the issue and its text: the same handover is queued once.
fn task_id(watch: &Watch, number: u64, text: &str, now: Timestamp) -> TaskId {
    let seed = format!("{}#{number} {text}", watch.repo);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&fnv1a(seed.as_bytes()).to_be_bytes());
    random[8..].copy_from_slice(&fnv1a(format!("handover {seed}").as_bytes()).to_be_bytes()[..2]);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    TaskId::new(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

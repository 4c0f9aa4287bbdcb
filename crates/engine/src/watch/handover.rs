//! Starts the issues of a watched repository that meet every condition.

use kugetsu_domain::machine::Machine;
use kugetsu_domain::naming;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::watch::conditions::{
    Author, Condition, ConditionKind, Facts, Load, Met, Policy, conditions, is_eligible,
};
use kugetsu_forge::forge::Forge;
use kugetsu_forge::issue::{Issue, IssueState};
use kugetsu_store::error::StoreError;
use kugetsu_store::query::IssueFilter;
use kugetsu_store::view::Candidate;
use sha2::{Digest, Sha256};

use super::task::{HandoverError, start};
use super::trusted::is_trusted;
use crate::engine::Engine;
use crate::watches::Watch;

/// The result of considering an issue.
pub(crate) struct Considered {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) has_started: bool,
}

/// Starts the issue if every condition is met.
pub(crate) async fn consider(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    issue: &Issue,
) -> Result<Considered, HandoverError> {
    let (facts, load) = facts(engine, watch, &watch.policy, forge, issue).await?;
    let found = conditions(&watch.policy, &facts, load);
    let candidate = is_handed_over(&found).then(|| Candidate {
        text_hash: facts.text.clone(),
        seen_at: engine.now(),
        conditions: found.clone(),
        read_at: engine.now(),
    });
    // Before the start: the text is the one that was approved, whatever happens to the daemon now.
    engine.store().set_candidate(watch.repo.clone(), issue.number, candidate).await?;
    let has_started = is_eligible(&found) && start(engine, watch, issue, &facts.text).await?;
    Ok(Considered { conditions: found, has_started })
}

/// The result of a person's request to start an issue.
pub(crate) enum Requested {
    Started,
    /// Why not, as a sentence.
    Refused(String),
}

/// Starts the issue because a trusted person asks for it, whatever its labels and its author are, with the text that it has now.
pub(crate) async fn on_request(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    number: u64,
) -> Result<Requested, HandoverError> {
    let issue = forge.issue(&watch.repo.project, number).await?;
    let policy =
        Policy { label: None, assignee: None, max_running: None, max_open_pull_requests: None, ..watch.policy.clone() };
    let (facts, load) = facts(engine, watch, &policy, forge, &issue).await?;
    // The person decides about the author's text, and about what it depends on.
    let counts = |kind| !matches!(kind, ConditionKind::Trust | ConditionKind::Dependencies);
    let found = conditions(&policy, &facts, load);
    if let Some(unmet) = found.iter().find(|condition| condition.met != Met::Yes && counts(condition.kind)) {
        return Ok(Requested::Refused(unmet.fact.clone()));
    }
    start(engine, watch, &issue, &facts.text).await?;
    Ok(Requested::Started)
}

/// Reads what the conditions depend on. Only what decides is requested: an issue without the label costs nothing.
async fn facts(
    engine: &Engine,
    watch: &Watch,
    policy: &Policy,
    forge: &dyn Forge,
    issue: &Issue,
) -> Result<(Facts, Load), HandoverError> {
    let store = engine.store();
    let reference = IssueRef { repo: watch.repo.clone(), number: issue.number };
    let text = text_hash(issue);
    let candidate = store.candidate(watch.repo.clone(), issue.number).await?;
    // The current text is approved, if none was before.
    let approved = candidate.map_or_else(|| text.clone(), |candidate| candidate.text_hash);
    let known = store.issue(&reference).await?;
    let task = match &known {
        Some(known) => store.view(known.id).await?.map(|view| view.task.state.name().to_owned()),
        None => None,
    };
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
        is_stopped: known.and_then(|known| known.follow).is_some_and(|follow| follow.is_stopped),
        read_at: Some(engine.now()),
    };
    let load = load(engine, watch).await?;
    // The rest costs requests. Trust may depend on what the server says about the author.
    let unmet = |facts: &Facts| {
        let found = conditions(policy, facts, load);
        found.iter().any(|condition| condition.met == Met::No && condition.kind != ConditionKind::Trust)
    };
    if unmet(&facts) {
        return Ok((facts, load));
    }
    if let Some(author) = &mut facts.author {
        author.is_trusted = is_trusted(&watch.policy.trust, forge, &watch.repo.project, &author.login).await?;
    }
    facts.open_dependencies = Some(forge.open_dependencies(&watch.repo.project, issue.number).await?);
    let branch = naming::branch(issue.number, &issue.title);
    let pulls = forge.find_pull_requests(&watch.repo.project, &branch).await?;
    facts.pull_request = pulls.first().map(|pull| pull.state);
    Ok((facts, load))
}

/// Whether the repository's people want it done, whatever else is the case.
fn is_handed_over(found: &[Condition]) -> bool {
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

/// A hash of title and description: what a label approves.
fn text_hash(issue: &Issue) -> String {
    let mut hash = Sha256::new();
    // The length keeps a title from running into the description.
    hash.update(issue.title.len().to_be_bytes());
    hash.update(issue.title.as_bytes());
    hash.update(issue.body.as_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

//! Replays what the home contains into an empty database, through the same events that first stored it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_domain::flow::{Event, Loss};
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::{Issue, IssueState, Lease};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::naming;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::run::{Outcome, Usage, Verdict};
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_store::error::StoreError;
use kugetsu_store::store::Store;
use kugetsu_store::view::Repo;
use kugetsu_store::write::{Enqueue, Precondition};
use thiserror::Error;
use uuid::Uuid;

use super::found_runs::{self, FoundRun, time_of};
use super::leftovers::{adopt, branch_of, destroyed};
use super::mirrors;
use crate::home::kind::Kind;
use crate::home::quarantine;
use crate::home::unknown;
use crate::intake::tasks::title;
use crate::runners::lock::is_alive;
use crate::runners::report::event;

/// The facts that a home does not contain, for people.
pub const NOT_KNOWN: [&str; 7] = [
    "tasks that were queued and had not started",
    "tasks and events older than queue.keep",
    "priorities, --after, and which tasks the coordinator delegated",
    "pull requests that `kugetsu set-pr` named (those of a branch are looked up again)",
    "issues whose files were removed and that have no rescue",
    "what `kugetsu pause` has paused, and agents that were resumed",
    "which watch follows an issue, and the open question of its agent",
];

const END_NOT_KNOWN: &str = "how it ended is not known: the database was rebuilt";

#[derive(Debug, Error)]
pub enum RebuildError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not read the home: {0}")]
    Io(#[from] io::Error),
}

/// An issue in the rebuilt database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuiltIssue {
    pub reference: String,
    /// The state of its latest task, or `destroyed`.
    pub state: &'static str,
    /// Number of its runs.
    pub runs: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    pub issues: Vec<RebuiltIssue>,
    /// Descriptions of what could not be understood and stays where it was.
    pub left: Vec<String>,
}

/// Fills an empty database with what the home contains, after it has moved everything out of quarantine. `known` are
/// repositories that backups name: a mirror does not record its source. `agent` is the agent of issues of which no run is left.
pub async fn rebuild(
    home: &Home,
    store: &Store,
    known: Vec<Repo>,
    agent: &str,
    now: Timestamp,
) -> Result<Rebuilt, RebuildError> {
    let mut rebuilt = Rebuilt { issues: vec![], left: leave_quarantine(home)? };
    let (runs, rest) = found_runs::read_all(home)?;
    rebuilt.left.extend(rest.into_iter().map(|name| format!("run {name}: its spec.json cannot be understood")));
    let mut repos = known;
    repos.extend(runs.iter().map(|found| found.repo.clone()));
    let mut counts = BTreeMap::<IssueId, usize>::new();
    for found in &runs {
        let issue = replay(store, found).await?;
        *counts.entry(issue).or_default() += 1;
    }
    for issue in counts.keys() {
        end_lost_run(home, store, *issue, now).await?;
    }
    let mirrors = mirrors::read_all(home, &repos)?;
    add_worktrees(home, store, &mirrors, agent, &mut rebuilt, now).await?;
    add_pushes(store, &mirrors, now).await?;
    add_rescues(home, store, &mirrors, agent, &mut rebuilt, now).await?;
    rebuilt.issues = summary(store, &counts).await?;
    Ok(rebuilt)
}

/// Moves everything out of quarantine, the newest first. Returns what had to stay because its name is taken.
fn leave_quarantine(home: &Home) -> io::Result<Vec<String>> {
    let mut left = Vec::new();
    let mut all = quarantine::list(home)?;
    all.sort();
    for one in all.into_iter().rev() {
        let to = one.kind.directory(home).join(&one.name);
        if to.symlink_metadata().is_ok() {
            left.push(format!("{}: {} exists", one.path.display(), to.display()));
            continue;
        }
        fs::rename(&one.path, &to)?;
        if one.kind == Kind::Relay {
            let record = |path: &std::path::Path| path.with_file_name(format!("{}{}", one.name, unknown::OWNED));
            match fs::rename(record(&one.path), record(&to)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(left)
}

/// Stores a run with its task. Its facts that do not fit any more are left out.
async fn replay(store: &Store, found: &FoundRun) -> Result<IssueId, StoreError> {
    let reference = IssueRef { repo: found.repo.name.clone(), number: found.number };
    let began = time_of(uuid(&found.run.to_string()));
    let before = store.issue(&reference).await?;
    // The run before it was lost, or its records are.
    if let Some((issue, lease)) = before.as_ref().and_then(|issue| Some((issue, issue.lease()?))) {
        let same = issue.running_task().is_some_and(|task| task.id == found.task);
        let event = match same {
            true => Event::RunnerLost { lease, loss: Loss::Disappeared, reason: END_NOT_KNOWN.into() },
            false => end_not_known(lease),
        };
        store.apply(issue.id, event, began).await?;
    }
    let issue = match store.view(found.task).await? {
        None => {
            let kind = match (found.repo.name.base.is_coordinator(), &before) {
                (true, _) => TaskKind::Delegate,
                (false, _) if found.is_push => TaskKind::Push,
                (false, Some(_)) => TaskKind::Continue,
                (false, None) => TaskKind::Start,
            };
            let queued_at = time_of(uuid(&found.task.to_string())).min(began);
            store.enqueue(enqueue(found, kind, queued_at), queued_at).await?.issue.id
        }
        Some(view) if view.task.state.is_final() => {
            store.apply(view.issue, Event::TaskRetried { task: view.task }, began).await?.issue.id
        }
        Some(view) => view.issue,
    };
    let claimed = store.apply(issue, Event::TaskClaimed { task: found.task, run: found.run }, began).await?;
    let Some(lease) = claimed.issue.lease() else { return Ok(issue) };
    // Its runner may be alive.
    if let Some(key) = found.key {
        store.set_run_key(found.run, key.to_string()).await?;
    }
    for record in &found.facts {
        let at = Timestamp::from_millisecond(record.at).unwrap_or(began);
        let Some(event) = event(lease, record.body.clone()) else { continue };
        match store.apply(issue, event, at).await {
            Ok(_) => {}
            Err(StoreError::Refused(reason)) => {
                tracing::warn!(run = %found.run, %reason, "a fact of a run does not fit");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(issue)
}

fn enqueue(found: &FoundRun, kind: TaskKind, queued_at: Timestamp) -> Enqueue {
    let task = Task::queued(found.task, kind, found.agent.clone(), found.message.clone(), queued_at);
    Enqueue {
        repo: found.repo.clone(),
        number: Some(found.number),
        used_numbers: 0,
        new_issue: found.issue,
        title: title(&found.message),
        pr_url: None,
        watch: None,
        task: Task { model: found.model.clone(), base: found.base.clone(), ..task },
        precondition: Precondition::Any,
        interrupt: false,
    }
}

fn end_not_known(lease: Lease) -> Event {
    let reason = END_NOT_KNOWN.into();
    let verdict = Verdict::Failed;
    let outcome = Outcome { verdict, reason, head_sha: None, commits: 0, pushed: false, usage: Usage::default() };
    Event::RunEnded { lease, outcome }
}

/// Ends the issue's run, unless its runner is alive: that one reports to the next daemon.
async fn end_lost_run(home: &Home, store: &Store, issue: IssueId, now: Timestamp) -> Result<(), StoreError> {
    let issue = store.issue_by_id(issue).await?;
    match issue.lease() {
        Some(lease) if !is_alive(&home.run(lease.run)) => {
            store.apply(issue.id, end_not_known(lease), now).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// Adds issues of which a worktree is left and no run, and marks those as destroyed of which no worktree is left.
async fn add_worktrees(
    home: &Home,
    store: &Store,
    mirrors: &[mirrors::FoundMirror],
    agent: &str,
    rebuilt: &mut Rebuilt,
    now: Timestamp,
) -> Result<(), RebuildError> {
    let mut known = BTreeSet::new();
    for (reference, directory) in store.directories().await? {
        known.insert(naming::worktree_directory(&reference));
        let Some(directory) = directory else { continue };
        let Some(issue) = store.issue(&reference).await? else { continue };
        if home.files(&directory).0.symlink_metadata().is_err() && issue.live_run().is_none() {
            let rescue = rescue_of(mirrors, &issue);
            destroyed(store, issue.id, rescue, now).await?;
        }
        known.insert(directory);
    }
    let names = unknown::list(&home.relays())?;
    for name in names.iter().filter_map(|name| name.strip_suffix(unknown::OWNED)).filter(|name| !known.contains(*name))
    {
        if home.files(name).0.symlink_metadata().is_err() {
            continue;
        }
        let mut of = mirrors.iter().filter_map(|mirror| {
            let number = name.strip_prefix(&mirror.name)?.strip_prefix('-')?.parse::<u64>().ok()?;
            Some((mirror, mirror.repo.as_ref()?, number))
        });
        let Some((mirror, repo, number)) = of.next() else {
            rebuilt.left.push(format!("worktree {name}: its repository is not known"));
            continue;
        };
        match branch_of(home, mirror, name, number) {
            Some(branch) => drop(adopt(store, repo, number, branch, agent, now).await?),
            None => rebuilt.left.push(format!(
                "worktree {name}: its branch is not known; check it out in {} (its name begins with {}), then run \
                 `kugetsu db rebuild` again",
                home.files(name).0.display(),
                naming::branch(number, "")
            )),
        }
    }
    Ok(())
}

/// Records what was pushed last, which the mirror knows also if the directory of the run that pushed it was removed.
async fn add_pushes(store: &Store, mirrors: &[mirrors::FoundMirror], now: Timestamp) -> Result<(), RebuildError> {
    for (reference, _) in store.directories().await? {
        let Some(issue) = store.issue(&reference).await? else { continue };
        let name = naming::mirror_directory(&reference.repo);
        let mirror = mirrors.iter().find(|mirror| mirror.name == name);
        let Some(mirror) = mirror else { continue };
        // Without a worktree, that of its next run.
        let branch = match &issue.worktree {
            Some(worktree) => worktree.branch.clone(),
            None => naming::branch(reference.number, &issue.title),
        };
        match mirror.last_push(&branch)? {
            Some(head) if issue.pushed.as_ref() != Some(&head) => {
                store.apply(issue.id, Event::PushFound { head }, now).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Adds issues of which only a rescue is left, as destroyed ones, so that it can be listed and restored.
async fn add_rescues(
    home: &Home,
    store: &Store,
    mirrors: &[mirrors::FoundMirror],
    agent: &str,
    rebuilt: &mut Rebuilt,
    now: Timestamp,
) -> Result<(), RebuildError> {
    for mirror in mirrors.iter().filter(|mirror| !mirror.rescues.is_empty()) {
        let Some(repo) = &mirror.repo else {
            let path = home.mirrors().join(&mirror.name);
            rebuilt.left.push(format!("rescues in {}: its repository is not known", path.display()));
            continue;
        };
        for (number, rescue) in &mirror.rescues {
            let reference = IssueRef { repo: repo.name.clone(), number: *number };
            if store.issue(&reference).await?.is_none() {
                let issue = adopt(store, repo, *number, naming::branch(*number, ""), agent, now).await?;
                destroyed(store, issue, Some(rescue.clone()), now).await?;
            }
        }
    }
    Ok(())
}

fn rescue_of(mirrors: &[mirrors::FoundMirror], issue: &Issue) -> Option<String> {
    let name = naming::mirror_directory(&issue.reference.repo);
    mirrors.iter().find(|mirror| mirror.name == name)?.rescues.get(&issue.reference.number).cloned()
}

async fn summary(store: &Store, runs: &BTreeMap<IssueId, usize>) -> Result<Vec<RebuiltIssue>, StoreError> {
    use kugetsu_store::query::{ViewFilter, ViewQuery};
    let mut latest = BTreeMap::new();
    for view in store.views(ViewQuery::new(ViewFilter::All)).await?.views {
        // The newest task comes first.
        latest.entry(view.issue).or_insert(view);
    }
    let mut issues: Vec<RebuiltIssue> = latest
        .into_values()
        .map(|view| RebuiltIssue {
            reference: view.reference.to_string(),
            state: if view.issue_state == IssueState::Destroyed { "destroyed" } else { view.task.state.name() },
            runs: runs.get(&view.issue).copied().unwrap_or(0),
        })
        .collect();
    issues.sort_by(|one, two| one.reference.cmp(&two.reference));
    Ok(issues)
}

fn uuid(id: &str) -> Uuid {
    id.parse().unwrap_or_default()
}

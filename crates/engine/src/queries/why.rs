//! `kugetsu why`: the reasons for the state of a task.

use std::path::Path;

use kugetsu_api::problem::Problem;
use kugetsu_domain::effect::EffectKind;
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::text::counted;
use kugetsu_domain::watch::feedback::{Record, RecordState};
use kugetsu_forge::references::reference::Reference;
use kugetsu_store::effect::EffectView;
use kugetsu_store::query::IssueFilter;
use kugetsu_store::view::RunView;

use crate::clock::local_time;
use crate::engine::Engine;
use crate::holds;
use crate::problems::store_failed;
use crate::queries::{tasks, transcript};
use crate::resolve;
use kugetsu_git::worktree::lock::{ATTACHED, is_held};

/// Maximum number of running issues that are listed.
const LISTED: usize = 5;

const STARTING: &str = "nothing prevents it; it is starting";

/// The reasons for the state of an issue's latest task.
#[derive(Clone, Debug)]
pub struct Why {
    pub view: RunView,
    /// Never empty; the most direct reason first.
    pub because: Vec<String>,
    /// The hint of the most direct reason.
    pub hint: Option<String>,
    /// Suggestions for the user.
    pub next: Vec<String>,
}

/// Returns the reasons for the state of an issue's latest task.
pub async fn why(engine: &Engine, reference: &str, cwd: &Path) -> Result<Why, Problem> {
    let issue = resolve::issue(engine, &Reference::new(reference), cwd).await?;
    let view = tasks::latest(engine, &issue).await?;
    let name = view.reference.to_string();
    let mut why = Why { because: Vec::new(), hint: None, next: Vec::new(), view };
    match why.view.task.state {
        TaskState::Queued => queued(engine, &issue, &mut why).await?,
        TaskState::Running => {
            why.because.push(match &why.view.run {
                Some(run) => format!("running since {}", local_time(run.started_at)),
                None => "its run is starting".to_owned(),
            });
            if let Some(run) = &why.view.run
                && let Some((at, notice)) = transcript::latest_notice(engine, run.id).await
            {
                why.because.push(format!("since {}: {notice}", local_time(at)));
            }
            why.next.push(format!("follow it with `kugetsu logs -f {name}`"));
            why.next.push(format!("cancel it with `kugetsu queue cancel {name}`"));
        }
        ended if issue.state == IssueState::Destroyed => {
            why.because.push("its files and its session are removed".to_owned());
            let reason = why.view.task.reason.as_ref().map(|reason| format!(": {}", reason.text)).unwrap_or_default();
            why.because.push(format!("its latest task was {}{reason}", ended.name()));
            if issue.reference.is_coordinator() {
                why.next.push("send another message with `kugetsu delegate \"<message>\"`".to_owned());
            } else {
                why.next.push(format!("list what was rescued with `kugetsu rescue list {name}`"));
                why.next.push(format!("start it again with `kugetsu start {name} \"<message>\"`"));
            }
        }
        ended => {
            let reason = why.view.task.reason.clone().unwrap_or_else(|| "no reason was recorded".into());
            why.because.push(reason.text);
            why.hint = reason.hint;
            why.next.push(format!("read its transcript with `kugetsu logs {name}`"));
            if issue.reference.is_coordinator() {
                why.next.push("send another message with `kugetsu delegate \"<message>\"`".to_owned());
            } else if issue.state == IssueState::Open {
                why.next.push(format!("continue it with `kugetsu continue {name} \"<message>\"`"));
            }
            // The hint may have named it already.
            let is_named = why.hint.as_ref().is_some_and(|hint| hint.contains(&format!("kugetsu push {name}")));
            if tasks::has_unpushed_commits(&why.view) && !is_named {
                why.next.push(format!("push its commits without the agent: `kugetsu push {name}`"));
            }
            if ended != TaskState::Done {
                why.next.push(format!("retry it with `kugetsu queue retry {name}`"));
            }
        }
    }
    if let Some(trouble) = engine.trouble() {
        let because = format!("the daemon cannot store anything, so this may have changed: {trouble}");
        why.because.retain(|because| because != STARTING);
        why.because.insert(0, because);
        why.next.splice(0..0, trouble.hint().map(str::to_owned));
    }
    let effects = engine.store().effects_of(issue.id).await.map_err(store_failed)?;
    // A pull request that is known now needs no look-up any more.
    let is_solved = |effect: &EffectView| effect.kind == Some(EffectKind::FindPullRequest) && issue.pr.is_some();
    why.because.extend(effects.iter().filter(|effect| !is_solved(effect)).filter_map(describe_failures));
    why.because.extend(issue.follow.iter().flat_map(|follow| &follow.records).filter_map(describe_stop));
    Ok(why)
}

/// Describes feedback that a person has to decide about.
fn describe_stop(record: &Record) -> Option<String> {
    match &record.state {
        RecordState::Stopped { reason } => Some(format!("a person has to decide ({}): {reason}", record.kind.name())),
        RecordState::Given { .. } | RecordState::Settled => None,
    }
}

/// Describes an effect of the issue whose execution has failed so far.
fn describe_failures(effect: &EffectView) -> Option<String> {
    let error = effect.error.as_ref()?;
    let action = match effect.kind {
        Some(EffectKind::Run) => "starting or closing its run",
        Some(EffectKind::CancelRun) => "canceling its run",
        Some(EffectKind::Rescue) => "rescuing what its lost run left",
        Some(EffectKind::RemoveFiles) => "removing its files",
        Some(EffectKind::FindPullRequest) => "looking up its pull request",
        Some(EffectKind::Report) => "reporting its end to the coordinator",
        Some(EffectKind::EndPause) => "ending its pause",
        Some(EffectKind::Publish) => "opening its pull request",
        Some(EffectKind::Comment) => "writing a comment of its agent",
        Some(EffectKind::Follow) => "looking at its pull request",
        Some(EffectKind::Merge) => "merging its pull request",
        Some(EffectKind::CancelMerge) => "canceling the merge that was left to its server",
        Some(EffectKind::Announce) => "commenting on the issue",
        Some(EffectKind::Answer) => "writing an answer of the agent",
        Some(EffectKind::Complete) => "cleaning up after its pull request",
        None => "something that another version of kugetsu began",
    };
    let attempts = counted(u64::from(effect.attempt), "attempt");
    Some(if effect.failed {
        format!("{action} failed and was given up after {attempts}: {error}")
    } else {
        let next = local_time(effect.due_at);
        format!("{action} failed after {attempts} and is tried again at {next}: {error}")
    })
}

async fn queued(engine: &Engine, issue: &Issue, why: &mut Why) -> Result<(), Problem> {
    let (store, task) = (engine.store(), &why.view.task);
    if let Some(until) = task.not_before {
        let reason = task.reason.clone().unwrap_or_default();
        why.because.push(format!("it waits until {}: {}", local_time(until), reason.text));
        why.hint = reason.hint;
        let name = &issue.reference;
        why.next.push(format!("continue it at once with `kugetsu queue retry {name}`"));
        why.next.push(format!("cancel it with `kugetsu queue cancel {name}`"));
        return Ok(());
    }
    let start = tasks::start_of(task, &issue.reference.repo, Some(issue.id));
    if let Some(hold) = holds::of(engine, &start).await.map_err(store_failed)? {
        let reason = holds::describe(&hold);
        why.because.push(reason.text);
        why.next.extend(reason.hint);
    }
    if issue.state == IssueState::Destroying {
        why.because.push("the files of its issue are being removed".to_owned());
    }
    let before = issue.tasks.iter().take_while(|other| other.id != task.id).count();
    if let Some(running) = issue.running_task().filter(|running| running.id != task.id) {
        why.because.push(format!(
            "another task of {} is running ({}); tasks of an issue run one after the other",
            issue.reference,
            running.kind.name()
        ));
    } else if before > 0 {
        why.because.push(format!("{} of {} ahead of it", counted(before as u64, "task"), issue.reference));
        if let Some((first, until)) = issue.tasks.first().and_then(|first| Some((first, first.not_before?))) {
            let reason = first.reason.as_ref().map(|reason| format!(": {}", reason.text)).unwrap_or_default();
            why.because.push(format!("the first of them waits until {}{reason}", local_time(until)));
            why.next.push(format!("continue that one at once with `kugetsu queue retry {}`", first.id));
        }
    }
    if let Some(after) = task.after {
        let other = store.issue_by_id(after).await.map_err(store_failed)?.reference;
        let latest = store.view(after).await.map_err(store_failed)?;
        if latest.as_ref().is_none_or(|latest| latest.task.state != TaskState::Done) {
            let state = latest.map_or("not started", |latest| latest.task.state.name());
            why.because.push(format!("it waits for {other}, which is {state}"));
            why.next.push(format!("see why with `kugetsu why {other}`"));
        }
    }
    if task.kind.needs_slot() {
        let (max, in_use) = (engine.settings().agents.max, store.queue(0).await.map_err(store_failed)?.slots_in_use);
        if max == 0 {
            why.because.push("agents.max is 0, so no task starts".to_owned());
            why.next.push("allow runs with `kugetsu config set agents.max 3`".to_owned());
        } else if in_use >= max {
            let running = store.issues(IssueFilter::Running, usize::MAX).await.map_err(store_failed)?.issues;
            let names: Vec<String> = running
                .iter()
                .filter(|other| other.running_task().is_some_and(|task| task.kind.needs_slot()))
                .map(|other| other.reference.to_string())
                .take(LISTED)
                .collect();
            let names = names.join(", ");
            why.because.push(format!("{in_use} of {max} slots in use: {names}"));
            why.next.push("raise the limit with `kugetsu config set agents.max <number>`".to_owned());
        }
        if let Some(ahead) = store.queue_position(task.id).await.map_err(store_failed)?.filter(|ahead| *ahead > 0) {
            why.because.push(format!("{} ahead of it in the queue", counted(ahead, "task")));
        }
    }
    let files = issue.worktree.as_ref().map(|files| engine.home().files(&files.directory).0);
    if let Some(files) = files.filter(|_| issue.live_run().is_none()) {
        match is_held(&files) {
            Ok(true) => why.because.push(ATTACHED.to_owned()),
            Ok(false) => {}
            Err(error) => why.because.push(format!("could not lock {}: {error}", files.display())),
        }
    }
    if why.because.is_empty() {
        why.because.push(STARTING.to_owned());
    }
    if let Some(reason) = task.reason.as_ref().filter(|_| task.attempt > 0) {
        why.because.push(reason.text.clone());
        why.hint.clone_from(&reason.hint);
    }
    Ok(())
}

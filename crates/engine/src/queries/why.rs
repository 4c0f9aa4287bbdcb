//! Why a task is not running.

use std::path::Path;

use kugetsu_api::problem::Problem;
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::text::counted;
use kugetsu_forge::references::reference::Reference;
use kugetsu_store::view::RunView;

use crate::engine::Engine;
use crate::problems::store_failed;
use crate::queries::tasks;
use crate::resolve;
use kugetsu_git::worktree::lock::is_held;
use kugetsu_store::query::IssueFilter;

/// How many running issues are named.
const NAMED: usize = 5;

/// Why an issue's latest task stands where it stands.
#[derive(Clone, Debug)]
pub struct Why {
    /// The task.
    pub view: RunView,
    /// What keeps it there, the nearest cause first; never empty.
    pub because: Vec<String>,
    /// What to type to change it.
    pub next: Vec<String>,
}

/// Finds out.
///
/// # Errors
/// There is no such issue.
pub async fn why(engine: &Engine, reference: &str, cwd: &Path) -> Result<Why, Problem> {
    let issue = resolve::issue(engine, &Reference::new(reference), cwd).await?;
    let view = tasks::latest(engine, &issue).await?;
    let name = view.reference.to_string();
    let mut why = Why { because: Vec::new(), next: Vec::new(), view };
    match why.view.task.state {
        TaskState::Queued => queued(engine, &issue, &mut why).await?,
        TaskState::Running => {
            why.because.push(match &why.view.run {
                Some(run) => format!("it runs since {}", run.started_at.strftime("%Y-%m-%d %H:%M:%S UTC")),
                None => "its run begins now".to_owned(),
            });
            why.next.push(format!("watch it: kugetsu logs -f {name}"));
            why.next.push(format!("end it: kugetsu queue cancel {name}"));
        }
        ended => {
            let reason = why.view.task.reason.clone().unwrap_or_else(|| "no reason was given".to_owned());
            why.because.push(reason);
            why.next.push(format!("what happened: kugetsu logs {name}"));
            if issue.reference.is_coordinator() {
                why.next.push("ask for more: kugetsu delegate \"<message>\"".to_owned());
            } else if issue.state == IssueState::Open {
                why.next.push(format!("go on: kugetsu continue {name} \"<message>\""));
            }
            if ended != TaskState::Done {
                why.next.push(format!("try it again: kugetsu queue retry {name}"));
            }
        }
    }
    Ok(why)
}

async fn queued(engine: &Engine, issue: &Issue, why: &mut Why) -> Result<(), Problem> {
    let (store, task) = (engine.store(), &why.view.task);
    if issue.state == IssueState::Destroying {
        why.because.push("its issue's files are being removed right now".to_owned());
    }
    let before = issue.tasks.iter().filter(|other| other.id != task.id && other.queued_at <= task.queued_at).count();
    if let Some(running) = issue.running_task().filter(|running| running.id != task.id) {
        why.because.push(format!(
            "another task of {} runs ({}); they run one after the other",
            issue.reference,
            running.kind.name()
        ));
    } else if before > 0 {
        why.because.push(format!("{} of {} before it", counted(before as u64, "task"), issue.reference));
    }
    if let Some(after) = task.after {
        let other = store.issue_by_id(after).await.map_err(store_failed)?.reference;
        let latest = store.view(after).await.map_err(store_failed)?;
        if latest.as_ref().is_none_or(|latest| latest.task.state != TaskState::Done) {
            let stands = latest.map_or("not begun", |latest| latest.task.state.name());
            why.because.push(format!("it waits until {other} is done, which is {stands}"));
            why.next.push(format!("look there: kugetsu why {other}"));
        }
    }
    if task.kind.needs_slot() {
        let (max, taken) = (engine.settings().agents_max, store.queue(0).await.map_err(store_failed)?.slots_in_use);
        if max == 0 {
            why.because.push("agents.max is 0, so nothing begins".to_owned());
            why.next.push("kugetsu config set agents.max 3".to_owned());
        } else if taken >= max {
            let running = store.issues(IssueFilter::Running, usize::MAX).await.map_err(store_failed)?.issues;
            let names: Vec<String> = running
                .iter()
                .filter(|other| other.running_task().is_some_and(|task| task.kind.needs_slot()))
                .map(|other| other.reference.to_string())
                .take(NAMED)
                .collect();
            let names = names.join(", ");
            why.because.push(match max {
                1 => format!("the one place is taken by {names}"),
                more => format!("all {more} places are taken: {names}"),
            });
            why.next.push("allow more at once: kugetsu config set agents.max <number>".to_owned());
        }
        if let Some(line) = store.queue_position(task.id).await.map_err(store_failed)?.filter(|line| *line > 0) {
            why.because.push(format!("{} before it in line", counted(line, "task")));
        }
    }
    let files = issue.worktree.as_ref().map(|files| engine.home().files(&files.directory).0);
    if files.is_some_and(|files| issue.live_run().is_none() && is_held(&files)) {
        why.because.push("somebody is at the agent's own screen on it (kugetsu attach)".to_owned());
    }
    if why.because.is_empty() {
        why.because.push("nothing keeps it: it begins now".to_owned());
    }
    if let Some(reason) = task.reason.as_ref().filter(|_| task.attempt > 0) {
        why.because.push(reason.clone());
    }
    Ok(())
}

//! The one way in which facts change: [`step`] takes an issue as it is, an event and the time, and answers with the
//! issue as it becomes and what is to be done about it.
//!
//! Nothing is done here. The store keeps the new state and the event in one transaction; the engine carries out the
//! effects and feeds what happens back as events. A step that is not possible is [`Refused`] and changes nothing.

use jiff::Timestamp;
use thiserror::Error;

use crate::change::{ChangeBy, ChangeOf, ChangeState};
use crate::ids::{RunId, TaskId};
use crate::issue::{Issue, IssueState, Lease, Worktree};
use crate::machine::{Machine, NoSuchMove, Trigger};
use crate::run::{Outcome, Run, RunState};
use crate::session::{Session, SessionState};
use crate::task::{MAX_ATTEMPTS, Task, TaskState};

/// A fact about one issue.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody asked something of the issue.
    TaskQueued {
        /// What was asked; its state must be queued.
        task: Task,
    },
    /// What was begun on the issue before kugetsu knew it was taken over.
    Adopted {
        /// What was asked there, as far as it is known; its state must be queued.
        task: Task,
        /// Its files.
        worktree: Worktree,
        /// The agent's identifier of its session, where one is known.
        session: Option<String>,
        /// Whether the agent can go on in that session: it belongs to a directory, and the files may have moved.
        resumable: bool,
        /// The pull or merge request.
        change_url: Option<String>,
    },
    /// The dispatcher gave the task a place.
    TaskClaimed {
        /// The task.
        task: TaskId,
        /// The new run's identifier.
        run: RunId,
    },
    /// The runner made the files, or found them as they were left.
    WorktreeReady {
        /// The runner's lease.
        lease: Lease,
        /// The files.
        worktree: Worktree,
    },
    /// The agent answered with a session.
    SessionOpened {
        /// The runner's lease.
        lease: Lease,
        /// The agent's identifier for it.
        session: String,
    },
    /// The agent does not know the issue's session any more.
    SessionLost {
        /// The runner's lease.
        lease: Lease,
    },
    /// The runner is through, and no process of the run is left.
    RunEnded {
        /// The runner's lease.
        lease: Lease,
        /// What came of it.
        outcome: Outcome,
    },
    /// The runner is gone without a report; what it had started is ended.
    RunnerLost {
        /// The lease of the runner that is gone.
        lease: Lease,
        /// What is known about it, in words.
        reason: String,
    },
    /// Somebody asked for the task's end.
    CancelAsked {
        /// The task.
        task: TaskId,
    },
    /// Somebody asked to try an ended task again.
    TaskRetried {
        /// The task as it was stored; it is not among the live ones.
        task: Task,
    },
    /// Somebody said which change belongs to the issue.
    ChangeNamed {
        /// The address of its page.
        url: String,
    },
    /// Somebody said that none does.
    ChangeForgotten,
    /// A server said what has become of the issue's change, or of one that it found by the branch.
    ChangeSeen {
        /// The address of its page.
        url: String,
        /// What has become of it.
        state: ChangeState,
    },
    /// Somebody asked to remove files and session.
    DestroyAsked,
    /// They could not be removed.
    DestroyFailed {
        /// Why, in words.
        reason: String,
    },
    /// They are gone.
    Destroyed,
}

impl Event {
    /// The name under which the event is stored, shown and streamed.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TaskQueued { .. } => "task_queued",
            Self::Adopted { .. } => "adopted",
            Self::TaskClaimed { .. } => "task_claimed",
            Self::WorktreeReady { .. } => "worktree_ready",
            Self::SessionOpened { .. } => "session_opened",
            Self::SessionLost { .. } => "session_lost",
            Self::RunEnded { .. } => "run_ended",
            Self::RunnerLost { .. } => "runner_lost",
            Self::CancelAsked { .. } => "cancel_asked",
            Self::TaskRetried { .. } => "task_retried",
            Self::ChangeNamed { .. } => "change_named",
            Self::ChangeForgotten => "change_forgotten",
            Self::ChangeSeen { .. } => "change_seen",
            Self::DestroyAsked => "destroy_asked",
            Self::DestroyFailed { .. } => "destroy_failed",
            Self::Destroyed => "destroyed",
        }
    }

    /// The lease that the event's sender claims to hold, for events that only a runner may send.
    pub const fn lease(&self) -> Option<Lease> {
        match self {
            Self::WorktreeReady { lease, .. }
            | Self::SessionOpened { lease, .. }
            | Self::SessionLost { lease }
            | Self::RunEnded { lease, .. }
            | Self::RunnerLost { lease, .. } => Some(*lease),
            _ => None,
        }
    }
}

/// What the engine has to do because of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look whether a queued task can begin: a task, a place or an issue became free.
    Dispatch,
    /// Start the runner of this run.
    StartRunner(Lease),
    /// Ask the runner of this run to end it.
    StopRunner(RunId),
    /// Rescue the issue's state, then remove its files and its session.
    Remove,
}

/// Why a step was not possible. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The tables have no such arrow.
    #[error(transparent)]
    NoSuchMove(#[from] NoSuchMove),
    /// Another run holds the issue now, or none does.
    #[error("the report of run {run} is stale: the run is over, or another one holds the issue")]
    Stale {
        /// The run that sent the report.
        run: RunId,
    },
    /// The issue has no such live task.
    #[error("task {0} is not in the queue and not running")]
    NoSuchTask(TaskId),
    /// A run is going on.
    #[error("a run is going on")]
    Busy,
    /// Tasks wait in the queue.
    #[error("{0} tasks of it wait in the queue")]
    TasksWaiting(usize),
    /// It cannot be taken over: it is known.
    #[error("kugetsu works on it already")]
    Known,
    /// The files are being removed right now.
    #[error("its files are being removed right now")]
    BeingDestroyed,
}

/// Moves an issue by one event.
///
/// # Errors
/// [`Refused`] when the event does not fit the state; the caller's copy is then as good as before.
pub fn step(mut issue: Issue, event: Event, now: Timestamp) -> Result<(Issue, Vec<Effect>), Refused> {
    if let Some(lease) = event.lease()
        && issue.lease() != Some(lease)
    {
        return Err(Refused::Stale { run: lease.run });
    }
    let effects = match event {
        Event::TaskQueued { task } => queue(&mut issue, task)?,
        Event::Adopted { task, worktree, session, resumable, change_url } => {
            adopt(&mut issue, task, session.map(|id| (id, resumable)), now)?;
            issue.worktree = Some(worktree);
            issue.change = change_url.map(ChangeOf::named);
            vec![]
        }
        Event::TaskClaimed { task, run } => claim(&mut issue, task, run, now)?,
        Event::WorktreeReady { worktree, .. } => {
            issue.worktree = Some(worktree);
            vec![]
        }
        Event::SessionOpened { session, .. } => open_session(&mut issue, session)?,
        Event::SessionLost { .. } => {
            if let Some(session) = &mut issue.session {
                session.state = SessionState::next(Some(session.state), Trigger::SessionLost)?;
            }
            vec![]
        }
        Event::RunEnded { outcome, .. } => end(&mut issue, outcome, now)?,
        Event::RunnerLost { reason, .. } => lose(&mut issue, &reason, now)?,
        Event::CancelAsked { task } => cancel(&mut issue, task, now)?,
        Event::TaskRetried { task } => retry(&mut issue, task, now)?,
        Event::ChangeNamed { url } => {
            issue.change = Some(ChangeOf::named_after(issue.change.take(), url));
            vec![]
        }
        Event::ChangeForgotten => {
            issue.change = None;
            vec![]
        }
        Event::ChangeSeen { url, state } => {
            see(&mut issue, url, state, now);
            vec![]
        }
        Event::DestroyAsked => ask_destroy(&mut issue)?,
        Event::DestroyFailed { .. } => {
            issue.state = IssueState::next(Some(issue.state), Trigger::DestroyFailed)?;
            vec![Effect::Dispatch]
        }
        Event::Destroyed => destroyed(&mut issue)?,
    };
    Ok((issue, effects))
}

fn queue(issue: &mut Issue, task: Task) -> Result<Vec<Effect>, Refused> {
    if issue.state == IssueState::Destroying {
        return Err(Refused::BeingDestroyed);
    }
    issue.state = IssueState::next(Some(issue.state), Trigger::Queued)?;
    issue.tasks.push(Task { state: TaskState::next(None, Trigger::Queued)?, ..task });
    Ok(vec![Effect::Dispatch])
}

/// The issue begins with work that has stopped: a person says how it goes on.
fn adopt(issue: &mut Issue, task: Task, session: Option<(String, bool)>, now: Timestamp) -> Result<(), Refused> {
    if issue.version > 0 || issue.fence > 0 || issue.is_begun() {
        return Err(Refused::Known);
    }
    issue.state = IssueState::next(None, Trigger::Adopted)?;
    if let Some((id, resumable)) = session {
        let mut state = SessionState::next(None, Trigger::Adopted)?;
        if !resumable {
            state = SessionState::next(Some(state), Trigger::SessionLost)?;
        }
        issue.session = Some(Session { id, agent: task.agent.clone(), state });
    }
    let reason = task.reason.clone().or_else(|| Some("it was begun before kugetsu".to_owned()));
    issue.tasks.push(Task { state: TaskState::next(None, Trigger::Adopted)?, ended_at: Some(now), reason, ..task });
    Ok(())
}

fn claim(issue: &mut Issue, id: TaskId, run: RunId, now: Timestamp) -> Result<Vec<Effect>, Refused> {
    if issue.live_run().is_some() {
        return Err(Refused::Busy);
    }
    if issue.state == IssueState::Destroying {
        return Err(Refused::BeingDestroyed);
    }
    let task = task_mut(issue, id)?;
    task.state = TaskState::next(Some(task.state), Trigger::Claimed)?;
    task.attempt += 1;
    task.reason = None;
    let agent = task.agent.clone();
    issue.fence += 1;
    let lease = Lease { issue: issue.id, run, fence: issue.fence };
    issue.run = Some(Run {
        id: run,
        task: id,
        state: RunState::next(None, Trigger::Claimed)?,
        fence: issue.fence,
        agent,
        session: None,
        started_at: now,
        ended_at: None,
        outcome: None,
        acknowledged: 0,
    });
    Ok(vec![Effect::StartRunner(lease)])
}

fn open_session(issue: &mut Issue, id: String) -> Result<Vec<Effect>, Refused> {
    let Some(run) = &mut issue.run else { return Ok(vec![]) };
    run.state = RunState::next(Some(run.state), Trigger::SessionOpened)?;
    run.session = Some(id.clone());
    let before = issue.session.as_ref().map(|session| session.state);
    let state = SessionState::next(before, Trigger::SessionOpened)?;
    issue.session = Some(Session { id, agent: run.agent.clone(), state });
    Ok(vec![])
}

fn end(issue: &mut Issue, outcome: Outcome, now: Timestamp) -> Result<Vec<Effect>, Refused> {
    let trigger = outcome.verdict.trigger();
    let Some(run) = &mut issue.run else { return Ok(vec![]) };
    run.state = RunState::next(Some(run.state), trigger)?;
    run.ended_at = Some(now);
    let id = run.task;
    let reason = outcome.reason.clone();
    run.outcome = Some(outcome);
    let task = task_mut(issue, id)?;
    task.state = TaskState::next(Some(task.state), trigger)?;
    task.reason = Some(reason);
    task.ended_at = Some(now);
    Ok(vec![Effect::Dispatch])
}

fn lose(issue: &mut Issue, reason: &str, now: Timestamp) -> Result<Vec<Effect>, Refused> {
    let Some(run) = &mut issue.run else { return Ok(vec![]) };
    run.state = RunState::next(Some(run.state), Trigger::RunnerLost)?;
    run.ended_at = Some(now);
    let id = run.task;
    let task = task_mut(issue, id)?;
    if task.cancel_asked {
        task.state = TaskState::next(Some(task.state), Trigger::Canceled)?;
        task.reason = Some("canceled on request; its runner was gone before it could report".to_owned());
        task.ended_at = Some(now);
    } else if task.attempt < MAX_ATTEMPTS {
        task.state = TaskState::next(Some(task.state), Trigger::RunnerLost)?;
        task.reason = Some(format!("queued again after attempt {} of {MAX_ATTEMPTS}: {reason}", task.attempt));
    } else {
        task.state = TaskState::next(Some(task.state), Trigger::Failed)?;
        task.reason = Some(format!("given up after {} attempts: {reason}", task.attempt));
        task.ended_at = Some(now);
    }
    Ok(vec![Effect::Dispatch])
}

fn cancel(issue: &mut Issue, id: TaskId, now: Timestamp) -> Result<Vec<Effect>, Refused> {
    let run = issue.live_run().filter(|run| run.task == id).map(|run| run.id);
    let task = task_mut(issue, id)?;
    if let Some(run) = run {
        task.cancel_asked = true;
        return Ok(vec![Effect::StopRunner(run)]);
    }
    task.state = TaskState::next(Some(task.state), Trigger::Canceled)?;
    task.reason = Some("canceled in the queue".to_owned());
    task.ended_at = Some(now);
    Ok(vec![Effect::Dispatch])
}

fn retry(issue: &mut Issue, task: Task, now: Timestamp) -> Result<Vec<Effect>, Refused> {
    // Two may ask at once, and the later one still holds the ended copy of a task that is alive again.
    let stands = issue.task(task.id).map_or(task.state, |alive| alive.state);
    let state = TaskState::next(Some(stands), Trigger::Retried)?;
    if issue.state == IssueState::Destroying {
        return Err(Refused::BeingDestroyed);
    }
    issue.state = IssueState::next(Some(issue.state), Trigger::Queued)?;
    issue.tasks.push(Task {
        state,
        attempt: 0,
        cancel_asked: false,
        queued_at: now,
        ended_at: None,
        reason: None,
        ..task
    });
    Ok(vec![Effect::Dispatch])
}

fn ask_destroy(issue: &mut Issue) -> Result<Vec<Effect>, Refused> {
    if issue.live_run().is_some() {
        return Err(Refused::Busy);
    }
    if !issue.tasks.is_empty() {
        return Err(Refused::TasksWaiting(issue.tasks.len()));
    }
    issue.state = IssueState::next(Some(issue.state), Trigger::DestroyAsked)?;
    Ok(vec![Effect::Remove])
}

fn destroyed(issue: &mut Issue) -> Result<Vec<Effect>, Refused> {
    issue.state = IssueState::next(Some(issue.state), Trigger::Destroyed)?;
    // Deleted already: the issue was started afresh since, and no run came to open another session.
    if let Some(session) = issue.session.as_mut().filter(|session| session.state != SessionState::Deleted) {
        session.state = SessionState::next(Some(session.state), Trigger::Destroyed)?;
    }
    issue.worktree = None;
    // Whoever begins again makes another branch, and perhaps another change.
    issue.change = None;
    Ok(vec![])
}

/// Servers take their time, and much may have been said since one was asked: what a person named stays, and an issue that
/// was destroyed has no change.
fn see(issue: &mut Issue, url: String, state: ChangeState, now: Timestamp) {
    let by = match &issue.change {
        Some(change) if change.url == url => change.by,
        Some(change) if change.by == ChangeBy::Named => return,
        _ if issue.state == IssueState::Destroyed => return,
        _ => ChangeBy::Found,
    };
    issue.change = Some(ChangeOf { url, by, seen: Some((state, now)) });
}

fn task_mut(issue: &mut Issue, id: TaskId) -> Result<&mut Task, Refused> {
    issue.tasks.iter_mut().find(|task| task.id == id).ok_or(Refused::NoSuchTask(id))
}

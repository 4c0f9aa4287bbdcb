//! The state machine: [`step`] moves an issue by one event and returns the new issue with the effects of the move.
//!
//! Nothing is executed here. The store saves the new state, the event and the effects in one transaction; the engine
//! executes the effects and reports what happens as further events. A step that is not possible is [`Refused`] and
//! changes nothing.

use jiff::Timestamp;
use thiserror::Error;

use crate::effect::Effect;
use crate::ids::{RunId, TaskId};
use crate::issue::{Issue, IssueState, Lease, Worktree};
use crate::machine::{Machine, NoSuchMove, Trigger};
use crate::model_limit::{Account, provider};
use crate::pull_request::{PrLink, PrState};
use crate::reason::Reason;
use crate::run::{Outcome, Run, RunState, Usage, Verdict};
use crate::session::{Session, SessionState};
use crate::task::{MAX_ATTEMPTS, MAX_PAUSES, PAUSE_MAX, Task, TaskState, counted_attempts};
use crate::watch::follow::{self, FollowEvent, Question};

/// A fact about one issue.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A task was added to the issue's queue.
    TaskQueued {
        /// In state queued.
        task: Task,
    },
    /// Work that began before kugetsu knew the issue was imported.
    Adopted {
        /// The task as far as it is known, in state queued.
        task: Task,
        worktree: Worktree,
        /// The agent's session id, where one is known.
        session: Option<String>,
        /// Whether the agent can resume that session: a session belongs to a directory, and the files may have moved.
        resumable: bool,
        pr_url: Option<String>,
    },
    /// The scheduler gave the task a run.
    TaskClaimed {
        task: TaskId,
        /// The new run's id.
        run: RunId,
    },
    /// The runner created the worktree, or found it as an earlier run left it.
    WorktreeReady { lease: Lease, worktree: Worktree },
    /// The agent opened or resumed a session.
    SessionOpened {
        lease: Lease,
        /// The agent's id for it.
        session: String,
        /// The model's name, if the agent reports it.
        model: Option<String>,
    },
    /// The model has answered, and the run may have used more.
    Progressed {
        lease: Lease,
        /// Usage of the run so far.
        used: Usage,
    },
    /// The agent no longer knows the issue's session.
    SessionLost { lease: Lease },
    /// The runner finished, and no process of the run is left.
    RunEnded { lease: Lease, outcome: Outcome },
    /// The runner finished, or was not started, because something that it needs is not available for a while, such as the model. No
    /// process of the run is left.
    RunPaused {
        lease: Lease,
        /// With the verdict [`Verdict::Paused`].
        outcome: Outcome,
        /// When it may be available again. At most [`PAUSE_MAX`] from now is believed.
        until: Timestamp,
    },
    /// The task's pause is over, or the user ended it.
    PauseEnded {
        task: TaskId,
        /// The end of the pause that is meant.
        until: Timestamp,
    },
    /// The runner disappeared without a report, and the processes it started have been ended.
    RunnerLost {
        lease: Lease,
        loss: Loss,
        /// What is known about its end, for people.
        reason: String,
    },
    /// The user asked to cancel the task.
    CancelRequested { task: TaskId },
    /// The user asked to try an ended task again.
    TaskRetried {
        /// The task as it is stored; it is not among the issue's live tasks.
        task: Task,
    },
    /// The user moved a queued task before or behind others.
    TaskMoved { task: TaskId, priority: i32 },
    /// The user named the issue's pull request.
    PrSet {
        /// The address of its page.
        url: String,
    },
    /// The user cleared the issue's pull request.
    PrCleared,
    /// The forge reported the state of the issue's pull request, or of one it found by the branch.
    PrChecked {
        /// The address of its page.
        url: String,
        state: PrState,
    },
    /// The mirror records a push that no run reported: the run was lost, or the database was rebuilt.
    PushFound {
        /// The commit that was pushed to the issue's branch.
        head: String,
    },
    /// The agent of the run wrote a comment, which is in the run's records.
    AgentCommented {
        lease: Lease,
        /// Counted from 1 within the run.
        number: u32,
        /// Whether it waits for the answer of a person.
        is_question: bool,
    },
    /// Something about its pull request, or about the watch that handed it over.
    Followed(FollowEvent),
    /// The user asked to remove the issue's files and session.
    DestroyRequested,
    /// The files could not be removed; what is left stays.
    DestroyFailed { reason: Reason },
    /// Files and session are removed.
    Destroyed {
        /// The rescue that holds what was not pushed.
        rescue: Option<String>,
        /// Messages for the user about leftovers.
        notes: Vec<String>,
    },
}

/// How a run lost its runner, which decides whether its task is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The runner disappeared. The task is tried again, up to [`MAX_ATTEMPTS`] attempts.
    Disappeared,
    /// The runner disappeared before the agent could begin, so the attempt does not count.
    BeforeTheAgent,
    /// The runner did not end the run within its limit and was killed. The task is not tried again.
    Overdue,
}

impl Event {
    /// The [name](Self::name) of [`Event::Destroyed`].
    pub const DESTROYED: &'static str = "destroyed";
    /// The [name](Self::name) of [`Event::DestroyFailed`].
    pub const DESTROY_FAILED: &'static str = "destroy_failed";

    /// The name under which the event is stored, shown and streamed. Scripts rely on it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TaskQueued { .. } => "task_queued",
            Self::Adopted { .. } => "adopted",
            Self::TaskClaimed { .. } => "task_claimed",
            Self::WorktreeReady { .. } => "worktree_ready",
            Self::SessionOpened { .. } => "session_opened",
            Self::Progressed { .. } => "run_progressed",
            Self::SessionLost { .. } => "session_lost",
            Self::RunEnded { .. } => "run_ended",
            Self::RunPaused { .. } => "run_paused",
            Self::PauseEnded { .. } => "pause_ended",
            Self::RunnerLost { .. } => "runner_lost",
            Self::CancelRequested { .. } => "cancel_asked",
            Self::TaskRetried { .. } => "task_retried",
            Self::TaskMoved { .. } => "task_moved",
            Self::PrSet { .. } => "change_named",
            Self::PrCleared => "change_forgotten",
            Self::PrChecked { .. } => "change_seen",
            Self::PushFound { .. } => "push_found",
            Self::AgentCommented { .. } => "agent_commented",
            Self::Followed(event) => event.name(),
            Self::DestroyRequested => "destroy_asked",
            Self::DestroyFailed { .. } => Self::DESTROY_FAILED,
            Self::Destroyed { .. } => Self::DESTROYED,
        }
    }

    /// The lease that the sender claims to hold, for events that only a run may send.
    pub const fn lease(&self) -> Option<Lease> {
        match self {
            Self::WorktreeReady { lease, .. }
            | Self::SessionOpened { lease, .. }
            | Self::Progressed { lease, .. }
            | Self::SessionLost { lease }
            | Self::AgentCommented { lease, .. }
            | Self::RunEnded { lease, .. }
            | Self::RunPaused { lease, .. }
            | Self::RunnerLost { lease, .. } => Some(*lease),
            Self::TaskQueued { .. }
            | Self::Adopted { .. }
            | Self::TaskClaimed { .. }
            | Self::PauseEnded { .. }
            | Self::CancelRequested { .. }
            | Self::TaskRetried { .. }
            | Self::TaskMoved { .. }
            | Self::PrSet { .. }
            | Self::PrCleared
            | Self::PrChecked { .. }
            | Self::PushFound { .. }
            | Self::Followed(_)
            | Self::DestroyRequested
            | Self::DestroyFailed { .. }
            | Self::Destroyed { .. } => None,
        }
    }

    /// Whether a queued task may be able to begin because of the event: a task was added, or a slot or an issue became
    /// free, or a pause is over. The scheduler reads the queue again after such an event.
    pub const fn may_let_a_task_begin(&self) -> bool {
        match self {
            Self::TaskQueued { .. }
            | Self::RunEnded { .. }
            | Self::RunPaused { .. }
            | Self::PauseEnded { .. }
            | Self::RunnerLost { .. }
            | Self::CancelRequested { .. }
            | Self::TaskRetried { .. }
            | Self::DestroyFailed { .. } => true,
            Self::Adopted { .. }
            | Self::TaskClaimed { .. }
            | Self::WorktreeReady { .. }
            | Self::SessionOpened { .. }
            | Self::Progressed { .. }
            | Self::SessionLost { .. }
            | Self::TaskMoved { .. }
            | Self::PrSet { .. }
            | Self::PrCleared
            | Self::PrChecked { .. }
            | Self::PushFound { .. }
            | Self::AgentCommented { .. }
            | Self::Followed(_)
            | Self::DestroyRequested
            | Self::Destroyed { .. } => false,
        }
    }
}

/// Why a step is not possible. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    #[error(transparent)]
    NoSuchMove(#[from] NoSuchMove),
    /// Another run holds the issue, or none does.
    #[error("the report of run {run} is stale: the run is over, or another run holds the issue")]
    Stale {
        /// The run that sent the report.
        run: RunId,
    },
    #[error("task {0} is neither queued nor running")]
    NoSuchTask(TaskId),
    #[error("task {0} is not queued")]
    NotQueued(TaskId),
    #[error("the pause of task {0} is over")]
    NotPaused(TaskId),
    #[error("a run is in progress")]
    Busy,
    #[error("{0} of its tasks are queued")]
    TasksWaiting(usize),
    /// The issue cannot be adopted.
    #[error("kugetsu already knows the issue")]
    Known,
    #[error("its files are being removed")]
    BeingDestroyed,
}

/// Moves an issue by one event.
///
/// The returned issue still holds the tasks and the run that the event ended; the store drops them from the live issue.
///
/// # Errors
/// [`Refused`] if the event does not fit the state.
pub fn step(mut issue: Issue, event: Event, now: Timestamp) -> Result<(Issue, Vec<Effect>), Refused> {
    if let Some(lease) = event.lease()
        && issue.lease() != Some(lease)
    {
        return Err(Refused::Stale { run: lease.run });
    }
    let tasks_before: Vec<TaskState> = issue.tasks.iter().map(|task| task.state).collect();
    let effects = match event {
        Event::TaskQueued { task } => queue(&mut issue, task)?,
        Event::Adopted { task, worktree, session, resumable, pr_url } => {
            adopt(&mut issue, task, session.map(|id| (id, resumable)), now)?;
            issue.worktree = Some(worktree);
            issue.pr = pr_url.map(PrLink::set);
            vec![]
        }
        Event::TaskClaimed { task, run } => claim(&mut issue, task, run, now)?,
        Event::WorktreeReady { worktree, .. } => {
            issue.worktree = Some(worktree);
            vec![]
        }
        Event::SessionOpened { session, model, .. } => open_session(&mut issue, session, model.as_deref())?,
        Event::Progressed { used, .. } => {
            if let Some(run) = &mut issue.run {
                (run.answered, run.used) = (true, used);
            }
            vec![]
        }
        Event::SessionLost { .. } => {
            if let Some(session) = &mut issue.session {
                session.state = SessionState::next(Some(session.state), Trigger::SessionLost)?;
            }
            vec![]
        }
        // A report that does not say until when.
        Event::RunEnded { outcome, .. } if outcome.verdict == Verdict::Paused => pause(&mut issue, outcome, now, now)?,
        Event::RunEnded { outcome, .. } => end(&mut issue, outcome, now)?,
        Event::RunPaused { outcome, until, .. } => pause(&mut issue, outcome, until, now)?,
        Event::PauseEnded { task, until } => end_pause(&mut issue, task, until)?,
        Event::RunnerLost { loss, reason, .. } => lose(&mut issue, loss, &reason, now)?,
        Event::CancelRequested { task } => cancel(&mut issue, task, now)?,
        Event::TaskRetried { task } => retry(&mut issue, task, now)?,
        Event::TaskMoved { task, priority } => reorder(&mut issue, task, priority)?,
        Event::PrSet { url } => {
            issue.pr = Some(PrLink::replacing(issue.pr.take(), url));
            vec![]
        }
        Event::PrCleared => {
            issue.pr = None;
            vec![]
        }
        Event::PrChecked { url, state } => {
            issue.record_pull_request(url, state, now);
            vec![]
        }
        Event::PushFound { head } => {
            issue.pushed = Some(head);
            vec![]
        }
        // Only a watch allows kugetsu to write on the server.
        Event::AgentCommented { lease, number, is_question } => match &mut issue.follow {
            Some(follow) => {
                if is_question {
                    follow.question = Some(Question { run: lease.run, number });
                }
                vec![Effect::Comment { run: lease.run, number }]
            }
            None => vec![],
        },
        Event::Followed(event) => followed(&mut issue, event, now),
        Event::DestroyRequested => {
            let mut effects = request_destroy(&mut issue)?;
            effects.extend(Effect::cancel_merge(&issue));
            effects
        }
        Event::DestroyFailed { .. } => {
            issue.state = IssueState::next(Some(issue.state), Trigger::DestroyFailed)?;
            vec![]
        }
        Event::Destroyed { .. } => destroyed(&mut issue)?,
    };
    let effects = follow_tasks(&mut issue, effects, tasks_before, now);
    Ok((issue, effects))
}

/// Tells the server of a followed issue when its tasks begin and end, and looks at its pull request when the last one has ended.
fn follow_tasks(issue: &mut Issue, mut effects: Vec<Effect>, before: Vec<TaskState>, now: Timestamp) -> Vec<Effect> {
    let version = issue.version;
    let Some(follow) = &mut issue.follow else { return effects };
    let states: Vec<TaskState> = issue.tasks.iter().map(|task| task.state).collect();
    if states == before {
        return effects;
    }
    for task in issue.tasks.iter().filter(|task| task.state.is_final()) {
        follow.task_ended(task.id, task.state == TaskState::Done);
    }
    // The pull request is looked at once it shows what was pushed.
    let publishes = effects.iter().any(|effect| matches!(effect, Effect::Publish { .. }));
    let are_over = states.iter().all(|state| state.is_final());
    if are_over && !publishes && issue.pr.is_some() && follow.is_open() {
        effects.extend(follow.look(now).map(Effect::from));
    } else if !are_over {
        effects.extend(follow.reconsider_schedule(now).map(Effect::from));
    }
    effects.push(Effect::Announce { version });
    effects
}

/// A separate effect tells the server about it, and reads the state at that time.
fn followed(issue: &mut Issue, event: FollowEvent, now: Timestamp) -> Vec<Effect> {
    // A later run has pushed another head meanwhile.
    if matches!(&event, FollowEvent::Verified { head } if issue.pushed.as_ref() != Some(head)) {
        return vec![];
    }
    let version = issue.version;
    let merge = match &event {
        FollowEvent::MergeDecided { .. } => Some(Effect::Merge { version }),
        FollowEvent::MergeCancelDecided | FollowEvent::MergeRenewed { .. } => Effect::cancel_merge(issue),
        // Its removal was requested while the request to the server was on its way.
        FollowEvent::MergeScheduled(scheduled) if issue.state != IssueState::Open => {
            Some(Effect::CancelMerge { number: scheduled.number, version })
        }
        _ => None,
    };
    let ending = issue.follow.as_ref().and_then(|follow| follow.ending);
    let is_worth_telling = match event {
        FollowEvent::HeadSeen { .. }
        | FollowEvent::Verified { .. }
        | FollowEvent::PublishRequested { .. }
        | FollowEvent::Noticed
        | FollowEvent::Commented { .. } => false,
        FollowEvent::Ended { ending: found } => ending != Some(found),
        _ => true,
    };
    let mut effects: Vec<Effect> = follow::step(&mut issue.follow, event, now).map(Effect::from).into_iter().collect();
    if issue.follow.is_none() {
        return vec![];
    }
    effects.extend(merge);
    if is_worth_telling {
        effects.push(Effect::Announce { version });
    }
    effects
}

fn queue(issue: &mut Issue, task: Task) -> Result<Vec<Effect>, Refused> {
    if issue.state == IssueState::Destroying {
        return Err(Refused::BeingDestroyed);
    }
    issue.state = IssueState::next(Some(issue.state), Trigger::Queued)?;
    close_question(issue, &task);
    issue.tasks.push(Task { state: TaskState::next(None, Trigger::Queued)?, ..task });
    Ok(vec![])
}

/// Whatever a person or a trusted comment tells the agent is the answer to its question, except a question in return.
fn close_question(issue: &mut Issue, task: &Task) {
    if task.kind.needs_agent()
        && task.answer_on.is_none()
        && let Some(follow) = &mut issue.follow
    {
        follow.question = None;
    }
}

/// The task starts out blocked: the user decides how it continues.
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
        let used = Usage::default();
        issue.session = Some(Session { id, agent: task.agent.clone(), state, run_started_at: None, used });
    }
    let reason = task.reason.clone().or_else(|| Some("it was started before kugetsu".into()));
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
    task.not_before = None;
    task.reason = None;
    let account = Account::of(&task.agent, task.model.as_deref());
    issue.fence += 1;
    let lease = Lease { issue: issue.id, run, fence: issue.fence };
    issue.run = Some(Run {
        id: run,
        task: id,
        state: RunState::next(None, Trigger::Claimed)?,
        fence: issue.fence,
        agent: account.agent,
        session: None,
        provider: account.provider,
        started_at: now,
        ended_at: None,
        answered: false,
        used: Usage::default(),
        limited_until: None,
        outcome: None,
        acknowledged: 0,
    });
    Ok(vec![Effect::Run(lease)])
}

fn open_session(issue: &mut Issue, id: String, model: Option<&str>) -> Result<Vec<Effect>, Refused> {
    let Some(run) = &mut issue.run else { return Ok(vec![]) };
    run.state = RunState::next(Some(run.state), Trigger::SessionOpened)?;
    run.session = Some(id.clone());
    run.provider = model.and_then(provider).map(str::to_owned).or(run.provider.take());
    let before = issue.session.as_ref().map(|session| session.state);
    let state = SessionState::next(before, Trigger::SessionOpened)?;
    let same = issue.session.as_ref().filter(|session| session.id == id && session.agent == run.agent);
    let used = same.map_or(Usage::ZERO, |session| session.used);
    issue.session = Some(Session { id, agent: run.agent.clone(), state, run_started_at: Some(run.started_at), used });
    Ok(vec![])
}

fn end(issue: &mut Issue, outcome: Outcome, now: Timestamp) -> Result<Vec<Effect>, Refused> {
    let trigger = outcome.verdict.trigger();
    let version = issue.version;
    let (pushed, reason, is_done) = (outcome.pushed, outcome.reason.clone(), outcome.verdict == Verdict::Done);
    let head = outcome.head_sha.as_ref().filter(|head| issue.pushed.as_ref() == Some(head));
    let follow = issue.follow.as_ref();
    let is_same_head = head.zip(follow).is_some_and(|(head, follow)| follow.has_result(head));
    let Some((run_id, id)) = end_run(issue, outcome, now)? else { return Ok(vec![]) };
    let task = task_mut(issue, id)?;
    task.state = TaskState::next(Some(task.state), trigger)?;
    task.reason = Some(reason);
    task.ended_at = Some(now);
    let mut effects = Effect::reports(task, version);
    // An answer without new work describes no pull request.
    let only_answers = task.answer_on.is_some() && is_same_head && issue.pr.is_some();
    if pushed && !only_answers {
        match issue.follow {
            // What an unfinished turn pushed before is published already.
            Some(_) => effects.extend(is_done.then_some(Effect::Publish { run: run_id })),
            None => effects.push(Effect::FindPullRequest { run: run_id }),
        }
    }
    Ok(effects)
}

/// Ends the issue's run, but not its task. Returns both.
fn end_run(issue: &mut Issue, outcome: Outcome, now: Timestamp) -> Result<Option<(RunId, TaskId)>, Refused> {
    let trigger = outcome.verdict.trigger();
    // A run whose agent never opened a session cannot be done, unless it needs no agent.
    let needs_agent = issue.running_task().is_none_or(|task| task.kind.needs_agent());
    let Some(run) = &mut issue.run else { return Ok(None) };
    run.state = match (outcome.verdict, needs_agent) {
        (Verdict::Done, false) => RunState::next(Some(run.state), Trigger::Pushed)?,
        _ => RunState::next(Some(run.state), trigger)?,
    };
    run.ended_at = Some(now);
    // Also if it used no tool.
    run.answered |= run.session.is_some() && outcome.verdict == Verdict::Done;
    let ended = (run.id, run.task);
    let (pushed, head) = (outcome.pushed, outcome.head_sha.clone());
    if let Some(session) = issue.session.as_mut().filter(|session| run.session.as_ref() == Some(&session.id)) {
        session.used = session.used.and(outcome.usage);
    }
    // A report at the end without a cost does not replace an earlier one.
    let usage = outcome.usage.or(run.used);
    run.outcome = Some(Outcome { usage, ..outcome });
    if pushed {
        issue.pushed = head.or(issue.pushed.take());
    }
    Ok(Some(ended))
}

/// The task waits in the queue, unless it was canceled or has had too many pauses.
fn pause(issue: &mut Issue, outcome: Outcome, until: Timestamp, now: Timestamp) -> Result<Vec<Effect>, Refused> {
    let (canceled, pauses) = issue.running_task().map_or((false, 0), |task| (task.cancel_requested, task.pauses));
    if canceled {
        let reason = outcome.reason.map_text(|text| format!("canceled on request; before, {text}"));
        return end(issue, Outcome { verdict: Verdict::Canceled, reason, ..outcome }, now);
    }
    // Only a run with a session can have met a limit of its model's provider. That ends, however late.
    let is_limit = issue.run.as_ref().is_some_and(|run| run.session.is_some());
    if pauses >= MAX_PAUSES && !is_limit {
        let reason = outcome.reason.map_text(|text| format!("gave up after {pauses} pauses: {text}"));
        return end(issue, Outcome { verdict: Verdict::Failed, reason, ..outcome }, now);
    }
    let until = until.clamp(now, now.saturating_add(PAUSE_MAX).unwrap_or(Timestamp::MAX));
    // The store keeps whole milliseconds.
    let until = Timestamp::from_millisecond(until.as_millisecond()).unwrap_or(until);
    let reason = outcome.reason.clone();
    let Some((_, id)) = end_run(issue, Outcome { verdict: Verdict::Paused, ..outcome }, now)? else {
        return Ok(vec![]);
    };
    let task = task_mut(issue, id)?;
    task.state = TaskState::next(Some(task.state), Trigger::Paused)?;
    task.reason = Some(reason);
    task.pauses += 1;
    task.not_before = Some(until);
    if let Some(run) = issue.run.as_mut().filter(|_| is_limit) {
        run.limited_until = Some(until);
    }
    Ok(vec![Effect::EndPause { task: id, until }])
}

fn end_pause(issue: &mut Issue, id: TaskId, until: Timestamp) -> Result<Vec<Effect>, Refused> {
    let task = task_mut(issue, id)?;
    if task.not_before != Some(until) {
        return Err(Refused::NotPaused(id));
    }
    task.not_before = None;
    task.reason = None;
    Ok(vec![])
}

/// A task that is tried again rescues what the lost run left before it begins. For one that is not, that is an effect.
fn lose(issue: &mut Issue, loss: Loss, reason: &str, now: Timestamp) -> Result<Vec<Effect>, Refused> {
    let version = issue.version;
    let Some(run) = &mut issue.run else { return Ok(vec![]) };
    run.state = RunState::next(Some(run.state), Trigger::RunnerLost)?;
    run.ended_at = Some(now);
    let (run_id, id) = (run.id, run.task);
    let question = issue.follow.as_ref().and_then(|follow| follow.question);
    let waits = question.is_some_and(|question| question.run == run_id);
    let task = task_mut(issue, id)?;
    if loss == Loss::BeforeTheAgent {
        task.attempt = task.attempt.saturating_sub(1);
    }
    let attempt = counted_attempts(task.attempt, task.pauses);
    if task.cancel_requested {
        task.state = TaskState::next(Some(task.state), Trigger::Canceled)?;
        task.reason = Some(format!("canceled; its runner could not report its end: {reason}").into());
        task.ended_at = Some(now);
    } else if loss == Loss::Overdue {
        task.state = TaskState::next(Some(task.state), Trigger::TimedOut)?;
        task.reason = Some(reason.into());
        task.ended_at = Some(now);
    } else if loss == Loss::BeforeTheAgent {
        task.state = TaskState::next(Some(task.state), Trigger::RunnerLost)?;
        task.reason = Some(format!("queued again, because the agent had not been started: {reason}").into());
        return Ok(vec![]);
    } else if waits {
        // Another attempt would work without the answer, or ask again.
        task.state = TaskState::next(Some(task.state), Trigger::Failed)?;
        task.reason =
            Some(format!("its agent waits for the answer to its question; the runner was lost: {reason}").into());
        task.ended_at = Some(now);
    } else if attempt < MAX_ATTEMPTS {
        task.state = TaskState::next(Some(task.state), Trigger::RunnerLost)?;
        let reason = format!("queued again after attempt {attempt} of {MAX_ATTEMPTS}: {reason}");
        task.reason = Some(reason.into());
        return Ok(vec![]);
    } else {
        task.state = TaskState::next(Some(task.state), Trigger::Failed)?;
        task.reason = Some(format!("gave up after {MAX_ATTEMPTS} attempts: {reason}").into());
        task.ended_at = Some(now);
    }
    let reports = Effect::reports(task, version);
    Ok([Effect::Rescue { run: run_id }].into_iter().chain(reports).collect())
}

fn cancel(issue: &mut Issue, id: TaskId, now: Timestamp) -> Result<Vec<Effect>, Refused> {
    let version = issue.version;
    let run = issue.live_run().filter(|run| run.task == id).map(|run| run.id);
    let task = task_mut(issue, id)?;
    if let Some(run) = run {
        task.cancel_requested = true;
        return Ok(vec![Effect::CancelRun { run }]);
    }
    task.state = TaskState::next(Some(task.state), Trigger::Canceled)?;
    task.not_before = None;
    task.reason = Some("canceled while queued".into());
    task.ended_at = Some(now);
    Ok(Effect::reports(task, version))
}

fn retry(issue: &mut Issue, task: Task, now: Timestamp) -> Result<Vec<Effect>, Refused> {
    // Of two retries at once, the later one still holds the ended copy of a task that is live again.
    let current = issue.task(task.id).map_or(task.state, |live| live.state);
    let state = TaskState::next(Some(current), Trigger::Retried)?;
    if issue.state == IssueState::Destroying {
        return Err(Refused::BeingDestroyed);
    }
    issue.state = IssueState::next(Some(issue.state), Trigger::Queued)?;
    close_question(issue, &task);
    issue.tasks.push(Task {
        state,
        attempt: 0,
        pauses: 0,
        not_before: None,
        cancel_requested: false,
        queued_at: now,
        ended_at: None,
        reason: None,
        ..task
    });
    Ok(vec![])
}

fn reorder(issue: &mut Issue, id: TaskId, priority: i32) -> Result<Vec<Effect>, Refused> {
    let task = task_mut(issue, id)?;
    if task.state != TaskState::Queued {
        return Err(Refused::NotQueued(id));
    }
    task.priority = priority;
    Ok(vec![])
}

fn request_destroy(issue: &mut Issue) -> Result<Vec<Effect>, Refused> {
    if issue.live_run().is_some() {
        return Err(Refused::Busy);
    }
    if !issue.tasks.is_empty() {
        return Err(Refused::TasksWaiting(issue.tasks.len()));
    }
    issue.state = IssueState::next(Some(issue.state), Trigger::DestroyRequested)?;
    Ok(vec![Effect::RemoveFiles { version: issue.version }])
}

fn destroyed(issue: &mut Issue) -> Result<Vec<Effect>, Refused> {
    issue.state = IssueState::next(Some(issue.state), Trigger::Destroyed)?;
    // Already deleted if the issue was started afresh since and no run has opened another session.
    if let Some(session) = issue.session.as_mut().filter(|session| session.state != SessionState::Deleted) {
        session.state = SessionState::next(Some(session.state), Trigger::Destroyed)?;
    }
    issue.worktree = None;
    // A fresh start makes another branch, and perhaps another pull request.
    issue.pr = None;
    Ok(vec![])
}

fn task_mut(issue: &mut Issue, id: TaskId) -> Result<&mut Task, Refused> {
    issue.tasks.iter_mut().find(|task| task.id == id).ok_or(Refused::NoSuchTask(id))
}

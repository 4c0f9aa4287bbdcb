//! Carries a run from its claim to its end: starts the runner, waits until it is gone, and closes the run.
//!
//! The effect stays claimed for as long as the run lasts. If the daemon dies, the runner continues without it, and the next
//! daemon claims the effect again: a runner that holds its lock is waited for, one that is gone is closed, and one that
//! was never started is started. There is no other recovery.
//!
//! A runner that does not end its run within its limit is killed (`runners/watchdog.rs`).
//!
//! A runner writes every record to its file before it reports it, so the file shows whether it ended in order while no
//! daemon listened, or was killed.

use std::io;

use jiff::{SignedDuration, Timestamp};
use kugetsu_api::record::Body;
use kugetsu_domain::flow::{Event, Loss};
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_domain::naming;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::run::{Outcome as RunOutcome, RunState, Usage, Verdict};
use kugetsu_store::error::StoreError;
use kugetsu_store::query::RunQuery;
use kugetsu_store::write::Settlement;
use nix::errno::Errno;

use super::outcome::Outcome;
use crate::engine::Engine;
use crate::moved_home;
use crate::rebuild::mirrors::last_push;
use crate::runners::launch::{self, LaunchError};
use crate::runners::lock::{self, Life};
use crate::runners::{epilogue, last_words, temporary, watchdog};

/// Losses in a row before the agent began that are no attempts: a runner that always dies must not be started for ever.
const LOST_STARTS_MAX: usize = 10;

/// Longest pause before a run is started whose server did not answer, in minutes. The first one is a minute, and each one twice as
/// long as the one before.
const PAUSE_LONGEST: i64 = 30;

/// How a runner ended.
struct RunnerEnd {
    text: String,
    is_overdue: bool,
}

pub(crate) async fn execute(engine: &Engine, lease: Lease) -> Outcome {
    // Before the issue is read: a cancel after that is noticed.
    let _cancellation = engine.runners().cancellation(lease.run);
    let issue = match engine.store().issue_by_id(lease.issue).await {
        Ok(issue) => issue,
        Err(error) => return error.into(),
    };
    if issue.lease() == Some(lease) {
        let end = match run_to_the_end(engine, &issue, lease).await {
            Ok(end) => end,
            Err(RunError::Unknown(error)) => return Outcome::retry(error),
            Err(RunError::Unavailable(reason)) => return pause(engine, &issue, lease, reason),
            Err(RunError::NotStarted(error)) => return never_started(lease, error),
            Err(RunError::Canceled) => return canceled(lease),
        };
        match close(engine, lease, end).await {
            Ok(None) => {}
            Ok(Some(lost)) => {
                remove_temporary_files(engine, &issue, lease).await;
                let events = lost.into_iter().map(|event| (lease.issue, event)).collect();
                return Outcome::Settled(Settlement { events, ..Settlement::default() });
            }
            Err(error) => return Outcome::retry(error),
        }
    }
    remove_temporary_files(engine, &issue, lease).await;
    Outcome::done()
}

/// Why the end of a runner is not known.
enum RunError {
    /// Whether it is alive could not be found out, or what it needs could not be read. That may pass.
    Unknown(String),
    /// It was not started, since the server has something that it needs, or a person has to correct it.
    Unavailable(Reason),
    NotStarted(Reason),
    /// It was canceled before it was started.
    Canceled,
}

/// Returns what is known about the end of the runner, once it is gone.
async fn run_to_the_end(engine: &Engine, issue: &Issue, lease: Lease) -> Result<RunnerEnd, RunError> {
    let home = engine.home().run(lease.run);
    let unknown =
        |error: io::Error| RunError::Unknown(format!("the lock of run {} cannot be tried: {error}", lease.run));
    let is_of_original = issue.live_run().is_some_and(|run| moved_home::is_of_original(engine.home(), run.started_at));
    let mut gone = match is_of_original {
        true => "this home is a copy, and the run belongs to its original",
        false => "its runner was gone when the daemon came back",
    };
    loop {
        match lock::probe(&home).map_err(unknown)? {
            // Afterwards it may be found as never started: a daemon that died while it handed over the run took the lock,
            // too. It may also be taken again: by another process that has just tried it.
            Life::Alive(lock) => {
                let since = issue.live_run().map_or_else(|| engine.now(), |run| run.started_at);
                match watchdog::wait(engine, issue, lease.run, since, lock::released(lock)).await {
                    (_, Some(overdue)) => return Ok(RunnerEnd { text: overdue.to_string(), is_overdue: true }),
                    (released, None) => released.transpose().map_err(unknown)?,
                };
            }
            Life::Gone => return Ok(RunnerEnd { text: gone.to_owned(), is_overdue: false }),
            Life::NeverStarted => break,
        }
        gone = "its runner ended without a report";
    }
    if issue.running_task().is_some_and(|task| task.cancel_requested) {
        return Err(RunError::Canceled);
    }
    match launch::start(engine, issue, lease).await {
        Ok(runner) => Ok(match watchdog::wait(engine, issue, lease.run, engine.now(), runner).await {
            (_, Some(overdue)) => RunnerEnd { text: overdue.to_string(), is_overdue: true },
            (end, None) => RunnerEnd { text: end.unwrap_or_default(), is_overdue: false },
        }),
        Err(LaunchError::Store(error)) => Err(RunError::Unknown(error.to_string())),
        Err(error @ LaunchError::RepoFile(_)) => Err(RunError::Unavailable(Reason::new(&error, error.hint()))),
        Err(error) if error.io().is_some_and(is_temporary) => Err(RunError::Unknown(error.to_string())),
        Err(error) => Err(RunError::NotStarted(Reason::new(&error, error.hint()))),
    }
}

/// Whether the machine lacks something that it may have again later. The task waits: otherwise it would
/// fail, and every task behind it.
fn is_temporary(error: &io::Error) -> bool {
    let limits =
        [Errno::EAGAIN, Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::ENOSPC, Errno::EDQUOT, Errno::EINTR];
    error.raw_os_error().is_some_and(|code| limits.contains(&Errno::from_raw(code)))
}

/// The run ends as failed: trying again would meet the same obstacle.
fn never_started(lease: Lease, error: Reason) -> Outcome {
    tracing::error!(run = %lease.run, %error, "a runner could not be started");
    ended_before_it_began(lease, Verdict::Failed, error.of("the runner could not be started"))
}

fn canceled(lease: Lease) -> Outcome {
    ended_before_it_began(lease, Verdict::Canceled, "canceled before its runner started".into())
}

fn ended_before_it_began(lease: Lease, verdict: Verdict, reason: Reason) -> Outcome {
    Outcome::event(lease.issue, Event::RunEnded { lease, outcome: without_work(verdict, reason) })
}

/// The task waits in the queue, so that tasks of other repositories get its slot.
fn pause(engine: &Engine, issue: &Issue, lease: Lease, reason: Reason) -> Outcome {
    let pauses = issue.running_task().map_or(0, |task| task.pauses);
    let minutes = 1_i64.checked_shl(pauses).map_or(PAUSE_LONGEST, |minutes| minutes.min(PAUSE_LONGEST));
    let until = engine.now().saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX);
    let outcome = without_work(Verdict::Paused, reason.of("the runner could not be started"));
    Outcome::event(lease.issue, Event::RunPaused { lease, outcome, until })
}

fn without_work(verdict: Verdict, reason: Reason) -> RunOutcome {
    RunOutcome { verdict, reason, head_sha: None, commits: 0, pushed: false, usage: Usage::ZERO }
}

/// Stores what the runner wrote and could not report. Returns the events that close the run, unless the runner's own
/// report has closed it.
async fn close(engine: &Engine, lease: Lease, end: RunnerEnd) -> Result<Option<Vec<Event>>, StoreError> {
    last_words::report(engine, lease).await?;
    let issue = engine.store().issue_by_id(lease.issue).await?;
    if issue.lease() != Some(lease) {
        return Ok(None);
    }
    let left_over = last_words::end_processes(engine.home(), lease.run).await.err();
    let complaint = last_words::complaint(engine, lease.run).await;
    let loss = match end.is_overdue {
        true => Loss::Overdue,
        false => loss(engine, &issue, lease).await?,
    };
    let reason = [Some(end.text), complaint, left_over].into_iter().flatten().collect::<Vec<_>>().join("; ");
    tracing::warn!(run = %lease.run, reason, "a run is lost");
    epilogue::append(engine, lease.run, Body::Lost { reason: reason.clone() }).await;
    let lost = Event::RunnerLost { lease, loss, reason };
    Ok(Some(unreported_push(engine, &issue).await.into_iter().chain([lost]).collect()))
}

/// The push of a followed issue's run that died before it reported the push: nothing has checked that head, so it must not count as
/// another user's.
async fn unreported_push(engine: &Engine, issue: &Issue) -> Option<Event> {
    issue.follow.as_ref()?;
    let mirror = engine.home().mirrors().join(naming::mirror_directory(&issue.reference.repo));
    let branch = issue.worktree.as_ref()?.branch.clone();
    let read = tokio::task::spawn_blocking(move || last_push(&mirror, &branch));
    match read.await.map_err(io::Error::other).flatten() {
        Ok(head) => head.filter(|head| issue.pushed.as_ref() != Some(head)).map(|head| Event::PushFound { head }),
        Err(error) => {
            tracing::warn!(issue = %issue.reference, %error, "what the run has pushed cannot be read");
            None
        }
    }
}

/// Whether the attempt counts: it does if the agent was started or the task needs none, or if too many runs of the task ended
/// before that.
async fn loss(engine: &Engine, issue: &Issue, lease: Lease) -> Result<Loss, StoreError> {
    // The agent's errors are kept from its start on.
    // If that cannot be found out, the attempt counts.
    let was_started = |run| engine.home().run(run).agent_errors().try_exists().unwrap_or(true);
    let needs_agent = issue.running_task().is_none_or(|task| task.kind.needs_agent());
    if !needs_agent || was_started(lease.run) {
        return Ok(Loss::Disappeared);
    }
    let task = issue.running_task().map(|task| task.id);
    let limit = u32::try_from(LOST_STARTS_MAX).ok();
    let earlier = RunQuery { below_fence: Some(lease.fence), limit, ..RunQuery::new(issue.id) };
    let earlier = engine.store().runs(earlier).await?;
    let lost_starts = earlier
        .iter()
        .take_while(|run| Some(run.task) == task && run.state == RunState::Lost && !was_started(run.id))
        .count();
    Ok(if lost_starts < LOST_STARTS_MAX { Loss::BeforeTheAgent } else { Loss::Disappeared })
}

/// A runner removes them itself; one that was killed could not.
async fn remove_temporary_files(engine: &Engine, issue: &Issue, lease: Lease) {
    if let Err(error) = temporary::remove(engine, issue, lease.run, engine.now()).await {
        tracing::warn!(run = %lease.run, %error, "a run's temporary directory is kept");
    }
}

//! The agent's part of a run: its program is started, its session opened, the prompt sent, and every process ended.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use kugetsu_agent::{
    AgentError, Connection, EventStream, FirstStart, InvalidSessionId, Recovery, Session, SessionId, Turn, Usage,
    record_models,
};
use kugetsu_api::atomic_file::write_atomic;
use kugetsu_api::record::Body;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::task::{MAX_ATTEMPTS, counted_attempts};
use kugetsu_process::Tree;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::complaint::complaint;
use super::event_recorder::EventRecorder;
use super::repetition::RepetitionDetector;
use super::session_record;
use crate::control::clocks::Expired;
use crate::control::interrupts::{Interruption, Interrupts};
use crate::exit_status;
use crate::network::{Connections, spawn};
use crate::prompt::source::{PromptError, PromptSource};
use crate::resources::resource_watch::ResourceWatch;
use crate::run_context::{Agent, AgentLaunch, LaunchError, RunContext, agent_stderr, tree_spec};
use crate::verdict::{End, resume_hint};

/// Bytes of the agent's standard error that are kept.
const STDERR_MAX: usize = 8 * 1024 * 1024;
/// How long an agent may take to obey a cancel.
const CANCEL_LIMIT: Duration = Duration::from_secs(3);
/// How long its processes may take to obey SIGTERM.
const GRACE: Duration = Duration::from_secs(3);
/// The same for an agent that is ended at once. The daemon kills what is left after [`CANCEL_AT_ONCE`] and this time.
const CANCEL_AT_ONCE: Duration = Duration::from_millis(250);
const GRACE_AT_ONCE: Duration = Duration::from_millis(400);
/// The pause before the first retry. Each further pause is three times as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause within a run. For a longer one the run ends.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// The prompt after a failure of the model during the work.
const CONTINUE: &str = "The model's provider failed before the task was finished. Continue the task where you stopped.";
/// How long the exit status of an agent that closed its output may take.
const EXIT_LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct AgentOutcome {
    pub(crate) end: End,
    pub(crate) usage: Usage,
    /// The agent's text after its last tool call, masked.
    pub(crate) last_text: String,
    /// Whether the agent exited, or stopped reading.
    exited: bool,
    /// Whether a signal that kugetsu did not send ended it.
    killed: bool,
}

impl AgentOutcome {
    fn without_turn(end: End) -> Self {
        Self { end, usage: Usage::ZERO, last_text: String::new(), exited: false, killed: false }
    }

    /// The run starts no agent.
    pub(crate) fn not_needed() -> Self {
        Self::without_turn(End::NotNeeded)
    }

    /// No agent was started, for this reason.
    pub(crate) fn refused(reason: Reason) -> Self {
        Self::without_turn(End::Failed(reason))
    }

    pub(crate) fn not_launched(error: LaunchError) -> Self {
        Self::failed(error)
    }

    fn failed(error: impl Into<TurnError>) -> Self {
        let error = error.into();
        Self { exited: error.is_exit(), ..Self::without_turn(error.into()) }
    }
}

#[derive(Debug, Error)]
enum TurnError {
    #[error("cannot write notes about the agent's first start in {}: {error}", path.display())]
    Notes { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("the agent's pipes are missing")]
    NoPipes,
    #[error(transparent)]
    Session(#[from] InvalidSessionId),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The run ends, and another one continues the task.
    #[error("the model is not available: {message}")]
    Paused {
        /// Of the model's provider.
        message: String,
        /// `None` if the provider named no time.
        until: Option<Timestamp>,
        /// Names the command that continues the task at once.
        hint: String,
    },
}

impl TurnError {
    fn is_exit(&self) -> bool {
        matches!(self, Self::Agent(AgentError::Exited { .. } | AgentError::InputClosed { .. }))
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Launch(error) => error.hint(),
            Self::Agent(error) => error.hint(),
            Self::Paused { hint, .. } => Some(hint.clone()),
            Self::Notes { .. } | Self::NoPipes | Self::Session(_) | Self::Prompt(_) => None,
        }
    }
}

impl From<TurnError> for End {
    fn from(error: TurnError) -> Self {
        let reason = Reason::new(&error, error.hint());
        match error {
            // Trying again does not help before a person has done something.
            TurnError::Agent(AgentError::NotLoggedIn { .. }) => Self::Blocked(reason),
            TurnError::Paused { until, .. } => Self::Paused { until, reason },
            _ => Self::Failed(reason),
        }
    }
}

/// Starts the agent, sends the prompt, and ends the agent with all its processes, whatever happened.
#[tracing::instrument(skip_all)]
pub(crate) async fn run_turn(
    run: &RunContext,
    agent: &Agent,
    launch: &AgentLaunch,
    source: &PromptSource<'_>,
    interrupts: &mut Interrupts,
) -> AgentOutcome {
    let notes = &launch.notes;
    // The first start of a program in a home migrates files there, which concurrent starts would break.
    let first_start = FirstStart::new(&agent.profile, &agent.program, notes);
    let first_start = match interrupts.unless_interrupted(first_start).await {
        Ok(Ok(first_start)) => first_start,
        Ok(Err(error)) => {
            return AgentOutcome::failed(TurnError::Notes { path: notes.clone(), error });
        }
        Err(interruption) => return AgentOutcome::without_turn(interruption.into()),
    };
    if let Some(withheld) = agent.withheld(run) {
        run.spool.step(withheld);
    }
    // Last, because `kugetsu why` shows the latest step.
    run.spool.step(format!("starting {}", run.spec.agent.name));
    let (mut tree, connections) = match start(run, launch, agent).await {
        Ok(started) => started,
        Err(error) => return AgentOutcome::failed(error),
    };
    let (Some(stdin), Some(stdout)) = (tree.stdin.take(), tree.stdout.take()) else {
        return AgentOutcome::failed(TurnError::NoPipes);
    };
    interrupts.clocks.heard();
    let growing = launch.growing.iter().cloned().chain([run.directory.temporary()]).collect();
    interrupts.resources = Some(ResourceWatch::start(run, &tree, growing));
    let mut live_record = None;
    let options = agent.session_options(run, launch);
    let opening = Connection::open(&agent.profile, options, stdin, stdout);
    let mut outcome = match interrupts.unless_interrupted(opening).await {
        Ok(Ok((connection, events))) => {
            let outcome = event_loop(run, launch, source, interrupts, first_start, (&connection, events), &tree).await;
            // While the agent runs: it exits when its connection is closed.
            if let End::Turn { turn, session } = &outcome.end {
                // It need not say anything any more.
                interrupts.clocks.agent_is_gone();
                live_record = session_record::of_running_agent(agent, launch, &tree, session, turn, interrupts).await;
            }
            outcome
        }
        Ok(Err(error)) => AgentOutcome::failed(error),
        Err(interruption) => AgentOutcome::without_turn(interruption.into()),
    };
    end_processes(run, tree, &mut outcome, interrupts).await;
    // Servers outside may keep theirs open.
    drop(connections);
    if let End::Expired { expired: Expired::Start(_), hint, .. } = &mut outcome.end {
        // Some agents wait for a login in a browser.
        *hint = Some(format!("if {} is not logged in, run {}", run.spec.agent.name, agent.profile.how_to_log_in()));
    }
    if outcome.killed
        && counted_attempts(run.spec.attempt, run.spec.pauses) < MAX_ATTEMPTS
        && let End::Failed(why) = outcome.end
    {
        outcome.end = End::Killed(why);
    }
    // Only now that no process of the agent writes its record any more.
    if let End::Turn { turn, session } = &mut outcome.end {
        let checked = session_record::check(run, launch, agent, session, turn, live_record, interrupts).await;
        // The record corrects the usage, too.
        outcome.usage = turn.usage;
        if let Err(interruption) = checked {
            outcome.end = interruption.into();
        }
    }
    outcome
}

async fn start(run: &RunContext, launch: &AgentLaunch, agent: &Agent) -> Result<(Tree, Connections), LaunchError> {
    fs::create_dir_all(run.directory.temporary())?;
    let command = agent.command(run)?;
    let stderr = agent_stderr(run)?;
    let spec = tree_spec(run, launch, agent, command, stderr, STDERR_MAX)?;
    Ok(spawn(spec, launch.network.as_deref()).await?)
}

/// Ends every process of the agent, and completes the reason of a failure: with the exit status of an agent that exited,
/// and with the error that it printed on standard error.
async fn end_processes(run: &RunContext, mut tree: Tree, outcome: &mut AgentOutcome, interrupts: &mut Interrupts) {
    let resources = interrupts.resources.take();
    let status = match outcome.exited {
        true => timeout(EXIT_LIMIT, tree.wait()).await.ok().and_then(Result::ok),
        false => None,
    };
    if let (Some(status), Some(resources)) = (status, &resources)
        && let Some(exceeded) = resources.why_ended(exit_status::is_kill(status)).await
    {
        outcome.end = End::Exceeded(exceeded);
    }
    let stderr_tail = tree.stderr_tail();
    let is_urgent = matches!(outcome.end, End::Exceeded(exceeded) if exceeded.is_urgent());
    let exit = tree.end(if is_urgent || interrupts.is_at_once() { GRACE_AT_ONCE } else { GRACE }).await;
    if !exit.survivors.is_empty() {
        run.spool.notice(format!("these processes could not be ended: {:?}", exit.survivors));
    }
    if let Some(problem) = exit.problem {
        run.spool.notice(format!("could not end the agent's processes cleanly: {problem}"));
    }
    if let End::Paused { reason, .. } = &mut outcome.end {
        reason.text = run.spool.mask(&reason.text);
    }
    if let End::Failed(why) | End::Blocked(why) = &mut outcome.end {
        if let Some(status) = status {
            outcome.killed = exit_status::was_killed(status);
            why.text.push_str(&format!(": {}", exit_status::describe(status)));
        }
        // Masked before it is cut: half a secret would not be recognized.
        if let Some(complaint) = complaint(&run.spool.mask(&stderr_tail)) {
            why.text.push_str(&format!("; it printed: {complaint}"));
        }
        // The reason is also the message of the rescue, which is no record.
        why.text = run.spool.mask(&why.text);
    }
}

/// Drives the session and records the agent's events until the turn ends or the run is interrupted.
///
/// Four things happen at once, and each wakes the loop: the session makes progress (`driving`), an event arrives, a record
/// that waits for more is due, or the run is interrupted. Every event is a sign of life. The session is driven by a future of
/// its own because it waits for responses of the agent while the agent, before it responds, sends events and permission
/// requests that have to be handled.
async fn event_loop(
    run: &RunContext,
    launch: &AgentLaunch,
    source: &PromptSource<'_>,
    interrupts: &mut Interrupts,
    first_start: Option<FirstStart>,
    (connection, mut events): (&Connection, EventStream),
    tree: &Tree,
) -> AgentOutcome {
    let mut recorder = EventRecorder::new(run.spool.clone(), run.policy());
    let progress = Progress::default();
    let driving = drive_session(run, launch, source, first_start, connection, &progress);
    let mut driving = std::pin::pin!(driving);
    let mut is_open = true;
    let mut repetitions = RepetitionDetector::default();
    let mut exited = false;
    let end = loop {
        let deadline = recorder.deadline();
        tokio::select! {
            turn = &mut driving => break match turn {
                Ok((session, turn)) => End::Turn { turn, session },
                Err(error) => {
                    exited = error.is_exit();
                    error.into()
                }
            },
            () = progress.opened.notified() => interrupts.clocks.session_is_open(),
            () = progress.changed.notified() => match progress.failure() {
                // The agent need not say anything until the next prompt.
                Some(_) => interrupts.clocks.agent_is_gone(),
                None => interrupts.clocks.heard(),
            },
            event = events.next(), if is_open => match event {
                Some(event) => {
                    if progress.failure().is_none() {
                        interrupts.clocks.heard();
                    }
                    let repetition = repetitions.take(&event, interrupts.clocks.max_repeats());
                    recorder.take(event);
                    if let Some(repetition) = repetition {
                        cancel(connection, &mut driving, &mut events, &mut recorder, interrupts).await;
                        let hint = resume_hint(&run.spec.reference);
                        break End::Failed(Reason::new(repetition, Some(hint)));
                    }
                }
                // The agent closed its output. `driving` fails with the reason.
                None => is_open = false,
            },
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => recorder.write_due(),
            interruption = interrupts.interrupted() => {
                let failed = progress.failure();
                let end = match (End::from(interruption.clone()), &failed) {
                    (End::Expired { expired, .. }, Some(message)) => {
                        End::Expired { expired, failure: Some(run.spool.mask(message)), hint: None }
                    }
                    (End::Expired { expired, .. }, None) => expired_after(connection, tree, expired, run).await,
                    (end, _) => end,
                };
                // Between two prompts there is no turn to cancel, and the next prompt must not be sent.
                let may_obey = match &interruption {
                    Interruption::Superseded => false,
                    // The machine needs it sooner.
                    Interruption::Exceeded(exceeded) => !exceeded.is_urgent(),
                    _ => true,
                };
                if may_obey && failed.is_none() {
                    cancel(connection, &mut driving, &mut events, &mut recorder, interrupts).await;
                }
                break end;
            }
        }
    };
    // Events that arrived together with the end of the turn belong to it.
    while let Some(event) = events.try_next() {
        recorder.take(event);
    }
    recorder.flush();
    AgentOutcome { end, usage: connection.usage(), last_text: recorder.last_text(), exited, killed: false }
}

/// Asks the agent to stop, and gives it [`CANCEL_LIMIT`]: an agent that obeys stores where it stopped, so that its session can
/// be resumed.
async fn cancel(
    connection: &Connection,
    driving: &mut (impl Future<Output = Result<(SessionId, Turn), TurnError>> + Unpin),
    events: &mut EventStream,
    recorder: &mut EventRecorder,
    interrupts: &Interrupts,
) {
    connection.cancel();
    let obeyed = async {
        loop {
            tokio::select! {
                _ = &mut *driving => return,
                event = events.next() => match event {
                    Some(event) => recorder.take(event),
                    None => return,
                },
            }
        }
    };
    let at_once = async {
        interrupts.at_once().await;
        sleep(CANCEL_AT_ONCE).await;
    };
    let obeyed = async {
        tokio::select! {
            () = obeyed => true,
            () = at_once => false,
        }
    };
    if timeout(CANCEL_LIMIT, obeyed).await != Ok(true) {
        tracing::info!("the agent did not obey the cancel in time; ending its processes");
    }
}

/// Reports of the driving of a session to the event loop.
#[derive(Debug, Default)]
struct Progress {
    opened: Notify,
    /// [`failure`](Self::failure) has changed.
    changed: Notify,
    failed: Mutex<Option<String>>,
}

impl Progress {
    /// The failure of the model after which no prompt is sent for a while.
    fn failure(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_failure(&self, failure: Option<String>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        self.changed.notify_one();
    }
}

/// Sends the prompt, and lets the agent continue after failures of the model that pass.
///
/// # Errors
/// [`TurnError::Paused`] if the model is not available for longer than a run waits.
async fn prompt_until_answered(
    run: &RunContext,
    session: &Session<'_>,
    prompt: &str,
    progress: &Progress,
) -> Result<Turn, TurnError> {
    let most = run.spec.model_retries;
    let mut text = prompt;
    for retry in 1..=most {
        let (pause, message) = match session.prompt(text).await {
            Err(AgentError::Model { recovery: Recovery::Soon | Recovery::Limited, message, .. }) => {
                (pause(retry), message)
            }
            Err(AgentError::Model { recovery: Recovery::After(time), message, .. }) if time <= PAUSE_MAX => {
                (time.max(pause(retry)), message)
            }
            ended => return ended.map_err(|error| unless_it_passes(error, run, retry > 1)),
        };
        let seconds = pause.as_secs();
        run.spool.notice(format!(
            "the model failed; trying again in {seconds} s (retry {retry} of {most}, setting run.model_retries): {message}"
        ));
        progress.set_failure(Some(format!("the model request failed: {message}")));
        sleep(pause).await;
        progress.set_failure(None);
        // An agent that has done nothing yet may not have kept the prompt.
        text = if session.has_used_tools() { CONTINUE } else { text };
    }
    session.prompt(text).await.map_err(|error| unless_it_passes(error, run, most > 0))
}

/// The end of a run whose time is over. An agent that waits in silence for the end of a limit is no agent that hangs.
async fn expired_after(connection: &Connection, tree: &Tree, expired: Expired, run: &RunContext) -> End {
    // Before the wall clock strikes, it may have continued since it printed something.
    let printed = matches!(expired, Expired::Silence(_)).then(|| complaint(&tree.stderr_tail())).flatten();
    let failure = async { connection.model_failure(&tree.listening_ports(), printed).await };
    let Some(failure) = timeout(CANCEL_LIMIT, failure).await.unwrap_or_default() else {
        return End::Expired { expired, failure: None, hint: None };
    };
    let message = failure.to_string();
    match unless_it_passes(failure, run, true) {
        paused @ TurnError::Paused { .. } => paused.into(),
        _ => End::Expired { expired, failure: Some(run.spool.mask(&message)), hint: None },
    }
}

/// The failure of a run, or a pause if a limit of the model's provider caused it. `waited` is whether the run has waited for the
/// end of the limit.
fn unless_it_passes(error: AgentError, run: &RunContext, waited: bool) -> TurnError {
    let AgentError::Model { recovery, message, .. } = &error else { return error.into() };
    let pause = match recovery {
        Recovery::Never | Recovery::Soon => return error.into(),
        // A shorter time was waited for within the run, in vain.
        Recovery::After(time) if *time > PAUSE_MAX || !waited => Some(*time),
        Recovery::After(_) | Recovery::Limited | Recovery::UsedUp => None,
    };
    let until = pause.map(|pause| Timestamp::now().saturating_add(pause).unwrap_or(Timestamp::MAX));
    let hint = format!("try again at once with `kugetsu queue retry {}`", run.spec.reference);
    TurnError::Paused { message: message.clone(), until, hint }
}

/// The pause before a retry, counted from 1.
fn pause(retry: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(3_u32.saturating_pow(retry - 1)).min(PAUSE_MAX)
}

/// Opens the session and sends the prompt. Returns when the agent ends its turn.
async fn drive_session(
    run: &RunContext,
    launch: &AgentLaunch,
    source: &PromptSource<'_>,
    first_start: Option<FirstStart>,
    connection: &Connection,
    progress: &Progress,
) -> Result<(SessionId, Turn), TurnError> {
    let (spec, spool) = (&run.spec, &run.spool);
    let directory = launch.directory.as_path();
    let mut hand_over = spec.hand_over;
    let mut resumed = None;
    if let Some(id) = &spec.session {
        match connection.resume_session(&SessionId::new(id)?, directory).await {
            Ok(session) => resumed = Some(session),
            Err(error @ (AgentError::SessionLost { .. } | AgentError::WrongDirectory { .. })) => {
                spool.notice(format!("{error}; a new session takes over"));
                spool.write(Body::SessionLost { session: id.clone() });
                hand_over = true;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let is_resumed = resumed.is_some();
    let mut session = match resumed {
        Some(session) => session,
        None => connection.new_session(directory).await?,
    };
    progress.opened.notify_one();
    if let Some(notice) = session.notice() {
        spool.notice(notice.to_owned());
    }
    if let Some(first_start) = first_start
        && let Err(error) = first_start.done()
    {
        spool.notice(format!("could not note the agent's first start; the next start waits for others again: {error}"));
    }
    if !session.models().is_empty()
        && let Err(error) = record_models(&run.home.agents(), &spec.agent.name, session.models(), write_atomic)
    {
        tracing::warn!(%error, "the agent's models are not kept, so `start` cannot check names of models");
    }
    if let Some(model) = &spec.model {
        session.set_model(model).await?;
    }
    let info = connection.info();
    // Before the prompt: if the run is cut off from here on, the task is tried again in this session.
    spool.write(Body::Session {
        session: session.id().to_string(),
        resumed: is_resumed,
        agent: format!("{} {}", info.name, info.version),
        model: session.model().map(str::to_owned),
    });
    let prompt = match is_resumed {
        true => source.next(run).await?,
        false => source.first(run, hand_over).await?,
    };
    source.ready().await;
    spool.write(Body::Prompt { text: prompt.text.clone() });
    let start = SystemTime::now();
    let mut turn = prompt_until_answered(run, &session, &prompt.text, progress).await?;
    // Attempts at which the model failed count as well.
    (turn.usage, turn.started_at) = (connection.usage(), start);
    if let Err(error) = source.sent(&prompt) {
        spool.notice(format!("the next turn gets the rules again: {error}"));
    }
    Ok((session.id().clone(), turn))
}

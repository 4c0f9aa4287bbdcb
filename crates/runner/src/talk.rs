//! The agent's part of a run: its program is started, its session opened, the task put to it, and everything it started
//! ended.

use std::fs;
use std::io;
use std::time::Duration;

use kugetsu_agent::{AgentError, Connection, EventStream, FirstStart, SessionId, Turn, Usage};
use kugetsu_api::record::Body;
use kugetsu_domain::text::with_hint;
use kugetsu_process::Tree;
use tokio::sync::Notify;

use super::listen::Listener;
use super::prompt_source::PromptSource;
use super::record;
use super::run_context::{Agent, AgentLaunch, RunContext, agent_stderr, tree_spec};
use super::verdict::End;
use super::watch::Watch;

/// Most bytes of the agent's standard error that are kept.
const STDERR_MAX: usize = 8 * 1024 * 1024;
/// How long an agent may take to obey a cancel.
const CANCEL: Duration = Duration::from_secs(3);
/// How long its processes may take to obey SIGTERM.
const GRACE: Duration = Duration::from_secs(3);

/// What came of the agent's part.
#[derive(Debug)]
pub(crate) struct Talk {
    /// How it ended.
    pub(crate) end: End,
    /// What it used.
    pub(crate) usage: Usage,
    /// The last words of its turn, masked: what it said after its last use of a tool.
    pub(crate) answer: String,
}

impl Talk {
    /// It did not come to a turn.
    pub(crate) fn ended(end: End) -> Self {
        Self { end, usage: Usage::default(), answer: String::new() }
    }

    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::ended(End::Failed(why.into()))
    }
}

/// Starts the agent, puts the task to it, and ends it with everything it started.
pub(crate) async fn talk(
    run: &RunContext,
    agent: &Agent,
    stage: &AgentLaunch,
    asked: &PromptSource<'_>,
    watch: &mut Watch,
) -> Talk {
    let notes = &stage.notes;
    let first = FirstStart::new(&agent.profile, &agent.program, notes);
    let first = match watch.unless_interrupted(first).await {
        Ok(Ok(first)) => first,
        Ok(Err(error)) => return Talk::failed(format!("{}: {error}", notes.display())),
        Err(end) => return Talk::ended(end),
    };
    run.spool.step(format!("starting {}", run.spec.agent.name));
    let mut tree = match start(run, stage, agent).await {
        Ok(tree) => tree,
        Err(why) => return Talk::failed(why),
    };
    let (Some(stdin), Some(stdout)) = (tree.stdin.take(), tree.stdout.take()) else {
        return Talk::failed("the agent's pipes are missing");
    };
    watch.clocks.heard();
    let mut talk = match watch.unless_interrupted(Connection::open(&agent.profile, stdin, stdout)).await {
        Ok(Ok((mut connection, events))) => {
            connection.offer_mcp_servers(stage.tools.clone());
            converse(run, stage, asked, watch, first, &connection, events).await
        }
        Ok(Err(error)) => Talk::failed(with_hint(&error, error.hint())),
        Err(end) => Talk::ended(end),
    };
    end(run, tree, &mut talk).await;
    if let End::Turn { turn, session } = &mut talk.end {
        record::check(run, stage, agent, session, turn).await;
        talk.usage = turn.usage;
    }
    talk
}

async fn start(run: &RunContext, stage: &AgentLaunch, agent: &Agent) -> Result<Tree, String> {
    let launch = agent.profile.launch(run.policy());
    let failed = |error: io::Error| format!("the agent could not be started: {error}");
    fs::create_dir_all(run.directory.temporary()).map_err(failed)?;
    let stderr = agent_stderr(run).map_err(failed)?;
    let spec = tree_spec(run, stage, agent, launch, stderr, STDERR_MAX)?;
    Tree::spawn(spec).await.map_err(|error| with_hint(&error, error.hint()))
}

/// Ends whatever is left of the agent, and says so if something would not end.
async fn end(run: &RunContext, tree: Tree, talk: &mut Talk) {
    let said = tree.stderr_tail();
    let ended = tree.end(GRACE).await;
    if !ended.survivors.is_empty() {
        run.spool.notice(format!("these processes would not end: {:?}", ended.survivors));
    }
    if let Some(trouble) = ended.problem {
        run.spool.notice(format!("ending the agent's processes: {trouble}"));
    }
    if let End::Failed(why) = &mut talk.end {
        if let Some(line) = said.lines().rev().find(|line| line.contains(char::is_alphanumeric)) {
            // Masked before it is cut: half a secret would not be known for one.
            let line: String = run.spool.mask(line).chars().filter(|c| !c.is_control()).take(300).collect();
            why.push_str(&format!("; it printed last: {line}"));
        }
        // It also stands in the rescue, which is no record.
        *why = run.spool.mask(why);
    }
}

async fn converse(
    run: &RunContext,
    stage: &AgentLaunch,
    asked: &PromptSource<'_>,
    watch: &mut Watch,
    first: Option<FirstStart>,
    connection: &Connection,
    mut events: EventStream,
) -> Talk {
    let mut listener = Listener::new(run.spool.clone(), run.policy());
    let opened = Notify::new();
    let driving = drive(run, stage, asked, first, connection, &opened);
    let mut driving = std::pin::pin!(driving);
    let mut listening = true;
    let end = loop {
        let due = listener.due();
        tokio::select! {
            turn = &mut driving => break match turn {
                Ok((session, turn)) => End::Turn { turn, session },
                Err(why) => End::Failed(why),
            },
            () = opened.notified() => watch.clocks.session_is_open(),
            event = events.next(), if listening => match event {
                Some(event) => {
                    watch.clocks.heard();
                    listener.take(event);
                }
                None => listening = false,
            },
            () = tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => {
                listener.write_due();
            },
            end = watch.interrupted() => {
                if !matches!(end, End::Superseded) {
                    cancel(connection, &mut driving, &mut events, &mut listener).await;
                }
                break end;
            }
        }
    };
    while let Some(event) = events.try_next() {
        listener.take(event);
    }
    listener.flush();
    Talk { end, usage: connection.usage(), answer: listener.last_words() }
}

/// Asks politely first: an agent that obeys writes down where it stopped, and its session can be gone on with.
async fn cancel(
    connection: &Connection,
    driving: &mut (impl Future<Output = Result<(SessionId, Turn), String>> + Unpin),
    events: &mut EventStream,
    listener: &mut Listener,
) {
    connection.cancel();
    let obeyed = async {
        loop {
            tokio::select! {
                _ = &mut *driving => return,
                event = events.next() => match event {
                    Some(event) => listener.take(event),
                    None => return,
                },
            }
        }
    };
    if tokio::time::timeout(CANCEL, obeyed).await.is_err() {
        tracing::info!("the agent did not obey the cancel in time; its processes are ended");
    }
}

/// Opens the session and puts the task to it.
async fn drive(
    run: &RunContext,
    stage: &AgentLaunch,
    asked: &PromptSource<'_>,
    first: Option<FirstStart>,
    connection: &Connection,
    opened: &Notify,
) -> Result<(SessionId, Turn), String> {
    let order = &run.spec;
    let directory = stage.directory.as_path();
    let mut hand_over = order.hand_over;
    let mut resumed = None;
    if let Some(id) = &order.session {
        let session = SessionId::new(id).map_err(|error| error.to_string())?;
        match connection.resume_session(&session, directory).await {
            Ok(session) => resumed = Some(session),
            Err(error @ (AgentError::SessionLost { .. } | AgentError::WrongDirectory { .. })) => {
                run.spool.notice(format!("{error}; a new session takes over"));
                run.spool.write(Body::SessionLost { session: id.clone() });
                hand_over = true;
            }
            Err(error) => return Err(with_hint(&error, error.hint())),
        }
    }
    let was_there = resumed.is_some();
    let mut session = match resumed {
        Some(session) => session,
        None => connection.new_session(directory).await.map_err(|error| with_hint(&error, error.hint()))?,
    };
    opened.notify_one();
    if let Some(first) = first
        && let Err(error) = first.done()
    {
        run.spool.notice(format!("the agent's next start will wait for others again: {error}"));
    }
    if let Some(model) = &order.model {
        session.set_model(model).await.map_err(|error| with_hint(&error, error.hint()))?;
    }
    let info = connection.info();
    run.spool.write(Body::Session {
        session: session.id().to_string(),
        resumed: was_there,
        agent: format!("{} {}", info.name, info.version),
        model: session.model().map(str::to_owned),
    });
    let prompt = match was_there {
        true => asked.again(run)?,
        false => asked.first(run, hand_over).await?,
    };
    run.spool.write(Body::Prompt { text: prompt.text.clone() });
    let turn = session.prompt(&prompt.text).await.map_err(|error| with_hint(&error, error.hint()))?;
    if let Err(error) = asked.was_taken(&prompt) {
        run.spool.notice(format!("the next turn is told the rules again: {error}"));
    }
    Ok((session.id().clone(), turn))
}

//! The agent's own record of its session. It corrects what the agent reported about the turn: how the last step ended, and
//! the usage of all steps.
//!
//! The running agent serves it, which costs nothing. Otherwise its program is started once more to export it. A record that
//! cannot be read either way leaves the end of the turn unchecked, and such a turn is not finished.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use kugetsu_api::regular_file;

use kugetsu_agent::{Launch, SessionExport, SessionId, Turn, read_live_record};
use kugetsu_process::Tree;
use tokio::time::{sleep, timeout};

use crate::control::interrupts::{Interruption, Interrupts};
use crate::network::spawn;
use crate::run_context::{Agent, AgentLaunch, LaunchError, RunContext, agent_stderr, tree_spec};
use crate::turn::complaint::complaint;

/// How long the running agent may take to serve the record.
const LIVE_LIMIT: Duration = Duration::from_secs(15);
/// The pause before something that failed is tried once more.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the agent may take to export the session.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// Bytes of the program's standard error that are kept.
const STDERR_MAX: usize = 64 * 1024;
/// How long its processes may take to obey SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("the agent did not export it within {} s", TIME_LIMIT.as_secs())]
    Timeout,
    #[error("the run was interrupted")]
    Interrupted(Interruption),
    #[error(transparent)]
    File(#[from] io::Error),
    /// The program's complaint, or why its output cannot be parsed.
    #[error("{0}")]
    Unreadable(String),
}

/// Reads the record from the running agent. Returns none if it cannot be read there, or not within the grace of a run that is
/// interrupted.
pub(crate) async fn of_running_agent(
    agent: &Agent,
    launch: &AgentLaunch,
    tree: &Tree,
    session: &SessionId,
    turn: &Turn,
    interrupts: &mut Interrupts,
) -> Option<SessionExport> {
    // Its port is in its own network, where this process cannot connect to it.
    if !agent.profile.serves_records() || launch.network.is_some() {
        return None;
    }
    let reading = async {
        let read = async || read_live_record(&tree.listening_ports(), session, turn.started_at).await;
        match read().await {
            Ok(record) => Some(record),
            // The end of the last step may not be stored yet.
            Err(error) => {
                tracing::debug!(%error, "reading the session's record once more");
                sleep(PAUSE).await;
                read().await.inspect_err(|error| tracing::info!(%error, "the agent has to export the session")).ok()
            }
        }
    };
    interrupts.with_grace(timeout(LIVE_LIMIT, reading)).await.ok()?.unwrap_or_default()
}

/// Corrects the turn by the record, if the agent has one. `live` is what the running agent served.
///
/// # Errors
/// The run was interrupted, and its grace ended before the record was read: how the turn ended is not known.
pub(crate) async fn check(
    run: &RunContext,
    launch: &AgentLaunch,
    agent: &Agent,
    session: &SessionId,
    turn: &mut Turn,
    live: Option<SessionExport>,
    interrupts: &mut Interrupts,
) -> Result<(), Interruption> {
    let Some(command) = agent.profile.export_session(session) else { return Ok(()) };
    let record = match live {
        Some(record) => Ok(record),
        None => export_twice(run, launch, agent, &command, interrupts).await,
    };
    match record {
        Ok(record) => turn.check(&record),
        Err(ExportError::Interrupted(interruption)) => return Err(interruption),
        Err(error) => turn.could_not_be_checked(&run.spool.mask(&error.to_string())),
    }
    Ok(())
}

async fn export_twice(
    run: &RunContext,
    launch: &AgentLaunch,
    agent: &Agent,
    command: &Launch,
    interrupts: &mut Interrupts,
) -> Result<SessionExport, ExportError> {
    match export(run, launch, agent, command.clone(), interrupts).await {
        Err(error @ ExportError::Interrupted(_)) => Err(error),
        Err(error) => {
            run.spool.notice(format!("could not read the agent's record of the session; trying again: {error}"));
            sleep(PAUSE).await;
            export(run, launch, agent, command.clone(), interrupts).await
        }
        record => record,
    }
}

/// Runs the agent's export command in the environment of the run. Its output is a file: the record of a long session has
/// hundreds of megabytes, and opencode loses what does not fit into a pipe.
async fn export(
    run: &RunContext,
    launch: &AgentLaunch,
    agent: &Agent,
    command: Launch,
    interrupts: &mut Interrupts,
) -> Result<SessionExport, ExportError> {
    // Not in the temporary directory, where the agent may have left a link of this name.
    let path = run.directory.session_record();
    let directory = Directory::new(run)?;
    let mut launch = AgentLaunch { directory: directory.0.clone(), ..launch.clone() };
    if let Some(sandbox) = &mut launch.sandbox {
        sandbox.files.readable.push(directory.0.clone());
    }
    let mut spec = tree_spec(run, &launch, agent, command, agent_stderr(run)?, STDERR_MAX)?;
    spec.stdout =
        Some(regular_file::open(OpenOptions::new().create(true).truncate(true).write(true).mode(0o600), &path)?);
    let (mut tree, _connections) = spawn(spec, launch.network.as_deref()).await.map_err(LaunchError::from)?;
    drop(tree.stdin.take());
    let ended = interrupts.with_grace(timeout(TIME_LIMIT, tree.wait())).await;
    let stderr_tail = tree.stderr_tail();
    tree.end(GRACE).await;
    let status = ended.map_err(ExportError::Interrupted)?.map_err(|_| ExportError::Timeout)??;
    let record = SessionExport::read(regular_file::open_to_read(&path)?).map_err(|error| error.to_string());
    // The file is removed with the run's directory at the latest.
    let _ = fs::remove_file(&path);
    match (status.success(), record) {
        (true, Ok(record)) => Ok(record),
        (true, Err(error)) => Err(ExportError::Unreadable(error)),
        (false, _) => Err(ExportError::Unreadable(complaint(&stderr_tail).unwrap_or_else(|| status.to_string()))),
    }
}

/// The working directory of the export: an empty one, because the program would run plugins that the agent left in the
/// worktree.
struct Directory(PathBuf);

impl Directory {
    fn new(run: &RunContext) -> io::Result<Self> {
        let path = run.directory.empty();
        // Of an attempt that was cut off.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It is removed with the run's directory at the latest.
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! The agent's own record of its session. It corrects what the agent reported about the turn: how the last step ended, and
//! the usage of all steps.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use kugetsu_agent::{Launch, SessionExport, SessionId, Turn};
use kugetsu_process::Tree;
use tokio::io::AsyncReadExt;

use crate::run_context::{Agent, AgentLaunch, LaunchError, RunContext, agent_stderr, tree_spec};

/// How long the agent may take to print the session.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// Bytes of an export that are read: a session of weeks.
const LENGTH_MAX: u64 = 1 << 30;
/// Bytes of the program's standard error that are kept.
const STDERR_MAX: usize = 64 * 1024;
/// How long its processes may take to obey SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("the agent did not print it within {} s", TIME_LIMIT.as_secs())]
    Timeout,
    #[error(transparent)]
    File(#[from] io::Error),
    /// The program's last line on standard error, or why its output cannot be parsed.
    #[error("{0}")]
    Unreadable(String),
}

/// Corrects the turn, if the agent can export its sessions.
pub(crate) async fn check(run: &RunContext, launch: &AgentLaunch, agent: &Agent, session: &SessionId, turn: &mut Turn) {
    let Some(command) = agent.profile.export_session(session) else { return };
    match export(run, launch, agent, command).await {
        Ok(export) => turn.check(&export),
        Err(error) => run.spool.notice(format!("could not read the agent's own record of the session: {error}")),
    }
}

/// Runs the agent's export command in the environment of the run, with its output in a file: the export of a long session has
/// hundreds of megabytes.
async fn export(
    run: &RunContext,
    launch: &AgentLaunch,
    agent: &Agent,
    command: Launch,
) -> Result<SessionExport, ExportError> {
    // Not in the temporary directory, where the agent may have left a link of this name.
    let path = run.directory.session_record();
    let stderr = agent_stderr(run)?;
    let spec = tree_spec(run, launch, agent, command, stderr, STDERR_MAX)?;
    let mut tree = Tree::spawn(spec).await.map_err(LaunchError::from)?;
    drop(tree.stdin.take());
    let printing = async {
        let mut stdout = tree.stdout.take().ok_or_else(|| io::Error::other("its pipe is missing"))?.take(LENGTH_MAX);
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
        tokio::io::copy(&mut stdout, &mut tokio::fs::File::from_std(file)).await
    };
    let printed = tokio::time::timeout(TIME_LIMIT, printing).await;
    let stderr_tail = tree.stderr_tail();
    let exit = tree.end(GRACE).await;
    printed.map_err(|_| ExportError::Timeout)??;
    let export = SessionExport::read(File::open(&path)?).map_err(|error| {
        let has_failed = exit.status.is_none_or(|status| !status.success());
        ExportError::Unreadable(match stderr_tail.lines().last() {
            Some(line) if has_failed => line.chars().take(300).collect(),
            _ => error.to_string(),
        })
    });
    // The file is removed with the run's directory at the latest.
    let _ = std::fs::remove_file(&path);
    export
}

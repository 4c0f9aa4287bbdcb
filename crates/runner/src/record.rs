//! What the agent has written down of its turn, which corrects what it said: how the last step ended, and what all of
//! them used.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use kugetsu_agent::{Launch, SessionExport, SessionId, Turn};
use kugetsu_process::Tree;
use tokio::io::AsyncReadExt;

use super::run_context::{Agent, AgentLaunch, RunContext, agent_stderr, tree_spec};

/// How long the agent may take to print its record.
const LIMIT: Duration = Duration::from_secs(120);
/// Longest record, in bytes: a session of weeks. What is longer is not read.
const LENGTH_MAX: u64 = 1 << 30;
/// What the program prints besides.
const STDERR_MAX: usize = 64 * 1024;
/// How long its processes may take to obey SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// Corrects the turn, if the agent keeps a record that can be read.
pub(crate) async fn check(run: &RunContext, stage: &AgentLaunch, agent: &Agent, session: &SessionId, turn: &mut Turn) {
    let Some(launch) = agent.profile.export_session(session) else { return };
    match read(run, stage, agent, launch).await {
        Ok(record) => turn.check(&record),
        Err(why) => run.spool.notice(format!("the agent's own record of the session could not be read: {why}")),
    }
}

async fn read(run: &RunContext, stage: &AgentLaunch, agent: &Agent, launch: Launch) -> Result<SessionExport, String> {
    // Not in the temporary directory: what the agent leaves there may be a link.
    let path = run.directory.session_record();
    let stderr = agent_stderr(run).map_err(|error| error.to_string())?;
    let spec = tree_spec(run, stage, agent, launch, stderr, STDERR_MAX)?;
    let mut tree = Tree::spawn(spec).await.map_err(|error| error.to_string())?;
    drop(tree.stdin.take());
    let printed = async {
        let mut stdout = tree.stdout.take().ok_or_else(|| io::Error::other("its pipe is missing"))?.take(LENGTH_MAX);
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
        tokio::io::copy(&mut stdout, &mut tokio::fs::File::from_std(file)).await
    };
    // A file and not memory: a long session's record has hundreds of megabytes.
    let printed = tokio::time::timeout(LIMIT, printed).await;
    let said = tree.stderr_tail();
    let ended = tree.end(GRACE).await;
    match printed {
        Err(_) => return Err(format!("it was not printed within {} s", LIMIT.as_secs())),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(_)) => {}
    }
    let read = File::open(&path).map_err(|error| error.to_string()).and_then(|file| {
        SessionExport::read(file).map_err(|error| match said.lines().last() {
            Some(line) if ended.status.is_none_or(|status| !status.success()) => line.chars().take(300).collect(),
            _ => error.to_string(),
        })
    });
    // It is of no use any more; the run's directory goes with the run's history in any case.
    let _ = std::fs::remove_file(&path);
    read
}

//! Runs the commands that check finished work, in the worktree at the head that was pushed.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use kugetsu_api::record::Body;
use kugetsu_domain::text::counted;
use kugetsu_domain::watch::quote::excerpt;
use kugetsu_git::names::Oid;
use kugetsu_git::worktree::StatusError;
use kugetsu_process::{Tracking, Tree, TreeSpec};
use tokio::io::AsyncReadExt;

use super::files::Files;
use super::sandboxed::{Confinement, IssueSandbox};
use crate::control::interrupts::{Interruption, Interrupts};
use crate::exit_status::is_kill;
use crate::network::spawn;
use crate::resources::resource_watch::ResourceWatch;
use crate::run_context::{Agent, RunContext, agent_stderr, base_environment, marker, override_variables, tree_limits};

/// Bytes of a command's output that are kept, from its end.
const OUTPUT_MAX: usize = 512 * 1024;
/// How long the processes of a command may take to end after it.
const GRACE: Duration = Duration::from_secs(2);
/// Files that are named.
const LISTED: usize = 5;

/// Runs the commands in their order up to the first that fails, and records each result: a check that was not made is in no
/// record. The worktree has no uncommitted files before.
pub(super) async fn verify(
    commands: &[Vec<String>],
    head: &Oid,
    files: &Files,
    sandbox: &IssueSandbox<'_>,
    run: &RunContext,
    interrupts: &mut Interrupts,
) -> Result<(), Interruption> {
    let confinement = of_the_agent(sandbox, run).await;
    for command in commands {
        let text = command.join(" ");
        run.spool.step(format!("verifying {} with `{text}`", head.short()));
        let checked = interrupts.unless_interrupted(check(command, files, run, &confinement)).await?;
        let (passed, output) = match checked {
            Ok(output) if output.passed => match changed_files(files).await {
                Ok(None) => (true, String::new()),
                Ok(Some(changed)) => (false, changed),
                Err(error) => (false, format!("what it changed could not be found out: {error}")),
            },
            Ok(output) => (false, output.to_string()),
            Err(error) => (false, format!("it could not be run: {error}")),
        };
        let output = excerpt(&output);
        run.spool.write(Body::Verified { command: text, head_sha: head.to_string(), passed, output });
        if !passed {
            break;
        }
    }
    Ok(())
}

/// The commands run what the agent wrote, so they get its sandbox.
///
/// # Errors
/// The run needs one, and it cannot be built.
async fn of_the_agent(sandbox: &IssueSandbox<'_>, run: &RunContext) -> Result<Confinement, String> {
    let agent = Agent::of(run).map_err(|error| error.to_string())?;
    sandbox.of(&agent).await.map_err(|reason| reason.text)
}

/// Says which files are not as in the head any more: then the check was of something else.
async fn changed_files(files: &Files) -> Result<Option<String>, StatusError> {
    let status = files.worktree.status(files.base.as_ref()).await?;
    if status.uncommitted_total == 0 {
        return Ok(None);
    }
    let names: Vec<String> = status.uncommitted.iter().take(LISTED).map(ToString::to_string).collect();
    Ok(Some(format!(
        "it passed, but it changed {} that git does not ignore: {}; commit them, or let git ignore them",
        counted(status.uncommitted_total as u64, "file"),
        names.join(", ")
    )))
}

/// How a command ended.
struct Output {
    passed: bool,
    end: String,
    stdout: Vec<u8>,
    stderr: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        writeln!(f, "{}\n{}\n{}", stdout.trim_end(), self.stderr.trim_end(), self.end)
    }
}

async fn check(
    command: &[String],
    files: &Files,
    run: &RunContext,
    confinement: &Result<Confinement, String>,
) -> io::Result<Output> {
    let Some((program, args)) = command.split_first() else {
        return Err(io::Error::other("the command is empty"));
    };
    let Confinement { sandbox, network } = confinement.clone().map_err(io::Error::other)?;
    let mut env = base_environment(run);
    override_variables(&mut env, network.iter().flat_map(|network| network.env().iter().cloned()));
    let spec = TreeSpec {
        program: program.into(),
        args: args.iter().map(OsString::from).collect(),
        cwd: files.worktree.dir().to_owned(),
        env,
        marker: marker(run).map_err(io::Error::other)?,
        stdout: None,
        stderr: agent_stderr(run)?,
        stderr_max: OUTPUT_MAX,
        stderr_filter: None,
        tracking: Tracking::CgroupV2,
        sandbox,
        limits: tree_limits(run),
    };
    let (mut tree, _connections) = spawn(spec, network.as_deref()).await.map_err(io::Error::other)?;
    let growing = [files.worktree.dir(), files.worktree.relay()].map(Path::to_owned);
    let growing = growing.into_iter().chain([run.directory.temporary()]).collect();
    let mut resources = ResourceWatch::start(run, &tree, growing);
    tree.stdin = None;
    let mut stdout = Vec::new();
    let ended = tokio::select! {
        status = read_to_end(&mut tree, &mut stdout) => Ok(status?),
        exceeded = resources.exceeded() => Err(exceeded),
    };
    let (passed, mut end) = match ended {
        Ok(status) => (status.success(), status.to_string()),
        Err(exceeded) => (false, exceeded.to_string()),
    };
    if let Ok(status) = ended
        && !passed
        && let Some(exceeded) = resources.why_ended(is_kill(status)).await
    {
        end = format!("{status}; {exceeded}");
    }
    let stderr = tree.stderr_tail();
    tree.end(GRACE).await;
    Ok(Output { passed, end, stdout, stderr })
}

/// Reads the output of the command until it has ended. Its end counts, not that of what it leaves behind with its output open.
async fn read_to_end(tree: &mut Tree, output: &mut Vec<u8>) -> io::Result<ExitStatus> {
    let Some(mut pipe) = tree.stdout.take() else { return tree.wait().await };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            biased;
            read = pipe.read(&mut buffer) => match read? {
                0 => return tree.wait().await,
                length => keep(output, &buffer[..length]),
            },
            status = tree.wait() => return status,
        }
    }
}

/// Keeps the last [`OUTPUT_MAX`] bytes.
fn keep(output: &mut Vec<u8>, bytes: &[u8]) {
    output.extend_from_slice(bytes);
    // Twice as much is moved rarely.
    if output.len() > 2 * OUTPUT_MAX {
        output.drain(..output.len() - OUTPUT_MAX);
    }
}

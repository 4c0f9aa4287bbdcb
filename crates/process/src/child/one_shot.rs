//! A child that is started, fed, read and ended in one call.
//!
//! It runs in a session of its own, so it cannot prompt on the caller's terminal, and nothing that stays in its process
//! group outlives the call. An agent's tools leave the group; for an agent see [`Tree`](crate::Tree).

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::timeout;

use super::group::{Child, Pipes};
use super::pre_exec;
use super::program::RunError;
use super::pump::{Head, Lines, Tail, drain, feed};

const STDOUT_MAX: usize = 16 * 1024 * 1024;
const STDERR_TAIL: usize = 64 * 1024;
/// Grace period between SIGTERM and SIGKILL after the time limit; git removes its lock files in this time.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// How long a process that the child left behind may keep the pipes open.
const PIPE_GRACE: Duration = Duration::from_secs(2);

/// A program to run to its end.
#[derive(Clone)]
pub struct OneShot {
    /// A path, or a name that is looked up on the child's `PATH`.
    pub program: OsString,
    /// The arguments, without the program's name.
    pub args: Vec<OsString>,
    /// Working directory; `None` is the caller's.
    pub cwd: Option<PathBuf>,
    /// Changes to the inherited environment; `None` removes a variable.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Bytes for its stdin; `None` is `/dev/null`. The caller's stdin is never inherited.
    pub stdin: Option<Vec<u8>>,
    /// Bytes of stdout to keep, 16 MiB by default. Output beyond them is read and discarded.
    pub stdout_max: usize,
    /// Longest time from start to end. After it the group gets SIGTERM, and two seconds later SIGKILL.
    pub time_limit: Option<Duration>,
}

impl OneShot {
    /// Creates a run of `program` without arguments, in the caller's directory and environment, without a time limit.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            cwd: None,
            env: Vec::new(),
            stdin: None,
            stdout_max: STDOUT_MAX,
            time_limit: None,
        }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    #[must_use]
    pub fn without_env(mut self, name: impl Into<OsString>) -> Self {
        self.env.push((name.into(), None));
        self
    }

    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    #[must_use]
    pub fn stdout_max(mut self, bytes: usize) -> Self {
        self.stdout_max = bytes;
        self
    }

    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        pre_exec::isolate(&mut command);
        command
    }
}

/// Shows names of variables and the size of stdin only, because the values may be secrets. Arguments are visible to every
/// user of the machine anyway.
impl fmt::Debug for OneShot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("OneShot")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("cwd", &self.cwd)
            .field("env", &names)
            .field("stdin", &self.stdin.as_ref().map(Vec::len))
            .field("stdout_max", &self.stdout_max)
            .field("time_limit", &self.time_limit)
            .finish()
    }
}

/// A [`OneShot`] that has ended.
#[derive(Debug, Clone)]
pub struct Completed {
    pub status: ExitStatus,
    /// The first [`OneShot::stdout_max`] bytes of its stdout.
    pub stdout: Vec<u8>,
    /// Whether it wrote more than that.
    pub stdout_truncated: bool,
    /// The last 64 KiB of its stderr.
    pub stderr: Vec<u8>,
}

/// Runs a child to its end and returns what it wrote.
///
/// When the call returns, or its future is dropped, no process of the child's group stays alive. A dropped future sends
/// SIGTERM at once and SIGKILL a second later.
pub async fn run(one_shot: OneShot) -> Result<Completed, RunError> {
    run_watched(one_shot, |_| ()).await
}

/// Like [`run`], and passes every line of stderr to `on_stderr_line` as it arrives, which shows git's progress. Lines end
/// at `\n` or `\r`, are passed without it, and are truncated to 8 KiB.
pub async fn run_watched(one_shot: OneShot, on_stderr_line: impl FnMut(&[u8]) + Send) -> Result<Completed, RunError> {
    let child = Child::spawn(&mut one_shot.command())
        .map_err(|error| RunError::of(&one_shot.program, one_shot.cwd.as_deref(), error))?;
    let program = one_shot.program.clone();
    complete(child, one_shot, on_stderr_line).await.map_err(|source| RunError::Io { program, source })?
}

async fn complete(
    mut child: Child,
    one_shot: OneShot,
    mut on_stderr_line: impl FnMut(&[u8]) + Send,
) -> io::Result<Result<Completed, RunError>> {
    let Pipes { stdin, stdout, stderr } = child.pipes()?;
    let (mut head, mut tail, mut lines) = (Head::new(one_shot.stdout_max), Tail::new(STDERR_TAIL), Lines::default());
    let in_time = {
        let pump = pin!(async {
            tokio::try_join!(
                feed(stdin, one_shot.stdin.unwrap_or_default()),
                drain(stdout, |bytes| head.push(bytes)),
                drain(stderr, |bytes| {
                    tail.push(bytes);
                    lines.push(bytes, &mut on_stderr_line);
                }),
            )
            .map(|_| ())
        });
        end_with_pipes(&mut child, pump, one_shot.time_limit).await?
    };
    lines.finish(&mut on_stderr_line);
    let status = child.reap()?;
    if in_time {
        return Ok(Ok(Completed {
            status,
            stdout: head.bytes,
            stdout_truncated: head.truncated,
            stderr: tail.bytes(),
        }));
    }
    let after = one_shot.time_limit.unwrap_or_default();
    Ok(Err(RunError::TimedOut { program: one_shot.program, after, stderr: tail.bytes() }))
}

/// Waits for the child, kills what is left of its group, and reads its pipes to the end. Returns whether it ended by
/// itself within the limit.
///
/// Two things can be late: the child, and its pipes, which a process that it left behind may hold open. Killing the group
/// closes the pipes, except where that process has left the group too; such a process is not waited for.
async fn end_with_pipes(
    child: &mut Child,
    mut pump: Pin<&mut impl Future<Output = io::Result<()>>>,
    limit: Option<Duration>,
) -> io::Result<bool> {
    let mut pumped = None;
    let undisturbed = async {
        tokio::select! {
            ended = child.ended() => ended,
            result = &mut pump => {
                let failed = result.is_err();
                pumped = Some(result);
                // A child whose pipes are no longer read could block in a write for ever, so it is ended below.
                if failed { Ok(()) } else { child.ended().await }
            }
        }
    };
    let in_time = match limit {
        Some(limit) => timeout(limit, undisturbed).await.ok(),
        None => Some(undisturbed.await),
    };
    if in_time.is_none() {
        child.signal_group(Signal::SIGTERM);
        // SIGKILL follows in any case.
        let _ = timeout(TERM_GRACE, child.ended()).await;
    } else if pumped.is_none() {
        pumped = timeout(PIPE_GRACE, &mut pump).await.ok();
    }
    // The child is not reaped yet, so the group's id cannot belong to another group.
    child.signal_group(Signal::SIGKILL);
    child.ended().await?;
    if pumped.is_none() {
        pumped = timeout(PIPE_GRACE, &mut pump).await.ok();
    }
    pumped.transpose()?;
    Ok(in_time.transpose()?.is_some())
}

//! A short child: started, fed, read and ended in one call.
//!
//! It runs in a session of its own, so it cannot ask on the caller's terminal, and nothing that stays in its process
//! group outlives the call. For an agent, whose tools leave the group, see [`crate::tree`].

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::timeout;

use crate::child::{Child, Pipes};
use crate::error::RunError;
use crate::pre_exec;
use crate::pump::{Head, Lines, Tail, drain, feed};

const STDOUT_MAX: usize = 16 * 1024 * 1024;
const STDERR_TAIL: usize = 64 * 1024;
/// How long a group may take to obey SIGTERM after the time limit; git removes its lock files in this time.
const PARTING: Duration = Duration::from_secs(2);
/// How long a process that the child left behind may keep the pipes open.
const PIPES: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Clone)]
pub struct OneShot {
    /// The program: a path, or a name that is looked up on the child's `PATH`.
    pub program: OsString,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
    /// Where it runs; `None` is the caller's directory.
    pub cwd: Option<PathBuf>,
    /// Changes to the inherited environment; `None` removes a variable.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Bytes for its stdin; `None` is `/dev/null`. Never the caller's stdin.
    pub stdin: Option<Vec<u8>>,
    /// Bytes of stdout that are kept (16 MiB unless set); what comes after them is read and left out.
    pub stdout_max: usize,
    /// From start to end. After it the group gets SIGTERM, and SIGKILL two seconds later. `None`: no limit.
    pub time_limit: Option<Duration>,
}

impl OneShot {
    /// `program` without arguments, in the caller's directory and environment, without a time limit.
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

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs it in `cwd`.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Removes a variable.
    #[must_use]
    pub fn without_env(mut self, name: impl Into<OsString>) -> Self {
        self.env.push((name.into(), None));
        self
    }

    /// Gives it `bytes` on stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Keeps at most `bytes` of stdout.
    #[must_use]
    pub fn stdout_max(mut self, bytes: usize) -> Self {
        self.stdout_max = bytes;
        self
    }

    /// Ends it after `limit`.
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

/// Values of variables and stdin may be secrets: only names and sizes are shown. Arguments are visible to every user
/// of the machine anyway.
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

/// What a short child left.
#[derive(Debug, Clone)]
pub struct Completed {
    /// How it ended. A failure of the program is not a [`RunError`].
    pub status: ExitStatus,
    /// The first [`OneShot::stdout_max`] bytes of its stdout.
    pub stdout: Vec<u8>,
    /// There was more.
    pub stdout_truncated: bool,
    /// The last 64 KiB of its stderr.
    pub stderr: Vec<u8>,
}

/// Runs a short child to its end and takes what it wrote.
///
/// When the call returns, or its future is dropped, nothing of the child's process group goes on: what the child left
/// behind in its group is killed too. A dropped call sends SIGTERM at once and SIGKILL a second later.
///
/// # Errors
/// [`RunError`], when the child could not be started or did not end in time. An exit status other than 0 is none.
pub async fn run(short: OneShot) -> Result<Completed, RunError> {
    run_watched(short, |_| ()).await
}

/// As [`run`], but hands every line of stderr to `on_stderr_line` as it comes: for git's progress. Lines end at `\n` or
/// `\r`, come without it, and are cut after 8 KiB.
///
/// # Errors
/// As [`run`].
pub async fn run_watched(short: OneShot, on_stderr_line: impl FnMut(&[u8]) + Send) -> Result<Completed, RunError> {
    let child = Child::spawn(&mut short.command())
        .map_err(|error| RunError::of(&short.program, short.cwd.as_deref(), error))?;
    let program = short.program.clone();
    see_through(child, short, on_stderr_line).await.map_err(|source| RunError::Io { program, source })?
}

async fn see_through(
    mut child: Child,
    short: OneShot,
    mut on_stderr_line: impl FnMut(&[u8]) + Send,
) -> io::Result<Result<Completed, RunError>> {
    let Pipes { stdin, stdout, stderr } = child.pipes()?;
    let (mut head, mut tail, mut lines) = (Head::new(short.stdout_max), Tail::new(STDERR_TAIL), Lines::default());
    let in_time = {
        let pump = pin!(async {
            tokio::try_join!(
                feed(stdin, short.stdin.unwrap_or_default()),
                drain(stdout, |bytes| head.push(bytes)),
                drain(stderr, |bytes| {
                    tail.push(bytes);
                    lines.push(bytes, &mut on_stderr_line);
                }),
            )
            .map(|_| ())
        });
        end_with_pipes(&mut child, pump, short.time_limit).await?
    };
    lines.finish(&mut on_stderr_line);
    let status = child.reap()?;
    if in_time {
        return Ok(Ok(Completed { status, stdout: head.bytes, stdout_truncated: head.cut, stderr: tail.bytes() }));
    }
    let after = short.time_limit.unwrap_or_default();
    Ok(Err(RunError::TimedOut { program: short.program, after, stderr: tail.bytes() }))
}

/// Until the child has ended, its group is killed and its pipes are read. Says whether it ended by itself in time.
async fn end_with_pipes(
    child: &mut Child,
    mut pump: Pin<&mut impl Future<Output = io::Result<()>>>,
    limit: Option<Duration>,
) -> io::Result<bool> {
    let mut pumped = None;
    let by_itself = async {
        tokio::select! {
            ended = child.ended() => ended,
            answer = &mut pump => {
                let failed = answer.is_err();
                pumped = Some(answer);
                // Unread pipes would keep the child for ever.
                if failed { Ok(()) } else { child.ended().await }
            }
        }
    };
    let in_time = match limit {
        Some(limit) => timeout(limit, by_itself).await.ok(),
        None => Some(by_itself.await),
    };
    if in_time.is_none() {
        child.signal_group(Signal::SIGTERM);
        // Obeyed or not: SIGKILL follows.
        let _ = timeout(PARTING, child.ended()).await;
    } else if pumped.is_none() {
        // Somebody may hold the pipes although the child has ended.
        pumped = timeout(PIPES, &mut pump).await.ok();
    }
    // While the child is not reaped its group's number belongs to nobody else.
    child.signal_group(Signal::SIGKILL);
    child.ended().await?;
    if pumped.is_none() {
        // Killed holders have closed the pipes; one that left the group keeps them, and is not waited for.
        pumped = timeout(PIPES, &mut pump).await.ok();
    }
    pumped.transpose()?;
    Ok(in_time.transpose()?.is_some())
}

//! A child that leads its own process group. Waiting for it and reaping it are separate steps: until the child is reaped,
//! the kernel does not reuse its pid, so the whole group can still be signaled safely.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use super::registry;

/// Grace period between SIGTERM and SIGKILL for the group of a dropped child.
const DROP_GRACE: Duration = Duration::from_secs(1);
/// Interval for checks without a SIGCHLD, in case a parent of this process left that signal blocked.
const RECHECK: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(5);

#[derive(Default)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
}

/// Dropping it ends the group and reaps the child, in the background.
pub(crate) struct Child {
    /// `None` once reaped.
    inner: Option<std::process::Child>,
    pid: Pid,
    child_exits: SignalStream,
}

impl Child {
    /// Starts `command`, which must have been passed to [`isolate`](super::pre_exec::isolate), so that the child's pid is
    /// also its group's id.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        // Subscribe first: a child that ends at once must not be missed.
        let child_exits = signal(SignalKind::child())?;
        let (inner, pid) = registry::lock().spawn(command)?;
        Ok(Self { inner: Some(inner), pid, child_exits })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Takes the pipes that the command requested. Later calls return none.
    pub(crate) fn pipes(&mut self) -> io::Result<Pipes> {
        let Some(inner) = &mut self.inner else { return Ok(Pipes::default()) };
        Ok(Pipes {
            stdin: inner.stdin.take().map(ChildStdin::from_std).transpose()?,
            stdout: inner.stdout.take().map(ChildStdout::from_std).transpose()?,
            stderr: inner.stderr.take().map(ChildStderr::from_std).transpose()?,
        })
    }

    /// Waits until the child has ended, without reaping it. Cancel safe.
    pub(crate) async fn ended(&mut self) -> io::Result<()> {
        while !has_ended(self.pid)? {
            // A timeout and a signal lead to the same: the loop checks again.
            let _ = tokio::time::timeout(RECHECK, self.child_exits.recv()).await;
        }
        Ok(())
    }

    /// Signals the whole group. Does nothing after [`reap`](Self::reap).
    pub(crate) fn signal_group(&self, signal: Signal) {
        if self.inner.is_some() {
            signal_group(self.pid, signal);
        }
    }

    /// Takes the exit status. The child must have [`ended`](Self::ended).
    pub(crate) fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = match &mut self.inner {
            Some(inner) => registry::lock().try_reap(inner)?,
            None => None,
        };
        let status = status.ok_or_else(|| io::Error::other("the child is still running, or was reaped before"))?;
        self.inner = None;
        Ok(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let pid = self.pid;
        signal_group(pid, Signal::SIGTERM);
        // `drop` cannot wait, and a git that is killed at once leaves its lock files behind. So a thread waits.
        let inner = Arc::new(Mutex::new(inner));
        let shared = Arc::clone(&inner);
        let thread = std::thread::Builder::new().name("end-child".to_owned());
        if thread.spawn(move || end_group(pid, &shared, DROP_GRACE)).is_err() {
            end_group(pid, &inner, Duration::ZERO);
        }
    }
}

/// Waits up to `grace` for the child to end, then kills its group and reaps it.
fn end_group(pid: Pid, child: &Mutex<std::process::Child>, grace: Duration) {
    let deadline = Instant::now() + grace;
    while matches!(has_ended(pid), Ok(false)) && Instant::now() < deadline {
        std::thread::sleep(POLL);
    }
    signal_group(pid, Signal::SIGKILL);
    while matches!(has_ended(pid), Ok(false)) {
        std::thread::sleep(POLL);
    }
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = registry::lock().try_reap(&mut child) {
        tracing::debug!(pid = pid.as_raw(), %error, "could not reap a dropped child");
    }
}

fn signal_group(group: Pid, signal: Signal) {
    // ESRCH: the group is gone, which is what we want. EPERM: only processes of another user are left (a setuid tool).
    if let Err(error) = killpg(group, signal)
        && error != Errno::ESRCH
    {
        tracing::debug!(group = group.as_raw(), %signal, %error, "could not signal a process group");
    }
    if signal == Signal::SIGTERM {
        // A stopped process handles SIGTERM only after it is continued.
        let _ = killpg(group, Signal::SIGCONT);
    }
}

/// Returns whether a child has ended, without reaping it.
fn has_ended(pid: Pid) -> io::Result<bool> {
    loop {
        // SAFETY: `info` is plain memory that the call fills; all zeros are a valid value.
        let (status, ended) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            let status = libc::waitid(libc::P_PID, pid.as_raw().cast_unsigned(), &raw mut info, flags);
            (status, info.si_pid() == pid.as_raw())
        };
        match Errno::result(status) {
            Ok(_) => return Ok(ended),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Runs a command that takes some milliseconds, for callers without a runtime.
pub(crate) fn run_blocking(command: &mut Command) -> io::Result<ExitStatus> {
    let (mut inner, pid) = registry::lock().spawn(command)?;
    while !has_ended(pid)? {
        std::thread::sleep(Duration::from_millis(1));
    }
    registry::lock().try_reap(&mut inner)?.ok_or_else(|| io::Error::other("the child has ended without an exit status"))
}

//! One child of ours and its process group: awaited without being reaped, so that its group can still be signalled by a
//! number that nobody else can have got meanwhile.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use crate::child_registry;

/// How long a group may take to obey SIGTERM when nobody waits for it any more.
const PARTING: Duration = Duration::from_secs(1);
/// Heals a SIGCHLD that never comes, as when a parent of ours left it blocked.
const HEAL: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
}

/// Ends its group and is reaped when dropped.
pub(crate) struct Child {
    /// `None` once reaped.
    inner: Option<std::process::Child>,
    pid: Pid,
    ends: Signals,
}

impl Child {
    /// Starts `command`, which must have been given to [`crate::pre_exec::isolate`]: the group number is the child's pid.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        // Before the start: an end that comes at once must not be missed.
        let ends = signal(SignalKind::child())?;
        let (inner, pid) = child_registry::lock().spawn(command)?;
        Ok(Self { inner: Some(inner), pid, ends })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// The ends of its pipes, those there are. To be taken once.
    pub(crate) fn pipes(&mut self) -> io::Result<Pipes> {
        let Some(inner) = &mut self.inner else { return Ok(Pipes::default()) };
        Ok(Pipes {
            stdin: inner.stdin.take().map(ChildStdin::from_std).transpose()?,
            stdout: inner.stdout.take().map(ChildStdout::from_std).transpose()?,
            stderr: inner.stderr.take().map(ChildStderr::from_std).transpose()?,
        })
    }

    /// Waits until the child has ended, and leaves it to be reaped. Cancel safe.
    pub(crate) async fn ended(&mut self) -> io::Result<()> {
        while !has_ended(self.pid)? {
            // Time may be out, or the signal may have come: the next look tells.
            let _ = tokio::time::timeout(HEAL, self.ends.recv()).await;
        }
        Ok(())
    }

    /// Signals the whole group. Only meaningful until [`Child::reap`].
    pub(crate) fn signal_group(&self, signal: Signal) {
        if self.inner.is_some() {
            signal_group(self.pid, signal);
        }
    }

    /// Takes the exit status of a child that has [`ended`](Child::ended).
    pub(crate) fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = match &mut self.inner {
            Some(inner) => child_registry::lock().try_reap(inner)?,
            None => None,
        };
        let status = status.ok_or_else(|| io::Error::other("asked for the exit status of a child that still runs"))?;
        self.inner = None;
        Ok(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let pid = self.pid;
        signal_group(pid, Signal::SIGTERM);
        // A dropped future cannot wait, and a killed git would leave its lock files: so the waiting moves to a thread.
        let inner = Arc::new(Mutex::new(inner));
        let theirs = Arc::clone(&inner);
        let waiting = std::thread::Builder::new().name("parting".to_owned()).spawn(move || part(pid, &theirs, PARTING));
        if waiting.is_err() {
            part(pid, &inner, Duration::ZERO);
        }
    }
}

/// Waits for the child to obey, kills its group, reaps it.
fn part(pid: Pid, child: &Mutex<std::process::Child>, patience: Duration) {
    let until = Instant::now() + patience;
    while matches!(has_ended(pid), Ok(false)) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    signal_group(pid, Signal::SIGKILL);
    while matches!(has_ended(pid), Ok(false)) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = child_registry::lock().try_reap(&mut child) {
        tracing::debug!(pid = pid.as_raw(), %error, "could not reap a child that was let go");
    }
}

fn signal_group(group: Pid, signal: Signal) {
    // A group that is gone already is what we want. EPERM: only processes of another user are left (a setuid tool).
    if let Err(error) = killpg(group, signal)
        && error != Errno::ESRCH
    {
        tracing::debug!(group = group.as_raw(), %signal, %error, "could not signal a process group");
    }
    if signal == Signal::SIGTERM {
        // A stopped process obeys only when it goes on.
        let _ = killpg(group, Signal::SIGCONT);
    }
}

/// Whether our child has ended; does not reap it.
fn has_ended(pid: Pid) -> io::Result<bool> {
    loop {
        // SAFETY: `info` is plain memory that the call fills; zero is a valid value of it.
        let (answer, ended) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            let answer = libc::waitid(libc::P_PID, pid.as_raw().cast_unsigned(), &raw mut info, flags);
            (answer, info.si_pid() == pid.as_raw())
        };
        match Errno::result(answer) {
            Ok(_) => return Ok(ended),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Runs a command of a few milliseconds, for a caller without a runtime.
pub(crate) fn run_blocking(command: &mut Command) -> io::Result<ExitStatus> {
    let (mut inner, pid) = child_registry::lock().spawn(command)?;
    while !has_ended(pid)? {
        std::thread::sleep(Duration::from_millis(1));
    }
    child_registry::lock().try_reap(&mut inner)?.ok_or_else(|| io::Error::other("an ended child has no exit status"))
}

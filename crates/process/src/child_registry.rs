//! The children this process started itself, as opposed to orphans it was given.
//!
//! A process that adopts orphans must reap them, but never a child that somebody here is waiting for. Both happen under
//! one lock, so a child is known before it can end and forgotten only once it is reaped.

use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

#[cfg(target_os = "linux")]
use crate::linux as os;
#[cfg(not(target_os = "linux"))]
use crate::unix as os;

static REGISTRY: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Nobody can start or reap an own child while this is held.
pub(crate) struct ChildRegistry(MutexGuard<'static, BTreeSet<i32>>);

/// Takes the lock. The set is plain data, so a panic elsewhere cannot have left it half changed.
pub(crate) fn lock() -> ChildRegistry {
    ChildRegistry(REGISTRY.lock().unwrap_or_else(PoisonError::into_inner))
}

impl ChildRegistry {
    pub(crate) fn spawn(&mut self, command: &mut Command) -> io::Result<(Child, Pid)> {
        let child = command.spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        self.0.insert(pid.as_raw());
        Ok((child, pid))
    }

    /// Takes the exit status if the child has ended, and forgets the child.
    pub(crate) fn try_reap(&mut self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let answer = child.try_wait();
        if !matches!(answer, Ok(None)) {
            self.0.remove(&child.id().cast_signed());
        }
        answer
    }

    pub(crate) fn contains(&self, pid: i32) -> bool {
        self.0.contains(&pid)
    }

    pub(crate) fn pids(&self) -> BTreeSet<i32> {
        self.0.clone()
    }

    /// Our other children: adopted orphans, dead ones not yet reaped included.
    pub(crate) fn orphans(&self) -> io::Result<Vec<Pid>> {
        Ok(os::children()?.into_iter().filter(|pid| !self.contains(pid.as_raw())).collect())
    }

    /// Reaps those of them that have ended.
    pub(crate) fn reap_orphans(&mut self) {
        match self.orphans() {
            Ok(others) => {
                for pid in others {
                    // One at a time: waiting for any child would take the exit status of an own one.
                    let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
                }
            }
            Err(error) => tracing::debug!(%error, "could not list adopted orphans"),
        }
    }

    /// Whether there is none of them, said by the kernel, not by a listing, if no own child runs.
    pub(crate) fn has_no_orphans(&self) -> io::Result<bool> {
        if !self.0.is_empty() {
            return Ok(self.orphans()?.is_empty());
        }
        // SAFETY: `info` is plain memory that the call fills; zero is a valid value of it.
        let answer = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
        };
        match Errno::result(answer) {
            Ok(_) => Ok(false),
            Err(Errno::ECHILD) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

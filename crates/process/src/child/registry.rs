//! The children that this process started itself, as opposed to the orphans it adopted.
//!
//! A process that adopts orphans has to reap them, but never a child whose exit status some code here is waiting for.
//! Both starting and reaping happen under one lock: a child is registered before it can end, and it is removed only when
//! it is reaped.

use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::os;

static REGISTRY: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// While this is held, no other thread starts or reaps a child.
pub(crate) struct ChildRegistry(MutexGuard<'static, BTreeSet<i32>>);

/// Locks the registry. The set is plain data, so a panic while it was locked has not left it inconsistent.
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

    /// Takes the exit status and removes the child, if it has ended.
    pub(crate) fn try_reap(&mut self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let status = child.try_wait();
        if !matches!(status, Ok(None)) {
            self.0.remove(&child.id().cast_signed());
        }
        status
    }

    pub(crate) fn contains(&self, pid: i32) -> bool {
        self.0.contains(&pid)
    }

    pub(crate) fn pids(&self) -> BTreeSet<i32> {
        self.0.clone()
    }

    /// Lists the children that are not registered: adopted orphans, zombies included.
    pub(crate) fn orphans(&self) -> io::Result<Vec<Pid>> {
        Ok(os::children()?.into_iter().filter(|pid| !self.contains(pid.as_raw())).collect())
    }

    /// Reaps the orphans that have ended.
    pub(crate) fn reap_orphans(&mut self) {
        match self.orphans() {
            Ok(orphans) => {
                for pid in orphans {
                    // One by one: waiting for any child could take the exit status of a registered one.
                    let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
                }
            }
            Err(error) => tracing::debug!(%error, "could not list adopted orphans"),
        }
    }

    /// Returns whether no orphan is left. If no registered child is running, the kernel answers this itself; a listing,
    /// which may miss a child, decides only otherwise.
    pub(crate) fn has_no_orphans(&self) -> io::Result<bool> {
        if !self.0.is_empty() {
            return Ok(self.orphans()?.is_empty());
        }
        // SAFETY: `info` is plain memory that the call fills; all zeros are a valid value.
        let status = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
        };
        match Errno::result(status) {
            Ok(_) => Ok(false),
            Err(Errno::ECHILD) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

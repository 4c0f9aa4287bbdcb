//! Systems other than Linux have no sandbox.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::net::TcpListener;
use std::os::fd::RawFd;
use std::path::Path;
use std::process::Command;

use super::backend::{Backend, NoBackend};
use super::layout::{Helper, Sandbox, SandboxError};
use crate::tracking::controllers::TreeLimits;

const NEEDS_LINUX: &str = "needs Linux";

/// Always fails.
pub fn best_backend(_helper: &Helper) -> Result<Backend, NoBackend> {
    Err(no_backend())
}

/// Always fails.
pub fn check_backend(_backend: Backend, _helper: &Helper) -> Result<(), String> {
    Err(NEEDS_LINUX.to_owned())
}

fn no_backend() -> NoBackend {
    let tried = Backend::ALL.map(|backend| (backend, NEEDS_LINUX.to_owned())).into();
    NoBackend { tried, hint: "use a Linux machine for what must run in a sandbox".to_owned() }
}

/// Fails: no process is started with a plan.
pub fn enter(_plan: RawFd, _channel: RawFd) -> ! {
    std::process::exit(126)
}

/// Has no values.
pub(crate) struct PreparedSandbox(Infallible);

/// Has no values.
pub(crate) struct Inherited(Infallible);

/// Has no values.
pub(crate) struct Channel(Infallible);

impl PreparedSandbox {
    pub(crate) fn prepare(_sandbox: &Sandbox, _limits: TreeLimits) -> Result<Self, SandboxError> {
        Err(no_backend().into())
    }

    pub(crate) fn command(
        self,
        _: &OsStr,
        _: &Path,
        _: &[OsString],
        _: &Path,
    ) -> Result<(Command, Inherited, Option<Channel>), SandboxError> {
        match self.0 {}
    }
}

impl Inherited {
    pub(crate) fn apply(self, _command: &mut Command) {
        match self.0 {}
    }
}

impl Channel {
    pub(crate) fn started(self) -> io::Result<Vec<TcpListener>> {
        match self.0 {}
    }
}

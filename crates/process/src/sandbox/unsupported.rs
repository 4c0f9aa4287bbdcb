//! Systems other than Linux have no sandbox.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use super::backend::{Backend, NoBackend};
use super::layout::{Sandbox, SandboxError};

const NEEDS_LINUX: &str = "needs Linux";

/// Always fails.
pub fn best_backend() -> Result<Backend, NoBackend> {
    Err(no_backend())
}

/// Always fails.
pub fn check_backend(_backend: Backend) -> Result<(), String> {
    Err(NEEDS_LINUX.to_owned())
}

fn no_backend() -> NoBackend {
    let tried = Backend::ALL.map(|backend| (backend, NEEDS_LINUX.to_owned())).into();
    NoBackend { tried, hint: "use a Linux machine for what must run in a sandbox".to_owned() }
}

/// Has no values.
pub(crate) struct PreparedSandbox(Infallible);

impl PreparedSandbox {
    pub(crate) fn prepare(_sandbox: &Sandbox) -> Result<Self, SandboxError> {
        Err(no_backend().into())
    }

    pub(crate) fn command(&self, _: &OsStr, _: &Path, _: &[OsString], _: &Path) -> Result<Command, SandboxError> {
        match self.0 {}
    }

    pub(crate) fn apply(self, _command: &mut Command) {
        match self.0 {}
    }
}

//! Systems other than Linux have no means for a cage.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use super::backend::{Backend, NoBackend};
use super::layout::{Sandbox, SandboxError};

/// The strongest means there is here. None.
///
/// # Errors
/// [`NoBackend`], always.
pub fn best_backend() -> Result<Backend, NoBackend> {
    Err(none())
}

/// Whether a means can be had here. None can.
///
/// # Errors
/// Always.
pub fn check_backend(_confinement: Backend) -> Result<(), String> {
    Err("needs Linux".to_owned())
}

fn none() -> NoBackend {
    let tried = Backend::ALL.map(|means| (means, "needs Linux".to_owned())).into();
    NoBackend { tried, repair: "Use a Linux machine for what must run in a cage.".to_owned() }
}

/// Never made.
pub(crate) struct PreparedSandbox(Infallible);

impl PreparedSandbox {
    pub(crate) fn build(_sandbox: &Sandbox) -> Result<Self, SandboxError> {
        Err(none().into())
    }

    pub(crate) fn command(&self, _: &OsStr, _: &Path, _: &[OsString], _: &Path) -> Result<Command, SandboxError> {
        match self.0 {}
    }

    pub(crate) fn shut(self, _command: &mut Command) {
        match self.0 {}
    }
}

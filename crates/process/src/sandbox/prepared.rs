//! One process's cage, ready to be used: all that takes memory is done before the fork.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::Command;

use super::backend::Backend;
use super::bubblewrap::{self, Bubblewrap};
use super::landlock::Landlock;
use super::layout::{Sandbox, SandboxError};
use super::paths::ResolvedPaths;

/// To be used once.
pub(crate) struct PreparedSandbox {
    paths: ResolvedPaths,
    backend: PreparedBackend,
}

enum PreparedBackend {
    Bubblewrap(Bubblewrap),
    Landlock(Landlock),
}

impl PreparedSandbox {
    /// Looks at the paths and prepares what the kernel is to be told.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub(crate) fn build(sandbox: &Sandbox) -> Result<Self, SandboxError> {
        let paths = ResolvedPaths::look(&sandbox.files)?;
        let system = |source: io::Error| SandboxError::System { backend: sandbox.backend, source };
        let backend = match sandbox.backend {
            Backend::Bubblewrap => PreparedBackend::Bubblewrap(Bubblewrap::build().map_err(system)?),
            Backend::Landlock => PreparedBackend::Landlock(Landlock::build(&paths).map_err(system)?),
        };
        Ok(Self { paths, backend })
    }

    /// The command that starts `program`, which was `found` there, in this cage and in `cwd`.
    ///
    /// # Errors
    /// [`SandboxError::OutOfSight`].
    pub(crate) fn command(
        &self,
        program: &OsStr,
        found: &Path,
        args: &[OsString],
        cwd: &Path,
    ) -> Result<Command, SandboxError> {
        let hidden_too = match &self.backend {
            PreparedBackend::Bubblewrap(_) => bubblewrap::private(),
            PreparedBackend::Landlock(_) => Vec::new(),
        };
        for path in [found, cwd] {
            if !self.paths.shows(path, &hidden_too) {
                return Err(SandboxError::OutOfSight { path: path.to_owned() });
            }
        }
        let mut command = match &self.backend {
            PreparedBackend::Bubblewrap(bubblewrap) => bubblewrap.command(&self.paths, cwd, program),
            PreparedBackend::Landlock(_) => Command::new(program),
        };
        command.args(args);
        Ok(command)
    }

    /// Makes `command` shut itself in, as the last thing before it becomes its program.
    pub(crate) fn shut(self, command: &mut Command) {
        match self.backend {
            PreparedBackend::Bubblewrap(bubblewrap) => bubblewrap.hand_over(command),
            PreparedBackend::Landlock(landlock) => landlock.shut(command),
        }
    }
}

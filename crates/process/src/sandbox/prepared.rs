//! A sandbox that is ready for use. Everything that allocates memory is done before the fork.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::Command;

use super::backend::Backend;
use super::bubblewrap::{self, Bubblewrap};
use super::landlock::Landlock;
use super::layout::{Sandbox, SandboxError};
use super::paths::ResolvedPaths;

/// Good for one process.
pub(crate) struct PreparedSandbox {
    paths: ResolvedPaths,
    backend: PreparedBackend,
}

enum PreparedBackend {
    Bubblewrap(Bubblewrap),
    Landlock(Landlock),
}

impl PreparedSandbox {
    /// Resolves the paths, and builds the rules and filters for the kernel.
    pub(crate) fn prepare(sandbox: &Sandbox) -> Result<Self, SandboxError> {
        let paths = ResolvedPaths::resolve(&sandbox.files)?;
        let system = |source: io::Error| SandboxError::System { backend: sandbox.backend, source };
        let backend = match sandbox.backend {
            Backend::Bubblewrap => PreparedBackend::Bubblewrap(Bubblewrap::prepare().map_err(system)?),
            Backend::Landlock => PreparedBackend::Landlock(Landlock::prepare(&paths).map_err(system)?),
        };
        Ok(Self { paths, backend })
    }

    /// Creates the command that starts `program` in this sandbox and in `cwd`. `found` is the program's path.
    ///
    /// # Errors
    /// [`SandboxError::Hidden`].
    pub(crate) fn command(
        &self,
        program: &OsStr,
        found: &Path,
        args: &[OsString],
        cwd: &Path,
    ) -> Result<Command, SandboxError> {
        let also_hidden = match &self.backend {
            PreparedBackend::Bubblewrap(_) => bubblewrap::private_directories(),
            PreparedBackend::Landlock(_) => Vec::new(),
        };
        for path in [found, cwd] {
            if !self.paths.is_visible(path, &also_hidden) {
                return Err(SandboxError::Hidden { path: path.to_owned() });
            }
        }
        let mut command = match &self.backend {
            PreparedBackend::Bubblewrap(bubblewrap) => bubblewrap.command(&self.paths, cwd, program),
            PreparedBackend::Landlock(_) => Command::new(program),
        };
        command.args(args);
        Ok(command)
    }

    /// Makes `command` enter the sandbox as its last step before exec.
    pub(crate) fn apply(self, command: &mut Command) {
        match self.backend {
            PreparedBackend::Bubblewrap(bubblewrap) => bubblewrap.pass_filter(command),
            PreparedBackend::Landlock(landlock) => landlock.restrict(command),
        }
    }
}

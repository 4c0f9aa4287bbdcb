//! Why a program could not be run, with what the system says sorted out.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::program::{find_on_path, is_executable};

/// Why a short child could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No such program.
    #[error("{} (install it, or correct the setting that names it)", missing(.program))]
    NotFound {
        /// As it was asked for.
        program: OsString,
    },
    /// The program may not be executed.
    #[error("may not execute `{}`: check its permission bits, and whether its file system is mounted noexec", .program.display())]
    NoPermission {
        /// As it was asked for.
        program: OsString,
    },
    /// The directory it should run in cannot be entered.
    #[error("cannot run `{}` in {}: {reason}", .program.display(), .directory.display())]
    BadDirectory {
        /// As it was asked for.
        program: OsString,
        /// Where it should have run.
        directory: PathBuf,
        /// What the system says of that directory.
        reason: io::Error,
    },
    /// It ran longer than [`OneShot::time_limit`] and was ended with its whole group.
    #[error("`{}` did not end within {after:?} and was stopped", .program.display())]
    TimedOut {
        /// As it was asked for.
        program: OsString,
        /// The limit.
        after: Duration,
        /// The last 64 KiB of its stderr: often says what it waited for.
        stderr: Vec<u8>,
    },
    /// The system refused something else.
    #[error("could not run `{}`: {source}", .program.display())]
    Io {
        /// As it was asked for.
        program: OsString,
        /// What the system says.
        source: io::Error,
    },
}

fn missing(program: &OsString) -> String {
    let path = Path::new(program);
    if path.components().count() > 1 {
        format!("there is no program at {}", path.display())
    } else {
        format!("`{}` is not on PATH", path.display())
    }
}

impl RunError {
    /// Looks for what the system would say of a program and a directory, without starting anything. Where the program is.
    pub(crate) fn look(program: &OsStr, directory: &Path, search_path: Option<&OsStr>) -> Result<PathBuf, Self> {
        if let Err(reason) = enterable(directory) {
            return Err(Self::BadDirectory { program: program.to_owned(), directory: directory.to_owned(), reason });
        }
        let path = directory.join(program);
        if Path::new(program).components().count() == 1 {
            let found = search_path.and_then(|search_path| find_on_path(program, search_path));
            return found.ok_or_else(|| Self::NotFound { program: program.to_owned() });
        }
        match path.metadata() {
            Ok(_) if is_executable(&path) => Ok(path),
            Ok(_) => Err(Self::NoPermission { program: program.to_owned() }),
            Err(error) => Err(Self::of(program, None, error)),
        }
    }

    /// The system says "no such file" for a missing program and for a missing directory alike.
    pub(crate) fn of(program: &OsStr, directory: Option<&Path>, error: io::Error) -> Self {
        let program = program.to_owned();
        if let Some(directory) = directory
            && let Err(reason) = enterable(directory)
        {
            return Self::BadDirectory { program, directory: directory.to_owned(), reason };
        }
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound { program },
            io::ErrorKind::PermissionDenied => Self::NoPermission { program },
            _ => Self::Io { program, source: error },
        }
    }
}

fn enterable(directory: &Path) -> io::Result<()> {
    if !std::fs::metadata(directory)?.is_dir() {
        return Err(Errno::ENOTDIR.into());
    }
    Ok(access(directory, AccessFlags::X_OK)?)
}

//! Finding a program, and telling why one cannot be run.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

/// The length of a line that names an interpreter, in bytes; Linux reads no more.
const SHEBANG_MAX: u64 = 256;

/// Why a program could not be run to its end. An exit status other than 0 is not an error.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{}", not_found(.program))]
    NotFound { program: OsString },
    /// The program is there, and what the system runs it with is not.
    #[error("cannot run `{}`: {} is missing", .program.display(), runs_it(interpreter.as_deref()))]
    NoInterpreter {
        program: OsString,
        /// The program that its first line names; `None` for a binary, whose loader is missing.
        interpreter: Option<String>,
    },
    #[error("`{}` may not be executed", .program.display())]
    NoPermission { program: OsString },
    /// The directory to run in does not exist or cannot be entered.
    #[error("cannot run `{}` in {}: {reason}", .program.display(), .directory.display())]
    BadDirectory { program: OsString, directory: PathBuf, reason: io::Error },
    /// It exceeded its [`time_limit`](super::OneShot::time_limit); its group was ended.
    #[error("`{}` did not end within {after:?} and was stopped", .program.display())]
    TimedOut {
        program: OsString,
        after: Duration,
        /// The last 64 KiB of its stderr, which often say what it waited for.
        stderr: Vec<u8>,
    },
    #[error("cannot run `{}`: {source}", .program.display())]
    Io { program: OsString, source: io::Error },
}

fn not_found(program: &OsString) -> String {
    let path = Path::new(program);
    if path.components().count() > 1 {
        format!("there is no program at {}", path.display())
    } else {
        format!("`{}` is not on PATH", path.display())
    }
}

fn runs_it(interpreter: Option<&str>) -> String {
    match interpreter {
        // A line that ends with a carriage return names another program.
        Some(interpreter) => format!("{interpreter:?}, which its first line names,"),
        None => "the loader of this kind of binary".to_owned(),
    }
}

impl RunError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some("install it, or correct the setting that names it".to_owned()),
            Self::NoInterpreter { interpreter: Some(_), .. } => {
                Some("install that program, or install this one again".to_owned())
            }
            Self::NoInterpreter { interpreter: None, .. } => {
                Some("install the program that is built for this system".to_owned())
            }
            Self::NoPermission { program } => Some(format!(
                "check its permission bits (`ls -l {}`), and that its file system is not mounted with noexec",
                program.display()
            )),
            Self::BadDirectory { .. } | Self::TimedOut { .. } | Self::Io { .. } => None,
        }
    }

    /// Finds the program that the system would run, without starting it. Fails as the system would.
    pub(crate) fn resolve(program: &OsStr, directory: &Path, search_path: Option<&OsStr>) -> Result<PathBuf, Self> {
        if let Err(reason) = can_enter(directory) {
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

    /// Classifies the error of a failed start. The system reports a missing program and a missing directory alike, so
    /// this looks at the directory.
    pub(crate) fn of(program: &OsStr, directory: Option<&Path>, error: io::Error) -> Self {
        let program = program.to_owned();
        if let Some(directory) = directory
            && let Err(reason) = can_enter(directory)
        {
            return Self::BadDirectory { program, directory: directory.to_owned(), reason };
        }
        let path = directory.unwrap_or(Path::new("/")).join(&program);
        match error.kind() {
            io::ErrorKind::NotFound if path.is_file() => {
                Self::NoInterpreter { interpreter: interpreter(&path), program }
            }
            io::ErrorKind::NotFound => Self::NotFound { program },
            io::ErrorKind::PermissionDenied => Self::NoPermission { program },
            _ => Self::Io { program, source: error },
        }
    }
}

/// Returns the first line of a script after `#!`; `None` if the file cannot be read, or is no script.
pub fn shebang(script: &Path) -> Option<String> {
    let mut start = Vec::new();
    File::open(script).ok()?.take(SHEBANG_MAX).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// The program that the first line of a script names.
fn interpreter(script: &Path) -> Option<String> {
    let line = shebang(script)?;
    // The system separates them by spaces and tabs only.
    line.split([' ', '\t']).find(|word| !word.is_empty()).map(str::to_owned)
}

fn can_enter(directory: &Path) -> io::Result<()> {
    if !std::fs::metadata(directory)?.is_dir() {
        return Err(Errno::ENOTDIR.into());
    }
    Ok(access(directory, AccessFlags::X_OK)?)
}

/// Returns the first executable file with this name in the directories of `search_path` (in the format of `PATH`).
/// Relative entries are skipped: they depend on the current directory, which may be an agent's worktree.
pub fn find_on_path(name: &OsStr, search_path: &OsStr) -> Option<PathBuf> {
    let directories = std::env::split_paths(search_path).filter(|directory| directory.is_absolute());
    directories.map(|directory| directory.join(name)).find(|path| is_executable(path))
}

/// Returns whether this is a file that its owner, its group or others may execute.
pub fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

//! Judges how a git process ended. Only exit codes that git documents are answers; a git that was killed, or failed for
//! another reason, says nothing about the repository.

use std::os::unix::process::ExitStatusExt;

use kugetsu_process::{Completed, RunError};

use crate::command::failure::{Cause, StderrTail};
use crate::command::runner::GitError;
use crate::names::Oid;

/// Limit of stdout in bytes, large enough for the listings of refs and files of the largest repositories.
pub(crate) const STDOUT_MAX: usize = 256 * 1024 * 1024;

/// The output of a command that succeeded.
#[derive(Debug)]
pub(crate) struct Output {
    /// For the errors of output that cannot be parsed.
    action: String,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// A command that exited with another code than 0.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) error: GitError,
}

/// The answer of a command that says yes or no by its exit code.
#[derive(Debug)]
pub(crate) enum Answer {
    Yes(Output),
    No(Failed),
}

/// The result of a command that reads objects or an index.
#[derive(Debug)]
pub(crate) enum Whole {
    Yes(Output),
    /// Git named an object or an index that is missing or damaged.
    Damaged,
}

impl Answer {
    pub(crate) fn is_yes(&self) -> bool {
        matches!(self, Self::Yes(_))
    }

    pub(crate) fn yes(self) -> Option<Output> {
        match self {
            Self::Yes(output) => Some(output),
            Self::No(_) => None,
        }
    }
}

impl Whole {
    pub(crate) fn yes(self) -> Option<Output> {
        match self {
            Self::Yes(output) => Some(output),
            Self::Damaged => None,
        }
    }
}

/// Messages of git (in the C locale) about an object, a pack or an index that is missing or damaged.
const DAMAGE: &[&str] = &[
    "bad object",
    "bad tree object",
    "bad revision",
    "Bad tag object",
    "missing blob object",
    "missing tree object",
    "missing commit object",
    "Could not read ",
    "Failed to traverse parents",
    "is corrupt",
    "are corrupt",
    "is empty",
    "unable to unpack",
    "inflate: data stream error",
    "corrupt loose object",
    "corrupt tree",
    "garbage at end of loose object",
    "hash mismatch",
    "object corrupt or missing",
    "cannot read existing object",
    "unable to read ",
    "unable to parse",
    "failed to unpack tree object",
    "Not a valid commit name",
    "Not a valid object name",
    "not a tree object",
    "packed object",
    "bad offset",
    "does not match index",
    "is far too short to be a packfile",
    "signature mismatch",
    "reused pack",
    "revindex",
    "index file corrupt",
    "index file smaller than expected",
    "bad index file",
    "bad signature 0x",
    "bad index version",
    "unordered stage entries",
    "malformed ",
    "object file",
    "remote did not send all necessary objects",
    "unresolved deltas",
    "invalid object",
];
/// Messages that name what the machine or the connection lacks. They explain a failure that also looks like damage.
const LACKING: &[&str] = &[
    "Could not read from remote repository",
    "Out of memory",
    "out of memory",
    "Cannot allocate memory",
    "Too many open files",
    "Resource temporarily unavailable",
    "Input/output error",
    "No space left on device",
    "Disk quota exceeded",
    "Permission denied",
    "died of signal",
    "unable to create thread",
    "Stale file handle",
];
/// The messages among these about a state that passes.
const PASSING: &[&str] = &[
    "Out of memory",
    "out of memory",
    "Cannot allocate memory",
    "Too many open files",
    "Resource temporarily unavailable",
    "died of signal",
    "unable to create thread",
    "Stale file handle",
];

impl Failed {
    pub(crate) fn code(&self) -> Option<i32> {
        match &self.error {
            GitError::Failed { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Stderr contains one of the phrases.
    pub(crate) fn says(&self, phrases: &[&str]) -> bool {
        let text = String::from_utf8_lossy(&self.stderr);
        phrases.iter().any(|phrase| text.contains(phrase))
    }

    /// Whether git ended because of an object or an index, not because of the machine.
    pub(crate) fn names_damage(&self) -> bool {
        self.says(DAMAGE) && !self.says(LACKING)
    }

    /// Whether the same command may end otherwise the next time. A server is contacted again only if git itself was hit:
    /// everything else is for the caller to decide.
    pub(crate) fn is_worth_repeating(&self, is_local: bool) -> bool {
        if matches!(self.error, GitError::Killed { .. }) || self.error.cause() == Cause::Locked || self.says(PASSING) {
            return true;
        }
        // A shell's code for a child that a signal ended, and git's own for "this should not happen".
        let is_odd = self.code().is_some_and(|code| !matches!(code, 1 | 128));
        is_odd && is_local
    }
}

/// Whether an error names an object that is missing or damaged.
pub(crate) fn is_damage(error: &GitError) -> bool {
    let text = match error {
        GitError::Failed { stderr, .. } => stderr.as_str(),
        GitError::UnexpectedOutput { output, .. } => output,
        _ => return false,
    };
    DAMAGE.iter().any(|phrase| text.contains(phrase)) && !LACKING.iter().any(|phrase| text.contains(phrase))
}

/// Whether an error of a command that did not run to its end may pass.
pub(crate) fn is_passing(error: &GitError) -> bool {
    matches!(error, GitError::NotRun { source: RunError::Io { .. }, .. })
}

/// Judges how a process ended. Returns the exit code too, which is -1 if a signal ended it.
pub(crate) fn ended(
    action: &str,
    completed: Result<Completed, RunError>,
) -> Result<(i32, Result<Output, Failed>), GitError> {
    let action = action.to_owned();
    let completed = match completed {
        Ok(completed) => completed,
        Err(RunError::TimedOut { after, stderr, .. }) => {
            return Err(GitError::TimedOut { action, after, stderr: StderrTail::new(&stderr) });
        }
        Err(source) => return Err(GitError::NotRun { action, source }),
    };
    if completed.stdout_truncated {
        return Err(GitError::UnexpectedOutput { action, output: format!("more than {STDOUT_MAX} bytes") });
    }
    let Completed { status, stdout, stderr, .. } = completed;
    let tail = StderrTail::new(&stderr);
    let error = match status.code() {
        Some(0) => return Ok((0, Ok(Output { action, stdout, stderr }))),
        Some(code) => GitError::Failed {
            action,
            cause: Cause::from_stderr(&String::from_utf8_lossy(&stderr)),
            stderr: tail,
            code,
        },
        None => GitError::Killed { action, signal: status.signal().unwrap_or_default(), stderr: tail },
    };
    Ok((status.code().unwrap_or(-1), Err(Failed { stdout, stderr, error })))
}

/// The lines of a command's stdout.
pub(crate) fn lines(stdout: &[u8]) -> impl Iterator<Item = &[u8]> {
    stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

impl Output {
    /// Stdout as one line of text.
    pub(crate) fn line(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end_matches('\n').to_owned()
    }

    /// Stdout as an object id.
    pub(crate) fn oid(&self) -> Result<Oid, GitError> {
        Oid::from_bytes(&self.stdout).ok_or_else(|| self.unexpected())
    }

    /// The NUL-terminated records of stdout.
    pub(crate) fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.stdout.split(|byte| *byte == 0).filter(|record| !record.is_empty())
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        lines(&self.stdout)
    }

    /// Stderr contains one of the phrases.
    pub(crate) fn warns(&self, phrases: &[&str]) -> bool {
        let text = String::from_utf8_lossy(&self.stderr);
        phrases.iter().any(|phrase| text.contains(phrase))
    }

    /// The error for output that cannot be parsed.
    pub(crate) fn unexpected(&self) -> GitError {
        let output = String::from_utf8_lossy(&self.stdout).chars().take(200).collect();
        GitError::UnexpectedOutput { action: self.action.clone(), output }
    }

    /// The error for warnings about an object or a ref that this command skipped.
    pub(crate) fn incomplete(&self) -> GitError {
        let output = StderrTail::new(&self.stderr).as_str().to_owned();
        GitError::UnexpectedOutput { action: self.action.clone(), output }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: i32, stderr: &str) -> Failed {
        let completed = Completed {
            status: std::process::ExitStatus::from_raw(code),
            stdout: Vec::new(),
            stdout_truncated: false,
            stderr: stderr.as_bytes().to_vec(),
        };
        ended("read", Ok(completed)).unwrap().1.unwrap_err()
    }

    #[test]
    fn a_killed_git_is_no_answer() {
        let killed = failed(libc::SIGKILL, "");
        assert!(matches!(killed.error, GitError::Killed { signal: libc::SIGKILL, .. }));
        assert!(!killed.names_damage() && killed.is_worth_repeating(true) && killed.is_worth_repeating(false));
    }

    #[test]
    fn only_named_objects_count_as_damage() {
        for stderr in [
            "fatal: missing blob object '0cfbf08886fca9a91cb753ec8734c84fcbe52c9f'",
            "fatal: bad tree object 51feb53a3d5a3bf0dd2302a7c5331963877e004c",
            "error: object file .git/objects/59/ee is empty\nerror: Could not read 59ee8dde",
            "fatal: loose object 0cfb (stored in .git/objects/0c/fb) is corrupt",
            "fatal: .git/index: index file smaller than expected",
        ] {
            let damaged = failed(128 << 8, stderr);
            assert!(damaged.names_damage() && !damaged.is_worth_repeating(true), "{stderr}");
        }
        for stderr in [
            "",
            "fatal: Out of memory, malloc failed (tried to allocate 3 bytes)",
            "error: Could not read 59ee8dde\nfatal: unable to create thread: Resource temporarily unavailable",
            "fatal: unable to read tree (51fe): Input/output error",
            "fatal: '/x' does not appear to be a git repository\nfatal: Could not read from remote repository.",
        ] {
            assert!(!failed(128 << 8, stderr).names_damage(), "{stderr}");
        }
    }

    #[test]
    fn failures_that_pass_are_repeated() {
        assert!(failed(128 << 8, "error: git-upload-pack died of signal 9").is_worth_repeating(false));
        assert!(failed(137 << 8, "").is_worth_repeating(true));
        assert!(!failed(137 << 8, "").is_worth_repeating(false));
        assert!(!failed(128 << 8, "fatal: Authentication failed for 'x'").is_worth_repeating(true));
    }
}

//! Why git failed: the usual causes, recognized in git's stderr, and the tail of stderr with secrets masked.

use std::fmt;

use crate::printable::printable_text;

/// The usual causes of a failed git command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server wants credentials, or rejected those it got.
    Authentication,
    /// The server has no such repository, or hides it from this user.
    RepositoryNotFound,
    /// The host name cannot be resolved.
    HostUnknown,
    /// ssh does not know the host's key.
    HostKey,
    /// The host does not answer.
    Network,
    PermissionDenied,
    /// No space or quota left.
    DiskFull,
    /// The repository belongs to another user.
    DubiousOwnership,
    NotARepository,
    /// The file system does not support a file name of the repository.
    UnsupportedFileName,
    /// A settings file of git has a mistake.
    Settings,
    /// Git LFS could not get the content of a file.
    LfsContent,
    /// Another git holds a lock, or one that was killed left it.
    Locked,
    /// None of these; stderr says more.
    Other,
}

impl Cause {
    /// Recognizes the cause in git's stderr, which is in the C locale. The order matters: a disk that is full, for
    /// example, also makes git report that the remote end hung up.
    pub(crate) fn from_stderr(stderr: &str) -> Self {
        let has = |phrases: &[&str]| phrases.iter().any(|phrase| stderr.contains(phrase));
        if has(&["No space left on device", "Disk quota exceeded"]) {
            Self::DiskFull
        } else if has(&[".lock': File exists"]) {
            Self::Locked
        } else if has(&["bad config ", "bad numeric config value", "bad boolean config value"]) {
            Self::Settings
        } else if has(&["Smudge error", "smudge filter lfs failed"]) {
            Self::LfsContent
        } else if has(&["dubious ownership"]) {
            Self::DubiousOwnership
        } else if has(&["Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
            Self::HostKey
        } else if has(&[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "Permission denied (",
            "HTTP Basic: Access denied",
            "requested URL returned error: 401",
            "requested URL returned error: 403",
        ]) {
            Self::Authentication
        } else if has(&["Could not resolve host", "Name or service not known", "nodename nor servname"]) {
            Self::HostUnknown
        } else if has(&[
            "Connection refused",
            "Connection timed out",
            "Failed to connect",
            "No route to host",
            "Network is unreachable",
            "Operation too slow",
            "early EOF",
            "the remote end hung up unexpectedly",
            "Recv failure",
        ]) {
            Self::Network
        } else if has(&["File name too long", "Illegal byte sequence", "Invalid argument"])
            && has(&["unable to create"])
        {
            Self::UnsupportedFileName
        } else if has(&["Permission denied", "Read-only file system", "Operation not permitted"]) {
            Self::PermissionDenied
        } else if has(&["epository not found", "requested URL returned error: 404", "Repository does not exist"]) {
            Self::RepositoryNotFound
        } else if has(&["does not appear to be a git repository", "not a git repository", "does not exist"])
            || (stderr.contains("repository '") && stderr.contains("' not found"))
        {
            if stderr.contains("://") { Self::RepositoryNotFound } else { Self::NotARepository }
        } else {
            Self::Other
        }
    }

    pub fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Authentication => {
                "set a token for this server, or set up a credential helper or an ssh key that works without a prompt"
            }
            Self::RepositoryNotFound => {
                "check the address; servers also report this when the account has no access to the repository"
            }
            Self::HostUnknown => "check the host name and this machine's network",
            Self::HostKey => "connect to the host once with ssh and confirm its key",
            Self::Network => "check the network, then try again",
            Self::PermissionDenied => "check the owner and the permissions of the files",
            Self::DiskFull => "free some space, then try again; nothing was left half done",
            Self::DubiousOwnership => {
                "the repository belongs to another user; if you trust it, run `git config --global --add safe.directory <its path>`"
            }
            Self::NotARepository => "check the path, or run `git init` there",
            Self::UnsupportedFileName => {
                "the file system does not support a file name of the repository; use another file system for the worktrees"
            }
            Self::Settings => "correct the settings file that git names, then try again",
            Self::LfsContent => {
                "send the contents with `git lfs push --all origin` from a clone that has them; to work without large files, run \
                 `kugetsu env set GIT_LFS_SKIP_SMUDGE 1`"
            }
            Self::Locked => "wait until no other git works there, then try again; if none does, remove the lock file",
            Self::Other => return None,
        })
    }
}

/// The last lines of git's stderr, ready to be shown: no credentials, progress lines or hints.
#[derive(Clone, PartialEq, Eq)]
pub struct StderrTail(String);

impl StderrTail {
    const LINES: usize = 8;
    /// In characters.
    const LINE_MAX: usize = 500;

    pub(crate) fn new(stderr: &[u8]) -> Self {
        let text = mask_credentials(&String::from_utf8_lossy(stderr));
        let lines: Vec<_> = text
            .split(['\n', '\r'])
            .map(str::trim_end)
            // Ends a line that the server has colored.
            .map(|line| line.strip_suffix("\u{1b}[K").unwrap_or(line).trim_end())
            .filter(|line| !line.is_empty() && !line.starts_with("hint:") && !is_progress(line) && !is_lfs_log(line))
            .collect();
        let from = lines.len().saturating_sub(Self::LINES);
        let last = lines.get(from..).unwrap_or_default();
        let lines: Vec<String> =
            last.iter().map(|line| printable_text(line).chars().take(Self::LINE_MAX).collect()).collect();
        Self(lines.join("\n"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StderrTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "git printed no message" } else { &self.0 })
    }
}

impl fmt::Debug for StderrTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_progress(line: &str) -> bool {
    let line = line.strip_prefix("remote: ").unwrap_or(line);
    line.split_once(": ").is_some_and(|(_, rest)| {
        rest.trim_start().split_once('%').is_some_and(|(percent, _)| percent.bytes().all(|b| b.is_ascii_digit()))
    }) || line.starts_with("Cloning into ")
}

/// Whether a line names a log of git-lfs. It is in the git directory of a checkout, which is removed if the checkout fails.
fn is_lfs_log(line: &str) -> bool {
    line.starts_with("Errors logged to ") || line.starts_with("Use `git lfs logs last`")
}

/// Replaces the credentials of every URL in the text by `***`.
pub(crate) fn mask_credentials(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        masked.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "/?#'\"<>".contains(c)).unwrap_or(after.len());
        let (authority, path) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) => masked.push_str(&mask_user(before, user, host)),
            None => masked.push_str(authority),
        }
        rest = path;
    }
    masked.push_str(rest);
    masked
}

fn mask_user(before: &str, user: &str, host: &str) -> String {
    match user.split_once(':') {
        Some((user, _)) => format!("{user}:***@{host}"),
        // In an http URL the user alone may be a token; in an ssh URL it is a login name.
        None if before.ends_with("http://") || before.ends_with("https://") => format!("***@{host}"),
        None => format!("{user}@{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_urls_are_masked() {
        let cases = [
            ("fatal: 'https://bot:s3cret@h.example/a.git/' x", "fatal: 'https://bot:***@h.example/a.git/' x"),
            ("https://ghp_abc@h/a and ssh://git@h/b", "https://***@h/a and ssh://git@h/b"),
            ("http://u:p@ss@h:1/x", "http://u:***@h:1/x"),
            ("https://h/a@b", "https://h/a@b"),
        ];
        for (text, expected) in cases {
            assert_eq!(mask_credentials(text), expected);
        }
    }

    #[test]
    fn causes_are_recognized() {
        let cases = [
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", Cause::Authentication),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                Cause::Authentication,
            ),
            ("remote: Repository not found.\nfatal: repository 'https://h/x/' not found", Cause::RepositoryNotFound),
            ("fatal: unable to access 'https://h/': Could not resolve host: h", Cause::HostUnknown),
            ("Host key verification failed.", Cause::HostKey),
            ("error: unable to create file x: Permission denied", Cause::PermissionDenied),
            ("fatal: write error: No space left on device", Cause::DiskFull),
            ("fatal: detected dubious ownership in repository at '/x'", Cause::DubiousOwnership),
            ("fatal: '/x' does not appear to be a git repository", Cause::NotARepository),
            ("fatal: Unable to create '/m/refs/kugetsu/head.lock': File exists.", Cause::Locked),
            ("Error downloading object: a.bin (9bf): Smudge error: Error downloading a.bin", Cause::LfsContent),
            ("fatal: bad config line 3 in file /h/.gitconfig", Cause::Settings),
            ("fatal: bad object", Cause::Other),
        ];
        for (stderr, cause) in cases {
            assert_eq!(Cause::from_stderr(stderr), cause, "{stderr}");
        }
    }

    #[test]
    fn stderr_tail_omits_progress_and_hints() {
        let stderr = b"Receiving objects:  45% (45/100)\rhint: try\nfatal: x\n\n";
        assert_eq!(StderrTail::new(stderr).as_str(), "fatal: x");
        assert_eq!(StderrTail::new(b"remote: \x1b[31mno\x1b[K").as_str(), "remote: \\u{1b}[31mno");
    }
}

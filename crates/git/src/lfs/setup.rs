//! Git LFS in a worktree: the settings, and what happens on a machine without git-lfs.

use std::ffi::OsStr;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::command::runner::{ConfigScope, Git, GitCommand, GitError};
use crate::files::access::join_bytes;
use crate::files::access::read_regular;
use crate::git_dir::layout::ConfigFile;

/// The state of git-lfs on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lfs {
    /// Installed, and set up for the user.
    Ready,
    /// Installed and set up, but checkouts write pointers: `git lfs install --skip-smudge`, or `GIT_LFS_SKIP_SMUDGE`.
    Skipped,
    /// Installed, but the user has not run `git lfs install`.
    NotSetUp,
    Missing,
}

impl Lfs {
    pub(crate) async fn detect(git: &Git) -> Result<Self, GitError> {
        // 1: git has no such command.
        let version = git.command("lfs", "look for git-lfs").arg("version").outside_repository();
        let (version, process) =
            tokio::try_join!(version.answer(&[1]), git.config_value("filter.lfs.process", ConfigScope::User))?;
        if !version.is_yes() {
            return Ok(Self::Missing);
        }
        let process = process.unwrap_or_default();
        let has_skip = process.split(u8::is_ascii_whitespace).any(|argument| argument == b"--skip");
        Ok(match process.is_empty() {
            true => Self::NotSetUp,
            false if has_skip || git.variable(SKIP).is_some_and(|value| is_true(&value)) => Self::Skipped,
            false => Self::Ready,
        })
    }

    /// Lets the command write pointers where git-lfs is missing. A filter that is set, but whose program is missing, would
    /// fail the checkout. This holds for one command only: in the worktree's settings it would still disable git-lfs
    /// after it was installed.
    pub(crate) fn allow_pointers(self, mut command: GitCommand) -> GitCommand {
        if self == Self::Missing {
            for (key, value) in NO_FILTER {
                command = command.config(format!("filter.lfs.{key}"), value);
            }
        }
        command
    }

    /// A notice for the user if the files of a new worktree are only pointers.
    pub(crate) async fn pointer_notice(self, git: &Git, dir: &Path) -> Result<Option<String>, GitError> {
        if self == Self::Ready || !uses_lfs(git, dir).await? {
            return Ok(None);
        }
        let steps = match self {
            Self::Missing => "install git-lfs, run `git lfs install` and then `git lfs pull`",
            Self::NotSetUp => "run `git lfs install` and then `git lfs pull`",
            Self::Skipped | Self::Ready => "run `git lfs pull`",
        };
        Ok(Some(format!(
            "the repository uses Git LFS, but its large files are only pointers here; to get them, {steps}"
        )))
    }
}

/// Writes the settings of a worktree: large files come from `url`, not from `origin`, which is the relay. Also without
/// git-lfs, since it may be installed later.
pub(crate) fn write_endpoints(config: &mut ConfigFile, url: &str, relay: &Path) {
    config.section("remote", Some(b"origin")).set("lfsurl", endpoint(url));
    config.set("lfspushurl", file_url(relay.as_os_str().as_encoded_bytes()));
}

/// Settings of `filter.lfs` that turn it off.
const NO_FILTER: [(&str, &str); 4] = [("required", "false"), ("process", ""), ("smudge", ""), ("clean", "")];

async fn uses_lfs(git: &Git, dir: &Path) -> Result<bool, GitError> {
    let command = git.command("ls-files", "look for Git LFS").git_dir(&dir.join(".git")).work_tree(dir);
    let output = command.args(["-z", "--", ":(glob)**/.gitattributes"]).run().await?;
    Ok(output.records().any(|path| uses_lfs_filter(dir, path)))
}

/// Whether a `.gitattributes` assigns files to Git LFS.
pub(crate) fn uses_lfs_filter(files: &Path, path: &[u8]) -> bool {
    let text = read_regular(&join_bytes(files, path), 1024 * 1024).unwrap_or_default();
    text.split(|byte| *byte == b'\n').any(|line| {
        !line.starts_with(b"#") && line.split(u8::is_ascii_whitespace).any(|attribute| attribute == b"filter=lfs")
    })
}

/// The URL of the LFS server that belongs to a repository's URL
/// (<https://github.com/git-lfs/git-lfs/blob/main/docs/api/server-discovery.md>).
fn endpoint(url: &str) -> String {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return if url.starts_with('/') { file_url(url.as_bytes()) } else { url.to_owned() };
    }
    let url = url.trim_end_matches('/');
    let dot_git = if url.ends_with(".git") { "" } else { ".git" };
    format!("{url}{dot_git}/info/lfs")
}

/// The variable that makes git-lfs leave the pointers in a checkout.
const SKIP: &str = "GIT_LFS_SKIP_SMUDGE";

/// Whether git-lfs takes the value of a variable for true.
fn is_true(value: &OsStr) -> bool {
    matches!(value.to_ascii_lowercase().to_str(), Some("true" | "1" | "on" | "yes" | "t"))
}

/// The URL of a directory: git-lfs takes a plain path for the name of a server.
pub(crate) fn file_url(path: &[u8]) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    format!("file://{}", percent_encode(path, ESCAPED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_belongs_to_the_real_server() {
        assert_eq!(endpoint("https://h/a/b"), "https://h/a/b.git/info/lfs");
        assert_eq!(endpoint("https://h/a/b.git/"), "https://h/a/b.git/info/lfs");
        assert_eq!(endpoint("git@h:a/b.git"), "git@h:a/b.git");
        assert_eq!(endpoint("/srv/a b"), "file:///srv/a%20b");
    }
}

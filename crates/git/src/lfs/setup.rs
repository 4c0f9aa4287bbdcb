//! Large files kept beside git (Git LFS), in a worktree: fetched from the real server where git-lfs is installed, said
//! where not.

use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::command::runner::{ConfigScope, Git, GitCommand, GitError};
use crate::files::access::below;
use crate::files::access::read_regular;
use crate::git_dir::layout::ConfigText;

/// What this machine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lfs {
    /// git-lfs is installed and set up for the user.
    Ready,
    /// It is installed, but no filter is set.
    NotSetUp,
    /// It is not installed.
    Missing,
}

impl Lfs {
    /// Looks for git-lfs.
    pub(crate) async fn find(git: &Git) -> Result<Self, GitError> {
        let version = git.command("lfs", "look for git-lfs").arg("version").outside_repository().output().await?;
        if version.code != 0 {
            return Ok(Self::Missing);
        }
        let process = git.config_value("filter.lfs.process", ConfigScope::User).await?;
        Ok(if process.is_some_and(|process| !process.is_empty()) { Self::Ready } else { Self::NotSetUp })
    }

    /// A filter that is set, but whose program is missing, would end the checkout: pointers are better than nothing. This
    /// holds for one command. In the worktree's settings it would outlive the installation of git-lfs.
    pub(crate) fn permit_pointers(self, mut command: GitCommand) -> GitCommand {
        if self == Self::Missing {
            for (key, value) in without_filter() {
                command = command.config(format!("filter.lfs.{key}"), value);
            }
        }
        command
    }

    /// What to tell of files in a fresh worktree that are only pointers.
    pub(crate) async fn notice(self, git: &Git, dir: &Path) -> Result<Option<String>, GitError> {
        if self == Self::Ready || !uses_lfs(git, dir).await? {
            return Ok(None);
        }
        let next =
            if self == Self::Missing { "install git-lfs, then run `git lfs install`" } else { "run `git lfs install`" };
        Ok(Some(format!(
            "the repository keeps large files in Git LFS, and they are only pointers here; to get them, {next} and `git lfs pull`"
        )))
    }
}

/// Writes the settings of a worktree: large files come from `url` and not from its `origin`, which is the relay. Without
/// git-lfs too: it may be installed later.
pub(crate) fn write_addresses(config: &mut ConfigText, url: &str, relay: &Path) {
    config.section("remote", Some(b"origin")).set("lfsurl", endpoint(url));
    config.set("lfspushurl", file_url(relay.as_os_str().as_encoded_bytes()));
}

fn without_filter() -> [(&'static str, &'static str); 4] {
    [("required", "false"), ("process", ""), ("smudge", ""), ("clean", "")]
}

async fn uses_lfs(git: &Git, dir: &Path) -> Result<bool, GitError> {
    let command = git.command("ls-files", "look for Git LFS").git_dir(&dir.join(".git")).work_tree(dir);
    let output = command.args(["-z", "--", ":(glob)**/.gitattributes"]).run().await?;
    Ok(output.records().any(|path| names_lfs(dir, path)))
}

/// Whether a `.gitattributes` hands files to Git LFS.
pub(crate) fn names_lfs(files: &Path, path: &[u8]) -> bool {
    let text = read_regular(&below(files, path), 1024 * 1024).unwrap_or_default();
    text.split(|byte| *byte == b'\n')
        .any(|line| !line.starts_with(b"#") && line.split(u8::is_ascii_whitespace).any(|word| word == b"filter=lfs"))
}

/// The address of the LFS server that belongs to a repository's address
/// (<https://github.com/git-lfs/git-lfs/blob/main/docs/api/server-discovery.md>).
fn endpoint(url: &str) -> String {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return if url.starts_with('/') { file_url(url.as_bytes()) } else { url.to_owned() };
    }
    let url = url.trim_end_matches('/');
    let dot_git = if url.ends_with(".git") { "" } else { ".git" };
    format!("{url}{dot_git}/info/lfs")
}

/// A path as a URL.
fn file_url(path: &[u8]) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    format!("file://{}", percent_encode(path, ESCAPED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_real_server() {
        assert_eq!(endpoint("https://h/a/b"), "https://h/a/b.git/info/lfs");
        assert_eq!(endpoint("https://h/a/b.git/"), "https://h/a/b.git/info/lfs");
        assert_eq!(endpoint("git@h:a/b.git"), "git@h:a/b.git");
        assert_eq!(endpoint("/srv/a b"), "file:///srv/a%20b");
    }
}

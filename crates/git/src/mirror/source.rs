//! The clone source of a repository: a server's URL or a local path, checked before anything is fetched.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::command::failure::mask_credentials;
use crate::command::login::{Login, strip_credentials};
use crate::command::runner::{Git, GitCommand, GitError, LOOKUP_TIMEOUT, WAITS_FOR};
use crate::files::access::FileError;
use crate::mirror::local_repo::LocalRepo;
use crate::mirror::partial_clone::Promisor;
use crate::names::{BranchName, Oid};

/// Time limit for listing the refs of a server.
const PROBE_TIMEOUT: Duration = Duration::from_secs(90);

/// `Debug` and `Display` mask credentials.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// An `https`, `http`, `ssh`, `git` or `file` URL, or ssh's short form `[user@]host:path`.
    Url(String),
    /// A local repository: its root, a directory in it, a linked worktree or a bare repository.
    Path(PathBuf),
}

#[derive(Debug, Error)]
pub enum SourceError {
    /// A URL that must not be passed to git.
    #[error("{url} is not a URL that kugetsu can fetch from: {reason}")]
    InvalidUrl {
        /// With credentials masked.
        url: String,
        reason: &'static str,
    },
    #[error("the directory {} does not exist", .0.display())]
    NoDirectory(PathBuf),
    #[error("there is no git repository at {} or above it", .0.display())]
    NoRepository(PathBuf),
    /// Neither git nor the file system has answered in time.
    #[error("could not read the repository at {}: no answer within {} s", .0.display(), LOOKUP_TIMEOUT.as_secs())]
    NoAnswer(PathBuf),
    /// Git would wait for it.
    #[error(transparent)]
    Special(FileError),
    /// The repository that a mirror was made from was moved or deleted, and another one is at its path.
    #[error("the repository at {} is another one than before", .0.display())]
    AnotherRepository(PathBuf),
    #[error(transparent)]
    Git(#[from] GitError),
}

impl SourceError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoDirectory(_) => {
                Some("check the path; if the repository was moved: kugetsu repo move <repo> <new path>".to_owned())
            }
            Self::AnotherRepository(_) => Some(
                "if the earlier one was moved: kugetsu repo move <repo> <new path>; if it is gone: kugetsu repo forget <repo>"
                    .to_owned(),
            ),
            Self::NoRepository(_) => Some("run `git init` there, or give another path".to_owned()),
            Self::NoAnswer(_) => Some(WAITS_FOR.to_owned()),
            Self::Git(error) => error.hint(),
            Self::InvalidUrl { .. } | Self::Special(_) => None,
        }
    }
}

/// The state of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// A server's default branch, or the branch that is checked out in a local repository. `None` if HEAD is detached,
    /// or the server has no branch.
    pub default_branch: Option<BranchName>,
    /// The commit of HEAD.
    pub head: Option<Oid>,
    /// No branch has a commit yet.
    pub empty: bool,
    /// The history is cut off. Always `false` for a server.
    pub shallow: bool,
    /// The repository is a partial clone. Always `false` for a server.
    pub partial: bool,
    /// Number of files with uncommitted changes. Always 0 for a server.
    pub uncommitted: usize,
}

impl Source {
    /// Parses a URL or a path as users type them. Text that looks like neither is a path.
    ///
    /// # Errors
    /// [`SourceError::InvalidUrl`].
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let is_path = text.starts_with(['/', '.', '~']) || (!text.contains("://") && scp_host(text).is_none());
        let source = if is_path && !text.contains("::") { Self::Path(text.into()) } else { Self::Url(text.to_owned()) };
        source.validate().map(|()| source)
    }

    /// Checks the form of a URL.
    ///
    /// # Errors
    /// [`SourceError::InvalidUrl`] for options, remote helpers (`ext::...`), unknown schemes and control characters.
    pub fn validate(&self) -> Result<(), SourceError> {
        let Self::Url(url) = self else { return Ok(()) };
        let reject = |reason| Err(SourceError::InvalidUrl { url: mask_credentials(url), reason });
        if url.starts_with('-') {
            return reject("it begins with `-`");
        }
        if url.contains(|c: char| c.is_control()) {
            return reject("it contains a control character");
        }
        let is_helper = |before: &str| before.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if url.split_once("::").is_some_and(|(before, _)| is_helper(before)) {
            return reject("it names a remote helper (`helper::address`)");
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return if scp_host(url).is_some() { Ok(()) } else { reject("it is neither a URL nor `host:path`") };
        };
        if !matches!(scheme, "https" | "http" | "ssh" | "git" | "file") {
            return reject("the scheme is none of https, http, ssh, git and file");
        }
        if rest.starts_with('-') || rest.rsplit_once('@').is_some_and(|(_, host)| host.starts_with('-')) {
            return reject("the host begins with `-`");
        }
        if scheme != "file" && (rest.is_empty() || rest.starts_with('/')) {
            return reject("the host is missing");
        }
        Ok(())
    }

    /// The argument for git, without credentials.
    pub(crate) fn remote_arg(&self) -> OsString {
        match self {
            Self::Url(url) => strip_credentials(url).into(),
            Self::Path(path) => path.into(),
        }
    }

    /// Adds the credentials for this source: tokens, and those in the URL.
    pub(crate) fn authenticate(&self, command: GitCommand) -> GitCommand {
        let command = command.with_credentials();
        let login = match self {
            Self::Url(url) => Login::from_url(url),
            Self::Path(_) => None,
        };
        match login {
            Some(login) => command.with_login(&login),
            None => command,
        }
    }

    /// The names of the branches that the source has now, without those that are not UTF-8.
    pub async fn branches(&self, git: &Git) -> Result<Vec<String>, SourceError> {
        self.validate()?;
        let output = match self {
            Self::Url(_) => {
                let list = git.command("ls-remote", format!("list the branches of {self}")).outside_repository();
                let list =
                    list.timeout(PROBE_TIMEOUT).arg("--end-of-options").arg(self.remote_arg()).arg("refs/heads/*");
                self.authenticate(list).run().await?
            }
            Self::Path(path) => {
                let root = LocalRepo::find(git, path).await?.root;
                let list = git.command("for-each-ref", format!("list the branches of {}", root.display()));
                let list = list.current_dir(&root).args(["--format=%(objectname)%09%(refname)", "refs/heads"]);
                list.no_lazy_fetch().run().await?
            }
        };
        let name = |line: &[u8]| {
            let name = line.split(|byte| *byte == b'\t').nth(1)?.strip_prefix(b"refs/heads/")?;
            String::from_utf8(name.to_vec()).ok()
        };
        Ok(output.lines().filter_map(name).collect())
    }

    /// Looks at the source before anything is created: a wrong address is an error within seconds, not after a clone.
    pub async fn probe(&self, git: &Git) -> Result<Probe, SourceError> {
        self.validate()?;
        match self {
            Self::Url(_) => probe_url(git, self).await,
            Self::Path(path) => probe_path(git, &LocalRepo::find(git, path).await?).await,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(&mask_credentials(url)),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// The host of ssh's short form: what precedes the first colon, if it has no slash.
fn scp_host(text: &str) -> Option<&str> {
    let host = match text.find('[').zip(text.find("]:")) {
        Some((_, end)) => text.get(..=end)?,
        None => text.split_once(':')?.0,
    };
    let name = host.rsplit_once('@').map_or(host, |(_, name)| name);
    (!host.contains('/') && !name.is_empty() && !name.starts_with('-')).then_some(host)
}

async fn probe_url(git: &Git, source: &Source) -> Result<Probe, SourceError> {
    let refs = list_remote(git, source).await?;
    Ok(Probe {
        default_branch: refs.branch,
        head: refs.head,
        empty: refs.empty,
        shallow: false,
        partial: false,
        uncommitted: 0,
    })
}

/// The refs that a server lists.
pub(crate) struct RemoteRefs {
    pub(crate) branch: Option<BranchName>,
    pub(crate) head: Option<Oid>,
    pub(crate) empty: bool,
}

/// Lists HEAD, the default branch and whether there is any branch.
pub(crate) async fn list_remote(git: &Git, source: &Source) -> Result<RemoteRefs, GitError> {
    let command = git.command("ls-remote", format!("reach {source}")).outside_repository().timeout(PROBE_TIMEOUT);
    let command =
        command.args(["--symref", "--end-of-options"]).arg(source.remote_arg()).args(["HEAD", "refs/heads/*"]);
    let output = source.authenticate(command).run().await?;
    let mut refs = RemoteRefs { branch: None, head: None, empty: true };
    for line in output.lines() {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
        let (value, name) = line.split_at(tab);
        let name = name.get(1..).unwrap_or_default();
        match (value.strip_prefix(b"ref: "), name) {
            (Some(target), b"HEAD") => refs.branch = BranchName::from_ref(target),
            (None, b"HEAD") => refs.head = Oid::from_bytes(value),
            (None, name) if name.starts_with(b"refs/heads/") => refs.empty = false,
            _ => {}
        }
    }
    if refs.head.is_some() {
        refs.empty = false;
    }
    Ok(refs)
}

async fn probe_path(git: &Git, local: &LocalRepo) -> Result<Probe, SourceError> {
    let root = &local.root;
    let head = git.command("rev-parse", format!("read HEAD of {}", root.display())).current_dir(root);
    let head = head.args(["--verify", "--quiet", "--end-of-options", "HEAD^{commit}"]);
    // 1: there is no commit yet.
    let head = head.no_lazy_fetch().answer(&[1]).await?.yes().map(|output| output.oid()).transpose()?;
    let any = git.command("for-each-ref", format!("list the branches of {}", root.display())).current_dir(root);
    let any = any.args(["--count=1", "--format=%(objectname)", "refs/heads"]).no_lazy_fetch().run().await?;
    let partial = Promisor::of_repo(git, root).await?.is_some();
    Ok(Probe {
        default_branch: local.branch(git).await?,
        empty: any.stdout.is_empty() && head.is_none(),
        head,
        shallow: local.common_dir.join("shallow").exists(),
        partial,
        uncommitted: local.uncommitted(git).await?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_run_programs_or_are_options_are_rejected() {
        for invalid in [
            "ext::sh -c true",
            "-u",
            "--upload-pack=x",
            "ssh://-oProxyCommand=x/y",
            "ssh://a@-oP/x",
            "ftp://h/x",
            "https://",
            "https:///x",
            "https://h/\nx",
            "git@-oProxyCommand=x:y",
            "fd::17",
            "https::https://h/x",
        ] {
            assert!(Source::Url(invalid.to_owned()).validate().is_err(), "{invalid}");
        }
        for valid in [
            "https://h/a.git",
            "ssh://git@h:2222/a",
            "git@h:a/b.git",
            "file:///a/b",
            "git@[::1]:a/b",
            "alias:a",
            "git://h/a",
        ] {
            assert!(Source::Url(valid.to_owned()).validate().is_ok(), "{valid}");
        }
    }

    #[test]
    fn typed_text_is_a_path_or_a_url() {
        assert!(matches!(Source::parse("/srv/a"), Ok(Source::Path(_))));
        assert!(matches!(Source::parse("work/a"), Ok(Source::Path(_))));
        assert!(matches!(Source::parse("git@h:a/b"), Ok(Source::Url(_))));
        assert!(Source::parse("ext::sh -c x").is_err());
    }

    #[test]
    fn passwords_are_neither_shown_nor_passed_to_git() {
        let source = Source::Url("https://bot:s3cret@h/a.git".to_owned());
        assert_eq!(format!("{source} {source:?}"), "https://bot:***@h/a.git Source(https://bot:***@h/a.git)");
        assert_eq!(source.remote_arg(), "https://h/a.git");
    }
}

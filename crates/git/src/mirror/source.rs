//! Where a repository comes from: a server's address or a folder of this machine; checked before anything is fetched.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::command::failure::masked;
use crate::command::login::Login;
use crate::command::login::public;
use crate::command::runner::{Git, GitCommand, GitError};
use crate::mirror::local_repo::LocalRepo;
use crate::mirror::partial_clone::Promisor;
use crate::names::{BranchName, Oid};

/// How long a server may take to list its refs.
const PROBE_TIMEOUT: Duration = Duration::from_secs(90);

/// Where a repository comes from. `Debug` and `Display` show no password.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// An address: `https`, `http`, `ssh`, `git` or `file` URL, or ssh's short form `[user@]host:path`.
    Url(String),
    /// A repository on this machine: its folder, a folder in it, a linked worktree or a bare repository.
    Path(PathBuf),
}

/// Why a source cannot be used.
#[derive(Debug, Error)]
pub enum SourceError {
    /// An address that git must not be given.
    #[error("{address} is not an address kugetsu can fetch from: {why}")]
    InvalidUrl {
        /// The address, masked.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No such folder.
    #[error("there is no folder {}; check the path", .0.display())]
    NoDirectory(PathBuf),
    /// A folder, but no repository.
    #[error("there is no git repository at {} or above it; run `git init` there, or give another path", .0.display())]
    NoRepository(PathBuf),
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// What a look at a source tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The branch that is checked out there: a server's default branch. `None`: detached, or unknown as it is empty.
    pub default_branch: Option<BranchName>,
    /// The commit of its HEAD.
    pub head: Option<Oid>,
    /// There is no branch with a commit yet.
    pub empty: bool,
    /// Its history is cut off. Only known of a folder.
    pub shallow: bool,
    /// It fetches missing objects when they are needed. Only known of a folder.
    pub partial: bool,
    /// How many files there hold changes that are in no commit. Only known of a folder.
    pub uncommitted: usize,
}

impl Source {
    /// Reads an address or a path as people type them; whatever looks like neither is a path.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let is_path = text.starts_with(['/', '.', '~']) || (!text.contains("://") && short_form(text).is_none());
        let source = if is_path && !text.contains("::") { Self::Path(text.into()) } else { Self::Url(text.to_owned()) };
        source.validate().map(|()| source)
    }

    /// Checks an address without asking anybody.
    ///
    /// # Errors
    /// [`SourceError::InvalidUrl`] for options, remote helpers (`ext::...`), unknown schemes and control characters.
    pub fn validate(&self) -> Result<(), SourceError> {
        let Self::Url(url) = self else { return Ok(()) };
        let refuse = |why| Err(SourceError::InvalidUrl { address: masked(url), why });
        if url.starts_with('-') {
            return refuse("it begins with `-`");
        }
        if url.contains(|c: char| c.is_control()) {
            return refuse("it holds a control character");
        }
        let is_helper = |before: &str| before.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if url.split_once("::").is_some_and(|(before, _)| is_helper(before)) {
            return refuse("it asks for a program of git's (`helper::address`)");
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return if short_form(url).is_some() { Ok(()) } else { refuse("it is neither a URL nor `host:path`") };
        };
        if !matches!(scheme, "https" | "http" | "ssh" | "git" | "file") {
            return refuse("its scheme is none of https, http, ssh, git and file");
        }
        if rest.starts_with('-') || rest.rsplit_once('@').is_some_and(|(_, host)| host.starts_with('-')) {
            return refuse("its host begins with `-`");
        }
        if scheme != "file" && (rest.is_empty() || rest.starts_with('/')) {
            return refuse("the host is missing");
        }
        Ok(())
    }

    /// What git is given, without credentials.
    pub(crate) fn argument(&self) -> OsString {
        match self {
            Self::Url(url) => public(url).into(),
            Self::Path(path) => path.into(),
        }
    }

    /// Adds what a command needs to speak to this source: tokens, and the credentials that its address holds.
    pub(crate) fn reach(&self, command: GitCommand) -> GitCommand {
        let command = command.with_credentials();
        let login = match self {
            Self::Url(url) => Login::of(url),
            Self::Path(_) => None,
        };
        match login {
            Some(login) => command.with_login(&login),
            None => command,
        }
    }

    /// Looks at the source before anything is made: for a clear error within seconds, not after a clone.
    ///
    /// # Errors
    /// [`SourceError`], with the cause where it was recognized.
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
            Self::Url(url) => f.write_str(&masked(url)),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// ssh's short form: the host before the first colon, if no slash comes before it.
fn short_form(text: &str) -> Option<&str> {
    let host = match text.find('[').zip(text.find("]:")) {
        Some((_, end)) => text.get(..=end)?,
        None => text.split_once(':')?.0,
    };
    let name = host.rsplit_once('@').map_or(host, |(_, name)| name);
    (!host.contains('/') && !name.is_empty() && !name.starts_with('-')).then_some(host)
}

async fn probe_url(git: &Git, source: &Source) -> Result<Probe, SourceError> {
    let refs = listed(git, source).await?;
    Ok(Probe {
        default_branch: refs.branch,
        head: refs.head,
        empty: refs.empty,
        shallow: false,
        partial: false,
        uncommitted: 0,
    })
}

/// What a server lists.
pub(crate) struct Listed {
    pub(crate) branch: Option<BranchName>,
    pub(crate) head: Option<Oid>,
    pub(crate) empty: bool,
}

/// Asks a source for its HEAD and whether it has any branch.
pub(crate) async fn listed(git: &Git, source: &Source) -> Result<Listed, GitError> {
    let command = git.command("ls-remote", format!("reach {source}")).outside_repository().timeout(PROBE_TIMEOUT);
    let command = command.args(["--symref", "--end-of-options"]).arg(source.argument()).args(["HEAD", "refs/heads/*"]);
    let output = source.reach(command).run().await?;
    let mut listed = Listed { branch: None, head: None, empty: true };
    for line in output.lines() {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
        let (what, name) = line.split_at(tab);
        let name = name.get(1..).unwrap_or_default();
        match (what.strip_prefix(b"ref: "), name) {
            (Some(target), b"HEAD") => listed.branch = BranchName::of_ref(target),
            (None, b"HEAD") => listed.head = Oid::read(what),
            (None, name) if name.starts_with(b"refs/heads/") => listed.empty = false,
            _ => {}
        }
    }
    if listed.head.is_some() {
        listed.empty = false;
    }
    Ok(listed)
}

async fn probe_path(git: &Git, local: &LocalRepo) -> Result<Probe, SourceError> {
    let place = &local.root;
    let head = git.command("rev-parse", format!("read HEAD of {}", place.display())).current_dir(place);
    let head = head.args(["--verify", "--quiet", "--end-of-options", "HEAD^{commit}"]);
    let head = head.no_lazy_fetch().output().await?;
    let any = git.command("for-each-ref", format!("list the branches of {}", place.display())).current_dir(place);
    let any = any.args(["--count=1", "--format=%(objectname)", "refs/heads"]).no_lazy_fetch().run().await?;
    let partial = Promisor::of(git, place).await?.is_some();
    let head = Oid::read(&head.stdout);
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
    fn addresses_that_run_programs_or_are_options_are_refused() {
        for bad in [
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
            assert!(Source::Url(bad.to_owned()).validate().is_err(), "{bad}");
        }
        for good in [
            "https://h/a.git",
            "ssh://git@h:2222/a",
            "git@h:a/b.git",
            "file:///a/b",
            "git@[::1]:a/b",
            "alias:a",
            "git://h/a",
        ] {
            assert!(Source::Url(good.to_owned()).validate().is_ok(), "{good}");
        }
    }

    #[test]
    fn what_people_type_is_told_apart() {
        assert!(matches!(Source::parse("/srv/a"), Ok(Source::Path(_))));
        assert!(matches!(Source::parse("work/a"), Ok(Source::Path(_))));
        assert!(matches!(Source::parse("git@h:a/b"), Ok(Source::Url(_))));
        assert!(Source::parse("ext::sh -c x").is_err());
    }

    #[test]
    fn no_form_shows_a_password_and_git_is_given_none() {
        let source = Source::Url("https://bot:s3cret@h/a.git".to_owned());
        assert_eq!(format!("{source} {source:?}"), "https://bot:***@h/a.git Source(https://bot:***@h/a.git)");
        assert_eq!(source.argument(), "https://h/a.git");
    }
}

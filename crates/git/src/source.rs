//! Where a repository comes from: a server's address or a folder of this machine; checked before anything is fetched.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_domain::counted::counted;
use thiserror::Error;

use crate::command::failure::masked;
use crate::command::login::Login;
use crate::command::login::public;
use crate::command::runner::{Git, GitCommand, GitError};
use crate::names::{BranchName, Oid};
use crate::partial::Promisor;

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
    BadAddress {
        /// The address, masked.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No such folder.
    #[error("there is no folder {}; check the path", .0.display())]
    NoFolder(PathBuf),
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

/// A repository on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Its folder of files, or its git directory where it is bare.
    pub place: PathBuf,
    /// The git directory that holds its objects.
    pub common: PathBuf,
    /// It has no files of its own.
    pub bare: bool,
}

impl Source {
    /// Reads an address or a path as people type them; whatever looks like neither is a path.
    ///
    /// # Errors
    /// As [`checked`](Self::checked).
    pub fn read(text: &str) -> Result<Self, SourceError> {
        let is_path = text.starts_with(['/', '.', '~']) || (!text.contains("://") && short_form(text).is_none());
        let source = if is_path && !text.contains("::") { Self::Path(text.into()) } else { Self::Url(text.to_owned()) };
        source.checked().map(|()| source)
    }

    /// Checks an address without asking anybody.
    ///
    /// # Errors
    /// [`SourceError::BadAddress`] for options, remote helpers (`ext::...`), unknown schemes and control characters.
    pub fn checked(&self) -> Result<(), SourceError> {
        let Self::Url(url) = self else { return Ok(()) };
        let refuse = |why| Err(SourceError::BadAddress { address: masked(url), why });
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
    /// [`SourceError`], with the cause where it was recognised.
    pub async fn probe(&self, git: &Git) -> Result<Probe, SourceError> {
        self.checked()?;
        match self {
            Self::Url(_) => probe_url(git, self).await,
            Self::Path(path) => probe_path(git, &Located::find(git, path).await?).await,
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

async fn probe_path(git: &Git, located: &Located) -> Result<Probe, SourceError> {
    let place = &located.place;
    let head = git.command("rev-parse", format!("read HEAD of {}", place.display())).current_dir(place);
    let head = head.args(["--verify", "--quiet", "--end-of-options", "HEAD^{commit}"]);
    let head = head.no_lazy_fetch().output().await?;
    let any = git.command("for-each-ref", format!("list the branches of {}", place.display())).current_dir(place);
    let any = any.args(["--count=1", "--format=%(objectname)", "refs/heads"]).no_lazy_fetch().run().await?;
    let partial = Promisor::of(git, place).await?.is_some();
    let head = Oid::read(&head.stdout);
    Ok(Probe {
        default_branch: located.branch(git).await?,
        empty: any.stdout.is_empty() && head.is_none(),
        head,
        shallow: located.common.join("shallow").exists(),
        partial,
        uncommitted: located.uncommitted(git).await?,
    })
}

/// What to tell of changes in a repository that are in no commit.
pub fn not_taken_along(files: usize, place: &str) -> String {
    let changed = counted(files as u64, "changed file");
    format!("{changed} in {place} not committed: the agent begins from the last commit and does not see that")
}

impl Located {
    /// Finds the repository that `path` lies in.
    ///
    /// # Errors
    /// [`SourceError::NoFolder`], [`SourceError::NoRepository`], or git's own words (such as dubious ownership).
    pub async fn find(git: &Git, path: &Path) -> Result<Self, SourceError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let path = &path;
        if !path.is_dir() {
            return Err(SourceError::NoFolder(path.clone()));
        }
        let ask = |what: &[&str]| {
            let command =
                git.command("rev-parse", format!("find the repository at {}", path.display())).current_dir(path);
            command.arg("--path-format=absolute").args(what).no_optional_locks()
        };
        let as_path =
            |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes.strip_suffix(b"\n").unwrap_or(bytes)).to_owned());
        // Whoever starts a task waits for this, so git is asked once where one output tells: of a repository with files,
        // and without a line's end in either path.
        let both = ask(&["--git-common-dir", "--show-toplevel"]).output().await?;
        let lines: Vec<&[u8]> = both.stdout.split(|byte| *byte == b'\n').collect();
        if let (0, [common, place, []]) = (both.code, lines.as_slice()) {
            return Ok(Self { place: as_path(place), common: as_path(common), bare: false });
        }
        let common = ask(&["--git-common-dir"]).output().await?;
        if common.code != 0 {
            let nothing = String::from_utf8_lossy(&common.stderr).contains("not a git repository");
            return Err(if nothing { SourceError::NoRepository(path.clone()) } else { common.failed.into() });
        }
        let common = as_path(&common.stdout);
        let top = ask(&["--show-toplevel"]).output().await?;
        Ok(match top.code {
            0 => Self { place: as_path(&top.stdout), common, bare: false },
            _ => Self { place: as_path(&ask(&["--git-dir"]).run().await?.stdout), common, bare: true },
        })
    }

    /// The branch that is checked out here, even if it has no commit yet; `None` when HEAD is detached.
    ///
    /// # Errors
    /// Git's own words.
    pub async fn branch(&self, git: &Git) -> Result<Option<BranchName>, GitError> {
        let command =
            git.command("symbolic-ref", format!("read HEAD of {}", self.place.display())).current_dir(&self.place);
        let output = command.args(["--quiet", "HEAD"]).output().await?;
        match output.code {
            0 => Ok(BranchName::of_ref(output.line().as_bytes())),
            1 => Ok(None),
            _ => Err(output.failed),
        }
    }

    /// How many files here hold changes that are in no commit, untracked ones included.
    ///
    /// No program that the repository's own settings name is run for it: they may be anybody's who made the files.
    ///
    /// # Errors
    /// Git's own words.
    pub async fn uncommitted(&self, git: &Git) -> Result<usize, GitError> {
        if self.bare {
            return Ok(0);
        }
        let action = format!("read the state of {}", self.place.display());
        let command = git.command("status", action).current_dir(&self.place).no_optional_locks().no_lazy_fetch();
        let mut command = command.args([
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignore-submodules=dirty",
        ]);
        for (key, value) in self.users_filters(git).await? {
            command = command.config(key, value);
        }
        Ok(command.run().await?.records().count())
    }

    /// Every setting of a filter that the repository's own files make, with what the user's files say of it: empty where
    /// they say nothing, and then it is no filter. Where they extend git-lfs by programs, there is no filter of that name.
    async fn users_filters(&self, git: &Git) -> Result<BTreeMap<OsString, OsString>, GitError> {
        let command =
            git.command("config", format!("read the settings of {}", self.place.display())).current_dir(&self.place);
        let output = command
            .args(["--null", "--show-scope", "--includes", "--get-regexp", r"^(filter|lfs\.extension)\."])
            .output()
            .await?;
        if output.code > 1 {
            return Err(output.failed);
        }
        let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let (mut own, mut users) = (BTreeMap::new(), BTreeMap::new());
        let mut parts = output.stdout.split(|byte| *byte == 0);
        while let (Some(scope), Some(entry)) = (parts.next(), parts.next()) {
            // A setting without a value is one that is switched on.
            let (key, value) = match entry.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&entry[..end], &entry[end + 1..]),
                None => (entry, b"true".as_slice()),
            };
            match scope {
                b"system" | b"global" | b"command" => users.insert(text(key), text(value)),
                _ => own.insert(text(key), OsString::new()),
            };
        }
        if own.keys().any(|key| key.as_bytes().starts_with(b"lfs.extension.")) {
            let lfs = ["clean", "smudge", "process", "required"].map(|key| OsString::from(format!("filter.lfs.{key}")));
            users.retain(|key, _| !lfs.contains(key));
            own.extend(lfs.map(|key| (key, OsString::new())));
        }
        Ok(own.into_keys().map(|key| users.remove_entry(&key).unwrap_or((key, OsString::new()))).collect())
    }
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
            assert!(Source::Url(bad.to_owned()).checked().is_err(), "{bad}");
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
            assert!(Source::Url(good.to_owned()).checked().is_ok(), "{good}");
        }
    }

    #[test]
    fn what_people_type_is_told_apart() {
        assert!(matches!(Source::read("/srv/a"), Ok(Source::Path(_))));
        assert!(matches!(Source::read("work/a"), Ok(Source::Path(_))));
        assert!(matches!(Source::read("git@h:a/b"), Ok(Source::Url(_))));
        assert!(Source::read("ext::sh -c x").is_err());
    }

    #[test]
    fn no_form_shows_a_password_and_git_is_given_none() {
        let source = Source::Url("https://bot:s3cret@h/a.git".to_owned());
        assert_eq!(format!("{source} {source:?}"), "https://bot:***@h/a.git Source(https://bot:***@h/a.git)");
        assert_eq!(source.argument(), "https://h/a.git");
    }
}

//! A git directory of the host's own onto a repository that an agent wrote: git works in this one, with this config,
//! while the objects are the agent's (linked or copied, so a link or an `alternates` of the agent's leads outside_repository) and
//! the mirror's.

use std::path::{Path, PathBuf};

use crate::command::runner::{Git, GitCommand, GitError, TRANSFER_TIMEOUT};
use crate::files::access::{FileError, is_real_dir, off_thread, read_regular, replace};
use crate::git_dir::layout::{bare_config, borrow, cut_off, make_git_dir};
use crate::git_dir::objects::take_objects;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::untrusted::reader::{Head, UntrustedRepo};

/// The name of a ref to be taken out of a quarantine.
pub(crate) const OUT_REF: &str = "refs/kugetsu/out";

/// The file that says where a history is cut off.
pub(crate) const SHALLOW: &str = "shallow";

/// Which conversions git may make between files and objects. None of them runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// Line ends and encodings, so that a file which was only checked out does not look changed.
    BuiltIn,
    /// None: bytes are bytes.
    Raw,
}

impl Conversion {
    /// `info/attributes`: it wins over every `.gitattributes`.
    pub(crate) fn attributes(self) -> &'static [u8] {
        match self {
            Self::BuiltIn => b"* -filter -diff -merge\n",
            Self::Raw => b"* -filter -diff -merge -text -eol -crlf -ident -working-tree-encoding\n",
        }
    }
}

/// The quarantine; its directory goes when it is dropped.
pub(crate) struct Quarantine {
    git: Git,
    partial: bool,
    digits: usize,
    /// Object directories that could not be read.
    unreadable: Vec<PathBuf>,
    scratch: tempfile::TempDir,
}

impl Quarantine {
    /// A quarantine with the objects of these git directories over the mirror's, and HEAD at `head`.
    pub(crate) async fn open(mirror: &Mirror, git_dirs: &[&Path], head: Option<&Oid>) -> Result<Self, FileError> {
        let mut config = bare_config(mirror.format(), mirror.promisor().is_some());
        if let Some(promisor) = mirror.promisor() {
            promisor.write(&mut config);
        }
        config.section("core", None).set("bare", "false");
        let partial = mirror.promisor().is_some();
        let mut quarantine = Self {
            git: mirror.git().clone(),
            partial,
            digits: digits(mirror.format()),
            unreadable: Vec::new(),
            scratch: mirror.scratch()?,
        };
        let head = head.map_or("ref: refs/heads/none", Oid::as_str);
        make_git_dir(quarantine.dir(), head, &config)?;
        quarantine.set_conversion(Conversion::BuiltIn)?;
        borrow(&quarantine.objects(), [mirror.objects().as_path()])?;
        if let Some(shallow) = mirror.shallow() {
            replace(&quarantine.dir().join("shallow"), &shallow)?;
        }
        quarantine.link_objects(git_dirs).await;
        Ok(quarantine)
    }

    /// A quarantine onto a repository with a history and a format of its own, such as a submodule. What the mirror has of it,
    /// from an earlier rescue, can be named too.
    pub(crate) async fn open_separate(mirror: &Mirror, git_dir: &Path, head: Option<&Oid>) -> Result<Self, FileError> {
        let format = head.map_or(mirror.format(), |head| if head.digits() == 64 { "sha256" } else { "sha1" });
        let mut config = bare_config(format, false);
        config.section("core", None).set("bare", "false");
        let mut quarantine = Self {
            git: mirror.git().clone(),
            partial: false,
            digits: digits(format),
            unreadable: Vec::new(),
            scratch: mirror.scratch()?,
        };
        make_git_dir(quarantine.dir(), head.map_or("ref: refs/heads/none", Oid::as_str), &config)?;
        quarantine.set_conversion(Conversion::BuiltIn)?;
        let mut shallow = vec![read_shallow(git_dir)];
        if format == mirror.format() {
            borrow(&quarantine.objects(), [mirror.objects().as_path()])?;
            shallow.extend(mirror.shallow());
        }
        let shallow = cut_off(shallow);
        if !shallow.is_empty() {
            replace(&quarantine.dir().join("shallow"), &shallow)?;
        }
        quarantine.link_objects(&[git_dir]).await;
        Ok(quarantine)
    }

    async fn link_objects(&mut self, git_dirs: &[&Path]) {
        for git_dir in git_dirs {
            let objects = git_dir.join("objects");
            if is_real_dir(git_dir)
                && is_real_dir(&objects)
                && take_objects(objects.clone(), self.objects()).await.is_err()
            {
                // What is missing is met again as a damaged commit; the files can still be read.
                self.unreadable.push(objects);
            }
        }
    }

    /// The agent's object directories of which not everything could be read.
    pub(crate) fn unreadable(&self) -> &[PathBuf] {
        &self.unreadable
    }

    /// Its git directory.
    pub(crate) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    fn objects(&self) -> PathBuf {
        self.dir().join("objects")
    }

    /// Sets what git may convert from now on.
    pub(crate) fn set_conversion(&self, conversion: Conversion) -> Result<(), FileError> {
        replace(&self.dir().join("info/attributes"), conversion.attributes())
    }

    /// Puts HEAD on a commit, or on a branch that is not born.
    pub(crate) fn set_head(&self, head: Option<&Oid>) -> Result<(), FileError> {
        let head = head.map_or("ref: refs/heads/none", Oid::as_str);
        replace(&self.dir().join("HEAD"), format!("{head}\n").as_bytes())
    }

    /// Takes a copy of an index as the quarantine's own; `false` if there is none that can be read.
    pub(crate) async fn copy_index(&self, from: &Path) -> Result<bool, FileError> {
        let (from, to) = (from.to_owned(), self.dir().join("index"));
        off_thread(&to.clone(), move || match read_index(&from) {
            Some(bytes) => replace(&to, &bytes).map(|()| true),
            None => Ok(false),
        })
        .await
    }

    /// A command in the quarantine, without files.
    pub(crate) fn command(&self, subcommand: &str, action: impl Into<String>) -> GitCommand {
        self.git.command(subcommand, action).git_dir(self.dir())
    }

    /// A command in the quarantine with these files. Never lets git look into a repository inside them.
    pub(crate) fn command_on(&self, files: &Path, subcommand: &str, action: impl Into<String>) -> GitCommand {
        self.command(subcommand, action)
            .work_tree(files)
            .config("diff.ignoreSubmodules", "all")
            .config("status.submoduleSummary", "false")
            .config("status.relativePaths", "false")
    }

    /// Whether a commit is here with all it needs, apart from what `safe` reaches.
    pub(crate) async fn is_complete(&self, commits: &[&Oid], safe: &[Oid]) -> Result<bool, GitError> {
        let mut command = self.command("rev-list", "check the commits").args(["--objects", "--quiet"]);
        if self.partial {
            command = command.arg("--exclude-promisor-objects");
        }
        let command = command.arg("--stdin");
        Ok(command.stdin(rev_list_input(commits, safe)).output().await?.code == 0)
    }

    /// The commit that an object is or, for a tag, names.
    pub(crate) async fn peel_to_commit(&self, object: &Oid) -> Result<Option<Oid>, GitError> {
        let command = self.command("rev-parse", "find the commit").args(["--verify", "--quiet", "--end-of-options"]);
        let output = command.arg(format!("{object}^{{commit}}")).output().await?;
        Ok(Oid::read(&output.stdout).filter(|_| output.code == 0))
    }

    /// In how many files a tree differs from a commit, or from nothing.
    pub(crate) async fn count_changed_files(&self, from: Option<&Oid>, tree: &Oid) -> Result<usize, GitError> {
        let from = match from {
            Some(from) => from.clone(),
            None => {
                let command = self.command("hash-object", "make an empty tree");
                command.args(["-w", "-t", "tree", "--stdin"]).stdin(Vec::new()).run().await?.oid()?
            }
        };
        let command = self.command("diff-tree", "compare the files").args(["-r", "-z", "--name-only", "--no-renames"]);
        Ok(command.args([from.as_str(), tree.as_str()]).run().await?.records().count())
    }

    /// How long the ids here are.
    pub(crate) fn oid_digits(&self) -> usize {
        self.digits
    }

    /// Goes on without an index.
    pub(crate) fn remove_index(&self) -> Result<(), FileError> {
        let path = self.dir().join("index");
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// The commits reachable from `heads`, but not from `safe`; `None` if git cannot tell.
    pub(crate) async fn commits_not_in(&self, heads: &[&Oid], safe: &[Oid]) -> Result<Option<Vec<Oid>>, GitError> {
        let command = self.command("rev-list", "list the commits").arg("--stdin");
        let output = command.stdin(rev_list_input(heads, safe)).output().await?;
        Ok((output.code == 0).then(|| output.lines().filter_map(Oid::read).collect()))
    }

    /// How many commits are reachable from `commits`, but not from `safe`.
    pub(crate) async fn count_commits_not_in(&self, commits: &[&Oid], safe: &[Oid]) -> Result<u32, GitError> {
        let command = self.command("rev-list", "count the commits").args(["--count", "--stdin"]);
        let output = command.stdin(rev_list_input(commits, safe)).run().await?;
        output.line().parse().map_err(|_| output.unexpected())
    }
}

/// Where a repository that an agent wrote says that its history is cut off.
pub(crate) fn read_shallow(git_dir: &Path) -> Vec<u8> {
    let text = if is_real_dir(git_dir) { read_regular(&git_dir.join(SHALLOW), SHALLOW_MAX) } else { None };
    text.unwrap_or_default()
}

fn digits(format: &str) -> usize {
    if format == "sha256" { 64 } else { 40 }
}

/// Histories are cut off at a few commits.
const SHALLOW_MAX: u64 = 16 * 1024 * 1024;
/// An index of millions of files is smaller.
const INDEX_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// A `.git` that is a link leads to somebody else's index.
fn read_index(path: &Path) -> Option<Vec<u8>> {
    if is_real_dir(path.parent()?) { read_regular(path, INDEX_MAX) } else { None }
}

/// Input for `rev-list --stdin`.
fn rev_list_input(commits: &[&Oid], excluded: &[Oid]) -> Vec<u8> {
    let mut lines = String::new();
    for commit in commits {
        lines.push_str(commit.as_str());
        lines.push('\n');
    }
    for commit in excluded {
        lines.push('^');
        lines.push_str(commit.as_str());
        lines.push('\n');
    }
    lines.into_bytes()
}

/// Where HEAD stands, fit to be shown: the branch's name, or nothing when it is detached.
pub(crate) fn head_branch(repo: &UntrustedRepo) -> Option<String> {
    match repo.head.as_ref()? {
        Head::Symbolic(name) => Some(crate::shown::shown(name.strip_prefix(b"refs/heads/").unwrap_or(name))),
        Head::Detached(_) => None,
    }
}

impl Mirror {
    /// Makes `name` here be `commit` from the quarantine, with all its objects. An object that git's checks find odd (a strange
    /// date, a broken mode) is still taken if its contents are what its id says: work is not lost for its looks.
    pub(crate) async fn import(&self, quarantine: &Quarantine, commit: &Oid, name: &str) -> Result<(), GitError> {
        quarantine.command("update-ref", "name the commit").args([OUT_REF, commit.as_str()]).run().await?;
        match self.take(quarantine, name, true).await {
            Ok(()) => {}
            Err(GitError::Failed { .. }) => self.take(quarantine, name, false).await?,
            Err(error) => return Err(error),
        }
        // Git fetches from a repository whose history is cut off, and then leaves out what it could not take, without
        // an error.
        match self.read_ref(name).await? {
            Some(taken) if taken == *commit => Ok(()),
            _ => Err(GitError::UnexpectedOutput {
                action: "take the commits into the mirror".to_owned(),
                output: format!("the history of {} is cut off", commit.short()),
            }),
        }
    }

    async fn take(&self, quarantine: &Quarantine, name: &str, checked: bool) -> Result<(), GitError> {
        let command = self.command("fetch", "take the commits into the mirror").timeout(TRANSFER_TIMEOUT);
        let command = command.config("fetch.fsckObjects", if checked { "true" } else { "false" });
        // Kept as a pack whatever its size: an agent's thousand loose objects do not become the mirror's.
        let command = command.config("fetch.unpackLimit", "100");
        let command = command.args(["--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options"]);
        command.arg(quarantine.dir()).arg(format!("+{OUT_REF}:{name}")).run().await.map(drop)
    }
}

//! A bare mirror per repository: what every worktree of it borrows its objects from.
//!
//! The server's branches are `refs/remotes/origin/*`, its tags `refs/tags/*`; whatever kugetsu keeps is in
//! `refs/kugetsu/*` and is never touched by an update. Objects are never pruned: worktrees and rescues need them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::OnceCell;

use crate::command::login::Login;
use crate::command::progress::{Progress, ProgressSink};
use crate::command::runner::{Git, GitCommand, GitError, TRANSFER_TIMEOUT};
use crate::files::access::{FileError, make_dir, read_regular, replace};
use crate::files::lock;
use crate::files::removal::being_made;
use crate::git_dir::layout::bare_config;
use crate::git_dir::objects::take_objects;
use crate::mirror::local_repo::LocalRepo;
use crate::mirror::partial_clone::Promisor;
use crate::mirror::source::{Source, SourceError, listed};
use crate::names::{BranchName, Oid};

/// Written last, so a directory that has it is a mirror of ours.
pub(crate) const MARK: &str = "kugetsu-mirror";
/// The commit of the source's HEAD at the last update.
pub(crate) const HEAD_REF: &str = "refs/kugetsu/head";
/// The branch that HEAD stood on, as a symbolic ref.
pub(crate) const DEFAULT_REF: &str = "refs/remotes/origin/HEAD";
/// A temporary directory that a killed process left is removed after this time.
const STALE: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// Why there is no mirror, or why it could not be brought up to date.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// There is something else in its place.
    #[error("{} is not a mirror that kugetsu made; move it away, or set another folder for mirrors", .0.display())]
    NotOurs(PathBuf),
    /// The source cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system says why.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A repository's mirror. Cheap to clone; any number of processes may hold the same one.
#[derive(Clone, Debug)]
pub struct Mirror {
    git: Git,
    dir: PathBuf,
    source: Source,
    format: String,
    promisor: Option<Promisor>,
    pub(crate) upstream: Arc<UpstreamCache>,
}

/// What is found out about the source when it is needed.
#[derive(Debug, Default)]
pub(crate) struct UpstreamCache {
    pub(crate) local_repo: OnceCell<LocalRepo>,
    pub(crate) login: OnceCell<Option<Login>>,
}

impl Mirror {
    /// Opens the mirror at `dir`, if there is one, and asks nothing of `source`: what the mirror keeps can be had where
    /// the repository was moved or deleted, and where a server does not answer.
    ///
    /// # Errors
    /// [`MirrorError::NotOurs`], or an address that git must not be given.
    pub async fn open(git: &Git, dir: &Path, source: &Source) -> Result<Option<Self>, MirrorError> {
        source.validate()?;
        let mut mirror = Self::at(git, dir, source);
        Ok(mirror.is_there().await?.then_some(mirror))
    }

    pub(crate) fn at(git: &Git, dir: &Path, source: &Source) -> Self {
        Self {
            git: git.clone(),
            dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()),
            source: source.clone(),
            format: String::new(),
            promisor: None,
            upstream: Arc::default(),
        }
    }

    /// Opens the mirror at `dir`, or makes it from `source`. Whoever comes while another makes it waits and gets the
    /// same one; a creation that is killed leaves nothing that is taken for a mirror. The source is needed only where the
    /// mirror has to be made.
    ///
    /// # Errors
    /// [`MirrorError`]; nothing is left behind.
    pub async fn open_or_create(
        git: &Git,
        dir: &Path,
        source: &Source,
        progress: ProgressSink<'_>,
    ) -> Result<Self, MirrorError> {
        source.validate()?;
        let mut mirror = Self::at(git, dir, source);
        if !mirror.is_there().await? {
            // A wrong path is answered before anything is made.
            mirror.local_repo().await?;
            if let Some(parent) = mirror.dir.parent() {
                make_dir(parent)?;
            }
            let waiting = format!("waiting for another kugetsu that fetches {source}");
            let _lock = lock::take(&mirror.dir, &waiting, progress).await?;
            if !mirror.is_there().await? {
                mirror.create(progress).await?;
            }
        }
        Ok(mirror)
    }

    /// Whether the mirror is there; reads what it says of itself.
    pub(crate) async fn is_there(&mut self) -> Result<bool, MirrorError> {
        if self.dir.symlink_metadata().is_err() {
            return Ok(false);
        }
        let mark = read_regular(&self.dir.join(MARK), 1024).ok_or_else(|| MirrorError::NotOurs(self.dir.clone()))?;
        self.format = String::from_utf8_lossy(&mark).trim().to_owned();
        self.promisor = Promisor::of_mirror(&self.git, &self.dir).await?;
        Ok(true)
    }

    async fn create(&mut self, progress: ProgressSink<'_>) -> Result<(), MirrorError> {
        sweep(&self.dir);
        let dir = being_made(&self.dir);
        let made = self.create_in(&dir, progress).await;
        match made {
            Ok(()) => std::fs::rename(&dir, &self.dir)
                .map_err(|source| FileError { action: "put in place", path: self.dir.clone(), source }.into()),
            Err(error) => {
                // The error that is reported says more than a failure to tidy up after it would.
                let _ = std::fs::remove_dir_all(&dir);
                Err(error)
            }
        }
    }

    async fn create_in(&mut self, dir: &Path, progress: ProgressSink<'_>) -> Result<(), MirrorError> {
        progress(Progress::new(format!("fetching {}", self.source)));
        let command =
            self.git.command("clone", format!("fetch {}", self.source)).outside_repository().timeout(TRANSFER_TIMEOUT);
        let mut command = command.args(["--bare", "--progress", "--template="]);
        if let Some(local) = self.local_repo().await?.cloned() {
            self.promisor = Promisor::of(&self.git, &local.root).await?;
            // Objects are linked, not copied; but not if the source itself borrows what others may remove.
            let borrows = local.common_dir.join("objects/info/alternates").exists();
            command = command.arg(if borrows && self.promisor.is_none() { "--no-local" } else { "--local" });
        }
        command = command.arg("--end-of-options").arg(self.argument().await?).arg(dir);
        self.reach(command).await.without_git_dir().run_with_progress(progress).await?;

        let format = self.git.command("rev-parse", "read the object format").git_dir(dir);
        self.format = format.arg("--show-object-format").run().await?.line();
        let mut config = bare_config(&self.format, self.promisor.is_some());
        if let Some(promisor) = &self.promisor {
            promisor.write(&mut config);
        }
        replace(&dir.join("config"), config.bytes())?;
        let made = Self { dir: dir.to_owned(), ..self.clone() };
        made.move_branches().await?;
        made.record_head().await?;
        replace(&dir.join(MARK), format!("{}\n", self.format).as_bytes())?;
        Ok(())
    }

    /// A clone has the server's branches as its own; here they belong to the server.
    async fn move_branches(&self) -> Result<(), MirrorError> {
        let mut lines = Vec::new();
        for (name, oid) in self.refs(&["refs/heads"]).await? {
            let Some(branch) = name.strip_prefix(b"refs/heads/") else { continue };
            for part in [b"create refs/remotes/origin/".as_slice(), branch, b"\0", oid.as_str().as_bytes(), b"\0"] {
                lines.extend_from_slice(part);
            }
            for part in [b"delete ".as_slice(), &name, b"\0", oid.as_str().as_bytes(), b"\0"] {
                lines.extend_from_slice(part);
            }
        }
        let command = self.command("update-ref", "put the branches in place");
        command.args(["--no-deref", "--stdin", "-z"]).stdin(lines).run().await?;
        Ok(())
    }

    /// Fetches the source's branches and tags. What the source no longer has goes from `refs/remotes/origin` and
    /// `refs/tags`, and from outside_repository else.
    ///
    /// # Errors
    /// [`MirrorError`]; the mirror is then as it was.
    pub async fn update(&self, progress: ProgressSink<'_>) -> Result<(), MirrorError> {
        let waiting = format!("waiting for another kugetsu that fetches {}", self.source);
        let _lock = lock::take(&self.dir, &waiting, progress).await?;
        if let (Some(local), Some(_)) = (self.local_repo().await?, &self.promisor) {
            take_objects(local.common_dir.join("objects"), self.objects()).await?;
        }
        self.fetch(&["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"], true, progress).await?;
        self.record_head().await
    }

    async fn fetch(&self, specs: &[&str], prune: bool, progress: ProgressSink<'_>) -> Result<(), MirrorError> {
        let command = self.command("fetch", format!("fetch from {}", self.source)).timeout(TRANSFER_TIMEOUT);
        let mut command = command.args(["--progress", "--no-tags", "--no-write-fetch-head", "--update-shallow"]);
        if prune {
            command = command.arg("--prune");
        }
        command = command.arg("--end-of-options").arg(self.argument().await?).args(specs);
        self.reach(command).await.run_with_progress(progress).await?;
        Ok(())
    }

    /// Notes where the source's HEAD stands: its default branch, or the commit of a detached HEAD.
    async fn record_head(&self) -> Result<(), MirrorError> {
        let (branch, head) = match self.local_repo().await? {
            Some(local) => {
                let branch = local.branch(&self.git).await?;
                let head = self.git.command("rev-parse", "read the source's HEAD").current_dir(&local.root);
                let head = head.args(["--verify", "--quiet", "HEAD^{commit}"]).output().await?;
                (branch, Oid::read(&head.stdout))
            }
            None => {
                let listed = listed(&self.git, &self.source).await?;
                (listed.branch, listed.head)
            }
        };
        if let Some(head) = &head {
            if !self.has(head).await? {
                self.fetch(&[&format!("+HEAD:{HEAD_REF}")], false, &mut |_| ()).await?;
            }
            self.command("update-ref", "note the source's HEAD").args([HEAD_REF, head.as_str()]).run().await?;
        }
        let command = self.command("symbolic-ref", "note the default branch");
        match branch {
            Some(branch) => command.args([DEFAULT_REF, &branch.tracking()]).run().await?,
            // Exit code 1: there was none.
            None => command.args(["--delete", DEFAULT_REF]).output().await?,
        };
        Ok(())
    }

    /// The same mirror while it is being made at another place.
    pub(crate) fn placed_at(&self, dir: &Path, format: &str) -> Self {
        Self { dir: dir.to_owned(), format: format.to_owned(), ..self.clone() }
    }

    /// Whether a commit is here.
    pub(crate) async fn has(&self, commit: &Oid) -> Result<bool, GitError> {
        let command = self.command("cat-file", "look for a commit").no_lazy_fetch();
        Ok(command.arg("-e").arg(format!("{commit}^{{commit}}")).output().await?.code == 0)
    }

    /// The source's default branch (the one checked out there, for a folder), even if it has no commit yet.
    ///
    /// # Errors
    /// Git's own words.
    pub async fn default_branch(&self) -> Result<Option<BranchName>, GitError> {
        let output =
            self.command("symbolic-ref", "read the default branch").args(["--quiet", DEFAULT_REF]).output().await?;
        let target = output.line();
        let name = target.strip_prefix("refs/remotes/origin/").unwrap_or_default();
        Ok(BranchName::new(name).ok())
    }

    /// Refs below these prefixes with the object each names, sorted by name; symbolic ones left out.
    pub(crate) async fn refs(&self, prefixes: &[&str]) -> Result<Vec<(Vec<u8>, Oid)>, GitError> {
        let command =
            self.command("for-each-ref", "list refs").arg("--format=%(objectname) %(refname) %(symref)").args(prefixes);
        let output = command.run().await?;
        let read = |line: &[u8]| {
            let mut words = line.split(|byte| *byte == b' ');
            let (oid, name, target) = (Oid::read(words.next()?)?, words.next()?, words.next()?);
            target.is_empty().then(|| (name.to_vec(), oid))
        };
        Ok(output.lines().filter_map(read).collect())
    }

    /// The object a ref names.
    pub(crate) async fn read_ref(&self, name: &str) -> Result<Option<Oid>, GitError> {
        let command = self.command("rev-parse", "read a ref").args(["--verify", "--quiet", "--end-of-options"]);
        Ok(Oid::read(&command.arg(name).output().await?.stdout))
    }

    /// A command in the mirror.
    pub(crate) fn command(&self, subcommand: &str, action: impl Into<String>) -> GitCommand {
        self.git.command(subcommand, action).git_dir(&self.dir)
    }

    /// The git that works here.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where it comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Its objects, which worktrees borrow read-only.
    pub fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    /// `sha1` or `sha256`.
    pub(crate) fn format(&self) -> &str {
        &self.format
    }

    pub(crate) fn promisor(&self) -> Option<&Promisor> {
        self.promisor.as_ref()
    }

    /// Where the history is cut off, if it is: borrowers need the same file.
    pub(crate) fn shallow(&self) -> Option<Vec<u8>> {
        std::fs::read(self.dir.join("shallow")).ok().filter(|lines| !lines.is_empty())
    }

    /// A directory in the mirror for short work, removed when it is dropped.
    pub(crate) fn scratch(&self) -> Result<tempfile::TempDir, FileError> {
        let place = self.dir.join("scratch");
        make_dir(&place)?;
        for entry in std::fs::read_dir(&place).into_iter().flatten().flatten() {
            let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > STALE) {
                // Left by a killed process; if it cannot be removed now, the next command tries again.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        tempfile::tempdir_in(&place).map_err(|source| FileError { action: "make a directory in", path: place, source })
    }
}

/// Removes what killed creations left beside `dir`; the caller holds its lock.
fn sweep(dir: &Path) {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else { return };
    let mut prefix = name.to_owned();
    prefix.push(".new-");
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            // It is in nobody's way; the next creation tries again.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

//! A repository's mirror: a bare repository whose objects every worktree of it borrows.
//!
//! The server's branches are `refs/remotes/origin/*` and its tags `refs/tags/*`. kugetsu's own refs are in
//! `refs/kugetsu/*`, which no update touches. Objects are never pruned, since worktrees and rescues need them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::OnceCell;

use crate::command::answer::is_damage;
use crate::command::login::Login;
use crate::command::progress::{Progress, ProgressSink};
use crate::command::runner::{Git, GitCommand, GitError, TRANSFER_TIMEOUT, has_commit};
use crate::files::access::{FileError, create_dir_all, is_there, read_if_there, write_atomic};
use crate::files::lock;
use crate::files::removal::staging_path;
use crate::files::special::special_file_in_mirror;
use crate::git_dir::layout::bare_config;
use crate::mirror::local_repo::LocalRepo;
use crate::mirror::partial_clone::Promisor;
use crate::mirror::source::{Source, SourceError, list_remote};
use crate::names::{BranchName, Oid};

/// Marks a complete mirror: the file is written last. It holds the object format.
pub(crate) const MARK: &str = "kugetsu-mirror";
/// The commit of the source's HEAD at the last update.
pub(crate) const HEAD_REF: &str = "refs/kugetsu/head";
/// The default branch at the last update, as a symbolic ref.
pub(crate) const DEFAULT_REF: &str = "refs/remotes/origin/HEAD";
/// The refs of what kugetsu pushed last: `refs/kugetsu/pushed/<branch>`.
pub(crate) const PUSHED: &str = "refs/kugetsu/pushed/";
/// The refs of rescues: `refs/kugetsu/rescue/<issue>/<time>`.
pub(crate) const RESCUE: &str = "refs/kugetsu/rescue/";
/// The refs of objects of rescues that are no commits: `refs/kugetsu/kept/<issue>/<time>/<number>`.
pub(crate) const KEPT: &str = "refs/kugetsu/kept/";

/// Maximum size of a `shallow` file in bytes. Histories are cut off at a few commits.
pub(crate) const SHALLOW_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, Error)]
pub enum MirrorError {
    /// Something else is at the mirror's path.
    #[error("{} is not a mirror that kugetsu made", .0.display())]
    NotOurs(PathBuf),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl MirrorError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotOurs(_) => Some("move it away, then try again".to_owned()),
            Self::Source(error) => error.hint(),
            Self::Git(error) => error.hint(),
            Self::File(_) => None,
        }
    }
}

/// Cheap to clone. Any number of processes may use the same mirror.
#[derive(Clone, Debug)]
pub struct Mirror {
    git: Git,
    dir: PathBuf,
    source: Source,
    /// The object format: `sha1` or `sha256`.
    format: String,
    promisor: Option<Promisor>,
    pub(crate) upstream: Arc<UpstreamCache>,
}

/// Facts about the source, looked up when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct UpstreamCache {
    pub(crate) local_repo: OnceCell<LocalRepo>,
    pub(crate) login: OnceCell<Option<Login>>,
}

impl Mirror {
    /// Opens the mirror at `dir`; `None` if there is none. Does not access `source`, so it works where the repository was
    /// moved or deleted and where the server does not answer.
    ///
    /// # Errors
    /// [`MirrorError::NotOurs`], [`SourceError::InvalidUrl`].
    pub async fn open(git: &Git, dir: &Path, source: &Source) -> Result<Option<Self>, MirrorError> {
        source.validate()?;
        let mut mirror = Self::at(git, dir, source);
        Ok(mirror.load().await?.then_some(mirror))
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

    /// Opens the mirror at `dir`, or creates it from `source`, which is accessed only then. Concurrent callers wait for
    /// the one that creates it. A creation that fails or is killed leaves nothing that passes for a mirror.
    pub async fn open_or_create(
        git: &Git,
        dir: &Path,
        source: &Source,
        progress: ProgressSink<'_>,
    ) -> Result<Self, MirrorError> {
        source.validate()?;
        let mut mirror = Self::at(git, dir, source);
        if !mirror.load().await? {
            // Report a wrong path before anything is created.
            mirror.local_repo().await?;
            if let Some(parent) = mirror.dir.parent() {
                create_dir_all(parent)?;
            }
            let waiting = format!("waiting for another kugetsu process that fetches {source}");
            let _lock = lock::acquire(&mirror.dir, &waiting, progress).await?;
            if !mirror.load().await? {
                mirror.create(progress).await?;
            }
        }
        Ok(mirror)
    }

    /// Reads the format and the promisor; `false` if there is no mirror.
    pub(crate) async fn load(&mut self) -> Result<bool, MirrorError> {
        if !is_there(&self.dir)? {
            return Ok(false);
        }
        let mark = read_if_there(&self.dir.join(MARK), 1024)?.ok_or_else(|| MirrorError::NotOurs(self.dir.clone()))?;
        if let Some(special) = special_file_in_mirror(&self.dir) {
            return Err(special.error().into());
        }
        self.format = String::from_utf8_lossy(&mark).trim().to_owned();
        self.promisor = Promisor::of_mirror(&self.git, &self.dir).await?;
        Ok(true)
    }

    async fn create(&mut self, progress: ProgressSink<'_>) -> Result<(), MirrorError> {
        remove_leftovers(&self.dir);
        let dir = staging_path(&self.dir);
        let made = self.create_in(&dir, progress).await;
        match made {
            Ok(()) => std::fs::rename(&dir, &self.dir)
                .map_err(|source| FileError { action: "create", path: self.dir.clone(), source }.into()),
            Err(error) => {
                // The error says more than a failure to clean up after it.
                let _ = std::fs::remove_dir_all(&dir);
                Err(error)
            }
        }
    }

    pub(super) async fn create_in(&mut self, dir: &Path, progress: ProgressSink<'_>) -> Result<(), MirrorError> {
        progress(Progress::new(format!("fetching {}", self.source)));
        let local = self.local_repo().await?.cloned();
        self.promisor = match &local {
            Some(local) => Promisor::of_repo(&self.git, &local.root).await?,
            None => None,
        };
        match (&local, &self.promisor) {
            (Some(local), Some(promisor)) => self.create_copy(dir, local, promisor).await?,
            _ => self.clone_into(dir, local.as_ref(), progress).await?,
        }

        let format = self.git.command("rev-parse", "read the object format").git_dir(dir);
        self.format = format.arg("--show-object-format").run().await?.line();
        let mut config = bare_config(&self.format, self.promisor.is_some());
        if let Some(promisor) = &self.promisor {
            promisor.write(&mut config);
        }
        write_atomic(&dir.join("config"), config.bytes())?;
        let made = Self { dir: dir.to_owned(), ..self.clone() };
        if self.promisor.is_none() {
            made.move_branches().await?;
        }
        made.record_head().await?;
        write_atomic(&dir.join(MARK), format!("{}\n", self.format).as_bytes())?;
        Ok(())
    }

    async fn clone_into(
        &self,
        dir: &Path,
        local: Option<&LocalRepo>,
        progress: ProgressSink<'_>,
    ) -> Result<(), MirrorError> {
        let command =
            self.git.command("clone", format!("fetch {}", self.source)).outside_repository().timeout(TRANSFER_TIMEOUT);
        let mut command = command.args(["--bare", "--progress", "--template="]);
        if let Some(local) = local {
            // Git copies the objects of a path. Links would be faster, but damage to one of the repositories would reach the
            // other, and some file systems refuse them. Objects are not copied if the source borrows some itself: their owner
            // may remove them.
            command = command.arg("--no-hardlinks");
            if local.common_dir.join("objects/info/alternates").exists() {
                command = command.arg("--no-local");
            }
        }
        command = command.creates(dir).arg("--end-of-options").arg(self.remote_arg().await?).arg(dir);
        self.authenticate(command).await.without_git_dir().run_with_progress(progress).await?;
        Ok(())
    }

    /// Moves `refs/heads/*`, where a bare clone puts the server's branches, to `refs/remotes/origin/*`.
    async fn move_branches(&self) -> Result<(), MirrorError> {
        let mut lines = Vec::new();
        for (name, oid) in self.refs(&["refs/heads"]).await? {
            let Some(branch) = name.strip_prefix(b"refs/heads/") else { continue };
            // Without old values, so that it can be repeated.
            for part in [b"update refs/remotes/origin/".as_slice(), branch, b"\0", oid.as_str().as_bytes(), b"\0\0"] {
                lines.extend_from_slice(part);
            }
            for part in [b"delete ".as_slice(), &name, b"\0\0"] {
                lines.extend_from_slice(part);
            }
        }
        let command = self.command("update-ref", "rename the branches");
        command.args(["--no-deref", "--stdin", "-z"]).stdin(lines).run().await?;
        Ok(())
    }

    /// Fetches the source's branches and tags. Refs that the source no longer has are removed from `refs/remotes/origin`
    /// and `refs/tags`, and from nowhere else. If it fails, the mirror is as it was.
    pub async fn update(&self, progress: ProgressSink<'_>) -> Result<(), MirrorError> {
        let waiting = format!("waiting for another kugetsu process that fetches {}", self.source);
        let _lock = lock::acquire(&self.dir, &waiting, progress).await?;
        self.repair_if_emptied_locked(progress).await?;
        let (local, ()) =
            tokio::try_join!(async { Ok::<_, MirrorError>(self.local_repo().await?) }, self.remove_leftovers())?;
        if let (Some(local), Some(_)) = (local, &self.promisor) {
            self.update_copy(local).await?;
            return self.record_head().await;
        }
        match self.fetch(&["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"], true, progress).await {
            Err(MirrorError::Git(error)) if is_damage(&error) => {
                self.repair_locked(progress).await?;
            }
            fetched => fetched?,
        }
        self.record_head().await
    }

    async fn fetch(&self, specs: &[&str], prune: bool, progress: ProgressSink<'_>) -> Result<(), MirrorError> {
        let command = self.command("fetch", format!("fetch from {}", self.source)).timeout(TRANSFER_TIMEOUT);
        let mut command = command.args(["--progress", "--no-tags", "--no-write-fetch-head", "--update-shallow"]);
        if prune {
            command = command.arg("--prune");
        }
        command = command.arg("--end-of-options").arg(self.remote_arg().await?).args(specs);
        self.authenticate(command).await.run_with_progress(progress).await?;
        Ok(())
    }

    /// Records the source's default branch, and the commit of its HEAD, which may be detached.
    async fn record_head(&self) -> Result<(), MirrorError> {
        let (branch, head) = match self.local_repo().await? {
            Some(local) => {
                let head = self.git.command("rev-parse", "read the source's HEAD").current_dir(&local.root);
                // 1: there is no commit yet.
                let head = head.args(["--verify", "--quiet", "HEAD^{commit}"]).answer(&[1]);
                let (branch, head) = tokio::try_join!(local.branch(&self.git), head)?;
                let head = head.yes();
                (branch, head.map(|output| output.oid()).transpose()?)
            }
            None => {
                let refs = list_remote(&self.git, &self.source).await?;
                (refs.branch, refs.head)
            }
        };
        let recorded = tokio::try_join!(self.default_branch(), self.read_ref(HEAD_REF))?;
        if recorded == (branch.clone(), head.clone()) {
            return Ok(());
        }
        if let Some(head) = &head {
            if !self.has_commit(head).await? {
                self.fetch(&[&format!("+HEAD:{HEAD_REF}")], false, &mut |_| ()).await?;
            }
            self.command("update-ref", "record the source's HEAD").args([HEAD_REF, head.as_str()]).run().await?;
        }
        let action = "record the default branch";
        match branch {
            Some(branch) => {
                self.command("symbolic-ref", action).args([DEFAULT_REF, &branch.tracking_ref()]).run().await?
            }
            // Deleting a missing ref is no error.
            None => self.command("update-ref", action).args(["--no-deref", "-d", DEFAULT_REF]).run().await?,
        };
        Ok(())
    }

    /// The same mirror at the path where it is being made.
    pub(crate) fn at_dir(&self, dir: &Path, format: &str) -> Self {
        Self { dir: dir.to_owned(), format: format.to_owned(), ..self.clone() }
    }

    /// Whether the mirror has the commit. A partial clone does not fetch it.
    pub(crate) async fn has_commit(&self, commit: &Oid) -> Result<bool, GitError> {
        let command = self.command("cat-file", "look up a commit").no_lazy_fetch();
        has_commit(command, commit).await
    }

    /// Whether the mirror has an object of any kind. A partial clone does not fetch it.
    pub(crate) async fn has_object(&self, object: &Oid) -> Result<bool, GitError> {
        let command = self.command("cat-file", "look up an object").no_lazy_fetch();
        // 1: it is missing.
        Ok(command.args(["-e", object.as_str()]).answer(&[1]).await?.is_yes())
    }

    /// The source's default branch as of the last update, even if it has no commit yet. For a local repository: the
    /// branch that was checked out there.
    pub async fn default_branch(&self) -> Result<Option<BranchName>, GitError> {
        let command = self.command("symbolic-ref", "read the default branch").args(["--quiet", DEFAULT_REF]);
        // 1: there is no such symbolic ref.
        let target = command.answer(&[1]).await?.yes().map(|output| output.line()).unwrap_or_default();
        let name = target.strip_prefix("refs/remotes/origin/").unwrap_or_default();
        Ok(BranchName::new(name).ok())
    }

    /// The commits of the server's branches and tags, as of the last update.
    pub(crate) async fn server_commits(&self) -> Result<Vec<Oid>, GitError> {
        self.tips(&["refs/remotes/origin", "refs/tags"]).await
    }

    /// The refs below these prefixes, sorted by name, without symbolic refs.
    pub(crate) async fn refs(&self, prefixes: &[&str]) -> Result<Vec<(Vec<u8>, Oid)>, GitError> {
        let command =
            self.command("for-each-ref", "list refs").arg("--format=%(objectname) %(refname) %(symref)").args(prefixes);
        let output = command.run().await?;
        if output.warns(&["ignoring broken ref", "ignoring ref with broken name"]) {
            return Err(output.incomplete());
        }
        let read = |line: &[u8]| {
            let mut fields = line.split(|byte| *byte == b' ');
            let (oid, name, target) = (Oid::from_bytes(fields.next()?)?, fields.next()?, fields.next()?);
            target.is_empty().then(|| (name.to_vec(), oid))
        };
        Ok(output.lines().filter_map(read).collect())
    }

    pub(crate) async fn read_ref(&self, name: &str) -> Result<Option<Oid>, GitError> {
        let command = self.command("rev-parse", "read a ref").args(["--verify", "--quiet", "--end-of-options"]);
        // 1: there is no such ref.
        command.arg(name).answer(&[1]).await?.yes().map(|output| output.oid()).transpose()
    }

    /// Begins a git command in the mirror.
    pub(crate) fn command(&self, subcommand: &str, action: impl Into<String>) -> GitCommand {
        self.git.command(subcommand, action).owned_git_dir(&self.dir)
    }

    pub fn git(&self) -> &Git {
        &self.git
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The object directory, which worktrees borrow from.
    pub fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    /// The object format: `sha1` or `sha256`.
    pub(crate) fn format(&self) -> &str {
        &self.format
    }

    pub(crate) fn promisor(&self) -> Option<&Promisor> {
        self.promisor.as_ref()
    }

    /// The `shallow` file, if the history is cut off. Every repository that borrows from the mirror needs the same.
    pub(crate) fn shallow(&self) -> Result<Option<Vec<u8>>, FileError> {
        Ok(read_if_there(&self.dir.join("shallow"), SHALLOW_MAX)?.filter(|lines| !lines.is_empty()))
    }

    /// The tips of everything that is safe: on the server as of the last update, pushed by kugetsu, or in a rescue.
    pub(crate) async fn safe_commits(&self) -> Result<Vec<Oid>, GitError> {
        let prefixes = [PUSHED, RESCUE, KEPT].map(|prefix| prefix.trim_end_matches('/'));
        self.tips(&[&["refs/remotes/origin", "refs/tags"], prefixes.as_slice()].concat()).await
    }

    /// The objects of all refs. Each is complete, since git checked it when it came in.
    pub(crate) async fn known_commits(&self) -> Result<Vec<Oid>, GitError> {
        self.tips(&["refs"]).await
    }

    /// The tips of the server's branches except `own`.
    pub(crate) async fn other_branch_tips(&self, own: &BranchName) -> Result<Vec<Oid>, GitError> {
        let own = own.tracking_ref();
        let refs = self.refs(&["refs/remotes/origin"]).await?;
        Ok(sorted(refs.into_iter().filter(|(name, _)| *name != own.as_bytes()).map(|(_, oid)| oid).collect()))
    }

    async fn tips(&self, prefixes: &[&str]) -> Result<Vec<Oid>, GitError> {
        Ok(sorted(self.refs(prefixes).await?.into_iter().map(|(_, oid)| oid).collect()))
    }
}

/// Removes what killed creations left beside `dir`. The caller holds the lock.
fn remove_leftovers(dir: &Path) {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else { return };
    let mut prefix = name.to_owned();
    prefix.push(".new-");
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            // It does no harm; the next creation tries again.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn sorted(mut oids: Vec<Oid>) -> Vec<Oid> {
    oids.sort_unstable();
    oids.dedup();
    oids
}

//! An issue's worktree from its creation to its removal: the files, a git directory of their own, and the relay.
//!
//! The git directory is a real `.git` that borrows the mirror's objects, so an agent cannot touch the refs or locks of
//! another; its `origin` is the relay. Both are made under a staging name and renamed when they are complete.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::command::answer::is_damage;
use crate::command::login::strip_credentials;
use crate::command::progress::ProgressSink;
use crate::command::runner::{ConfigScope, GitError};
use crate::command::stale_locks;
use crate::files::access::{FileError, IoContext, create_dir_all, is_dir_there, is_real_dir, is_there, write_atomic};
use crate::files::lock;
use crate::files::removal::{remove_staging, remove_tree, staging_path};
use crate::git_dir::layout::{ConfigFile, create_git_dir, format_packed_refs, merge_shallow, write_alternates};
use crate::lfs::setup::{Lfs, write_endpoints};
use crate::mirror::base::Base;
use crate::mirror::repo::{Mirror, MirrorError};
use crate::names::{BranchName, Oid};
use crate::printable::printable;
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::read_shallow;
use crate::worktree::checkout;
use crate::worktree::identity::Identity;
use crate::worktree::ownership::{Ownership, claim, is_relay_unused, ownership, release};
use crate::worktree::relay;
use crate::worktree::submodules::Submodules;
use crate::worktree::template_hooks::TemplateHooks;

#[derive(Debug, Error)]
pub enum WorktreeError {
    #[error("there is already a worktree at {}", .0.display())]
    Exists(PathBuf),
    #[error("the worktree {} does not exist", .0.display())]
    Missing(PathBuf),
    /// Something else is at the path of the worktree or the relay.
    #[error("{} was not made by kugetsu and is left unchanged", .0.display())]
    NotOurs(PathBuf),
    /// Git cannot have a branch `a` and a branch `a/b`.
    #[error("git cannot have the branch {branch} beside {other}, which is on the server")]
    BranchConflict {
        /// The branch.
        branch: BranchName,
        /// The server's branch.
        other: String,
    },
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl WorktreeError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotOurs(_) => Some("move it away, then try again".to_owned()),
            Self::BranchConflict { other, .. } => Some(format!("rename or delete {other} on the server")),
            Self::Git(error) => error.hint(),
            Self::Exists(_) | Self::Missing(_) | Self::File(_) => None,
        }
    }
}

impl From<StatusError> for WorktreeError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Git(error) => Self::Git(error),
            StatusError::File(error) => Self::File(error),
            StatusError::Unreadable { dir, why } => {
                Self::File(FileError { action: "read all of", path: dir, source: std::io::Error::other(why) })
            }
        }
    }
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Worktree {
    mirror: Mirror,
    dir: PathBuf,
    relay: PathBuf,
    branch: BranchName,
}

#[derive(Clone, Debug)]
pub struct WorktreeSpec {
    /// The directory of the files; the git directory is `.git` in it.
    pub dir: PathBuf,
    /// The relay repository. Beside it lie `<relay>.owned` and `<relay>.lock`, so no agent may write its parent directory.
    pub relay: PathBuf,
    /// The branch.
    pub branch: BranchName,
    pub base: Base,
}

/// A worktree that was just created.
#[derive(Clone, Debug)]
pub struct Created {
    pub worktree: Worktree,
    /// The commit that the work begins at; `None` in an empty repository.
    pub base_sha: Option<Oid>,
    /// Notices for the user, one sentence each.
    pub notices: Vec<String>,
}

impl Worktree {
    /// Creates a worktree and its relay. A creation that fails or is killed leaves nothing that passes for a worktree, and
    /// the next one removes its leftovers. A relay whose worktree is gone is used again, since the agent may have pushed
    /// into it.
    pub async fn create(
        mirror: &Mirror,
        spec: WorktreeSpec,
        progress: ProgressSink<'_>,
    ) -> Result<Created, WorktreeError> {
        let worktree = Self::at(mirror, &spec.dir, &spec.relay, &spec.branch);
        for parent in [worktree.dir.parent(), worktree.relay.parent()].into_iter().flatten() {
            create_dir_all(parent)?;
        }
        let waiting = format!("waiting for another kugetsu process that works on {}", worktree.dir.display());
        let _lock = lock::acquire(&worktree.relay, &waiting, progress).await?;
        worktree.check_free().await?;
        // A relay that is used again may be from before the home was moved.
        worktree.settle().await?;

        let server = relay::server_refs(mirror).await?;
        worktree.check_branch(&server)?;
        claim(&worktree.dir, &worktree.relay)?;
        let mut made = worktree.make(&server, &spec.base, progress).await;
        if let Err(WorktreeError::Git(error)) = &made
            && is_damage(error)
        {
            remove_staging(&worktree.dir).await?;
            made = match mirror.repair(progress).await {
                Ok(_) => worktree.make(&server, &spec.base, progress).await,
                Err(MirrorError::Git(error)) => Err(error.into()),
                Err(MirrorError::File(error)) => Err(error.into()),
                // The damage says more than that the source cannot be reached.
                Err(MirrorError::NotOurs(_) | MirrorError::Source(_)) => made,
            };
        }
        if made.is_err() {
            remove_staging(&worktree.dir).await?;
            worktree.release_unused().await?;
        }
        Ok(Created { notices: made?, base_sha: spec.base.commit, worktree })
    }

    pub(crate) fn at(mirror: &Mirror, dir: &Path, relay: &Path, branch: &BranchName) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { mirror: mirror.clone(), dir: absolute(dir), relay: absolute(relay), branch: branch.clone() }
    }

    /// Removes leftovers and checks that nothing else is at the paths. The caller holds the lock.
    async fn check_free(&self) -> Result<(), WorktreeError> {
        remove_staging(&self.dir).await?;
        remove_staging(&self.relay).await?;
        if is_real_dir(&self.dir) && std::fs::read_dir(&self.dir).context("read", &self.dir)?.next().is_none() {
            remove_tree(&self.dir).await?;
        }
        let exists = is_there(&self.dir)?;
        match ownership(&self.dir, &self.relay)? {
            Ownership::Ours if exists => Err(WorktreeError::Exists(self.dir.clone())),
            Ownership::Ours | Ownership::Vacant => Ok(()),
            Ownership::NotOurs if exists => Err(WorktreeError::NotOurs(self.dir.clone())),
            Ownership::NotOurs => Err(WorktreeError::NotOurs(self.relay.clone())),
        }
    }

    /// Checks that the branch does not conflict with one on the server.
    pub(crate) fn check_branch(&self, server: &BTreeMap<Vec<u8>, Oid>) -> Result<(), WorktreeError> {
        let own = format!("{}/", self.branch.full_ref());
        let conflicts = |name: &[u8]| {
            let theirs = [name, b"/"].concat();
            theirs != own.as_bytes() && (theirs.starts_with(own.as_bytes()) || own.as_bytes().starts_with(&theirs))
        };
        match server.keys().find(|name| conflicts(name)) {
            Some(name) => {
                let other = printable(name.strip_prefix(b"refs/heads/").unwrap_or(name));
                Err(WorktreeError::BranchConflict { branch: self.branch.clone(), other })
            }
            None => Ok(()),
        }
    }

    async fn make(
        &self,
        server: &BTreeMap<Vec<u8>, Oid>,
        base: &Base,
        progress: ProgressSink<'_>,
    ) -> Result<Vec<String>, WorktreeError> {
        let submodules = async {
            match &base.commit {
                Some(commit) => Ok(Submodules::of_mirror(&self.mirror, commit).await?),
                None => Ok(Submodules::default()),
            }
        };
        // The user waits for these reads, which are independent.
        let (default, lfs, submodules, (identity, identity_notice), origin, hooks) = tokio::try_join!(
            async { Ok::<_, WorktreeError>(self.mirror.default_branch().await?) },
            async { Ok(Lfs::detect(self.mirror.git()).await?) },
            submodules,
            Identity::of_user(&self.mirror),
            async { Ok(self.real_origin().await?) },
            TemplateHooks::of_user(&self.mirror),
        )?;
        let default = default.or_else(|| base.branch.clone());
        if is_real_dir(&self.relay) {
            relay::refresh(&self.mirror, &self.relay, server, &self.branch).await?;
        } else {
            self.make_relay(server, default.as_ref())?;
        }

        let config = self.config(&identity, &origin, &submodules);

        let new = staging_path(&self.dir);
        let git_dir = new.join(".git");
        create_git_dir(&git_dir, &format!("ref: {}", self.branch.full_ref()), &config)?;
        write_alternates(&git_dir.join("objects"), [self.mirror.objects().as_path()])?;
        if let Some(shallow) = self.mirror.shallow()? {
            write_atomic(&git_dir.join("shallow"), &shallow)?;
        }
        self.write_refs(&git_dir, server, base, default.as_ref())?;
        let mut notices = Vec::new();
        if let Some(commit) = &base.commit {
            checkout::check_out(&self.mirror, &new, commit, &lfs, progress).await?;
            notices.extend(submodules.notice());
            notices.extend(lfs.pointer_notice(self.mirror.git(), &new).await?);
        }
        notices.extend(hooks.copy_to(&git_dir).await);
        notices.extend(identity_notice);
        std::fs::rename(&new, &self.dir).context("create", &self.dir)?;
        Ok(notices)
    }

    pub(crate) fn make_relay(
        &self,
        server: &BTreeMap<Vec<u8>, Oid>,
        head: Option<&BranchName>,
    ) -> Result<(), FileError> {
        let new = staging_path(&self.relay);
        relay::create(&self.mirror, &new, server, head.unwrap_or(&self.branch))?;
        std::fs::rename(&new, &self.relay).context("create", &self.relay)
    }

    /// The URL of the repository that users know: for a local repository its own `origin`, if it has one. Without
    /// credentials.
    pub(crate) async fn real_origin(&self) -> Result<Vec<u8>, GitError> {
        let Ok(Some(local)) = self.mirror.local_repo().await else {
            return Ok(self.mirror.display_url().await.into_encoded_bytes());
        };
        let url = self.mirror.git().config_value("remote.origin.url", ConfigScope::WorkingDir(&local.root)).await?;
        Ok(match url {
            Some(url) => strip_credentials(&String::from_utf8_lossy(&url)).into_bytes(),
            None => local.root.clone().into_os_string().into_encoded_bytes(),
        })
    }

    pub(crate) fn config(&self, identity: &Identity, origin: &[u8], submodules: &Submodules) -> ConfigFile {
        let format = self.mirror.format();
        let promisor = self.mirror.promisor();
        let mut config = ConfigFile::default();
        config.section("core", None);
        config.set("repositoryFormatVersion", if format != "sha1" || promisor.is_some() { "1" } else { "0" });
        config.set("fileMode", "true").set("bare", "false").set("logAllRefUpdates", "true");
        // The monitor is a process that would outlive the agent.
        config.set("fsmonitor", "false");
        if cfg!(target_os = "macos") {
            config.set("ignoreCase", "true").set("precomposeUnicode", "true");
        }
        if format != "sha1" {
            config.section("extensions", None).set("objectFormat", format);
        }
        if let Some(promisor) = promisor {
            promisor.write(&mut config);
        }
        config.section("remote", Some(b"origin"));
        config
            .set("url", self.relay.as_os_str().as_encoded_bytes())
            .set("fetch", "+refs/heads/*:refs/remotes/origin/*");
        config.section("branch", Some(self.branch.as_str().as_bytes()));
        config.set("remote", "origin").set("merge", self.branch.full_ref());
        config.section("user", None).set("name", &identity.name).set("email", &identity.email);
        // A passphrase cannot be typed.
        config.section("commit", None).set("gpgSign", "false");
        config.section("tag", None).set("gpgSign", "false").set("forceSignAnnotated", "false");
        config.section("push", None).set("gpgSign", "false");
        config.section("gc", None).set("auto", "0");
        config.section("maintenance", None).set("auto", "false");
        config.section("kugetsu", None).set("source", origin);
        submodules.write(&mut config, origin);
        write_endpoints(&mut config, &String::from_utf8_lossy(origin), &self.relay);
        config
    }

    fn write_refs(
        &self,
        git_dir: &Path,
        server: &BTreeMap<Vec<u8>, Oid>,
        base: &Base,
        default: Option<&BranchName>,
    ) -> Result<(), FileError> {
        let local_name = |name: &Vec<u8>| match name.strip_prefix(b"refs/heads/") {
            Some(branch) => [b"refs/remotes/origin/", branch].concat(),
            None => name.clone(),
        };
        let mut refs: BTreeMap<_, _> = server.iter().map(|(name, oid)| (local_name(name), oid)).collect();
        if let Some(commit) = &base.commit {
            refs.insert(self.branch.full_ref().into_bytes(), commit);
        }
        write_atomic(
            &git_dir.join("packed-refs"),
            &format_packed_refs(refs.iter().map(|(name, oid)| (name.as_slice(), *oid))),
        )?;
        match default {
            Some(default) if server.contains_key(default.full_ref().as_bytes()) => {
                create_dir_all(&git_dir.join("refs/remotes/origin"))?;
                write_atomic(
                    &git_dir.join("refs/remotes/origin/HEAD"),
                    format!("ref: {}\n", default.tracking_ref()).as_bytes(),
                )
            }
            _ => Ok(()),
        }
    }

    /// Opens an existing worktree. Its git directory may be damaged, by the agent.
    ///
    /// # Errors
    /// [`WorktreeError::Missing`], [`WorktreeError::NotOurs`].
    pub async fn open(mirror: &Mirror, dir: &Path, relay: &Path, branch: &BranchName) -> Result<Self, WorktreeError> {
        let worktree = Self::at(mirror, dir, relay, branch);
        match ownership(&worktree.dir, &worktree.relay)? {
            Ownership::Ours if is_dir_there(&worktree.dir)? => {
                worktree.settle().await?;
                Ok(worktree)
            }
            Ownership::Ours | Ownership::Vacant => Err(WorktreeError::Missing(worktree.dir)),
            Ownership::NotOurs => Err(WorktreeError::NotOurs(worktree.dir)),
        }
    }

    /// Opens what is left of a worktree, to be rescued or removed: its directory, its relay or both. `None` if nothing is.
    ///
    /// # Errors
    /// [`WorktreeError::NotOurs`].
    pub async fn remains(
        mirror: &Mirror,
        dir: &Path,
        relay: &Path,
        branch: &BranchName,
    ) -> Result<Option<Self>, WorktreeError> {
        let worktree = Self::at(mirror, dir, relay, branch);
        match ownership(&worktree.dir, &worktree.relay)? {
            Ownership::Ours => {
                worktree.settle().await?;
                Ok(Some(worktree))
            }
            Ownership::Vacant => Ok(None),
            Ownership::NotOurs => Err(WorktreeError::NotOurs(worktree.dir)),
        }
    }

    /// Updates the server's branches in the relay to those of the mirror, so that `git fetch origin` brings them. The
    /// issue's own branch is left alone, and a relay that was removed is created again. Returns notices for the user.
    pub async fn refresh(&self) -> Result<Vec<String>, WorktreeError> {
        // No process of an earlier run is left, so a lock whose holder is gone is not waited for.
        for (git_dir, directory) in [(&self.git_dir(), &self.dir), (&self.relay, &self.relay)] {
            stale_locks::clear_now(git_dir, directory).await;
        }
        let server = relay::server_refs(&self.mirror).await?;
        relay::remove_clashing_tracking_branches(&self.git_dir(), &server)?;
        if let Some(shallow) = self.mirror.shallow()?.filter(|_| is_real_dir(&self.git_dir())) {
            // A fetch would not update it: git has the mirror's commits already, as it borrows them.
            write_atomic(&self.git_dir().join("shallow"), &merge_shallow([read_shallow(&self.git_dir())?, shallow]))?;
        }
        if is_there(&self.relay)? {
            relay::refresh(&self.mirror, &self.relay, &server, &self.branch).await?;
            return Ok(Vec::new());
        }
        let _lock = lock::acquire(&self.relay, "", &mut |_| ()).await?;
        let default = self.mirror.default_branch().await?;
        self.make_relay(&server, default.as_ref())?;
        let relay = self.relay.display();
        Ok(vec![format!(
            "{relay}, the worktree's origin, was missing and has been created again, without what was pushed there only"
        )])
    }

    /// Removes the worktree and its relay, whatever state they are in, without asking whether anything in it is worth
    /// keeping: that is for [`crate::rescue`]. Removing again is no error, also after an error.
    ///
    /// # Errors
    /// [`WorktreeError::NotOurs`], [`WorktreeError::File`].
    pub async fn remove(&self) -> Result<(), WorktreeError> {
        if ownership(&self.dir, &self.relay)? == Ownership::NotOurs {
            return Err(WorktreeError::NotOurs(self.dir.clone()));
        }
        let Some(held) = Self::locked(&self.dir, &self.relay).await? else { return Ok(()) };
        remove_tree(&self.dir).await?;
        remove_tree(&self.relay).await?;
        release(&self.relay)?;
        Ok(lock::remove_file(&self.relay, held)?)
    }

    /// Removes what killed creations left at these paths. A finished worktree stays, and so does a relay that was pushed
    /// into.
    pub async fn remove_leftovers(dir: &Path, relay: &Path) -> Result<(), WorktreeError> {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (dir, relay) = (absolute(dir), absolute(relay));
        let Some(held) = Self::locked(&dir, &relay).await? else { return Ok(()) };
        if release_unused(&dir, &relay).await? { Ok(lock::remove_file(&relay, held)?) } else { Ok(()) }
    }

    /// Acquires the lock and removes leftovers; `None` if the directory of the lock does not exist.
    async fn locked(dir: &Path, relay: &Path) -> Result<Option<lock::Lock>, FileError> {
        if !relay.parent().is_some_and(Path::is_dir) {
            remove_staging(dir).await?;
            return Ok(None);
        }
        let held = lock::acquire(relay, "", &mut |_| ()).await?;
        remove_staging(dir).await?;
        remove_staging(relay).await?;
        Ok(Some(held))
    }

    async fn release_unused(&self) -> Result<(), FileError> {
        release_unused(&self.dir, &self.relay).await.map(drop)
    }

    pub(crate) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn git_dir(&self) -> PathBuf {
        self.dir.join(".git")
    }

    /// The bare repository that is its `origin`.
    pub fn relay(&self) -> &Path {
        &self.relay
    }

    /// The branch.
    pub fn branch(&self) -> &BranchName {
        &self.branch
    }
}

/// Removes the relay and the ownership record if the worktree is gone and nothing was pushed. Returns whether both are gone.
async fn release_unused(dir: &Path, relay: &Path) -> Result<bool, FileError> {
    if is_there(dir)? || ownership(dir, relay)? == Ownership::NotOurs {
        return Ok(false);
    }
    if is_relay_unused(relay) {
        remove_tree(relay).await?;
    }
    let gone = !is_there(relay)?;
    if gone {
        release(relay)?;
    }
    Ok(gone)
}

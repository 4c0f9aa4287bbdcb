//! An issue's worktree: its files, its own git directory, and its relay.
//!
//! The git directory is a real `.git` that borrows the mirror's objects, so no agent can touch the refs or locks of
//! another; its `origin` is the relay. Everything is made beside its place and then renamed into it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::command::login::public;
use crate::command::progress::ProgressSink;
use crate::command::runner::{ConfigScope, GitError};
use crate::files::access::{FileError, IoContext, is_real_dir, make_dir, replace};
use crate::files::lock;
use crate::files::removal::{being_made, remove, remove_half_made};
use crate::git_dir::layout::{ConfigText, borrow, cut_off, make_git_dir, packed_refs};
use crate::lfs::setup::{Lfs, write_addresses};
use crate::mirror::base::Base;
use crate::mirror::repo::Mirror;
use crate::names::{BranchName, Oid};
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::read_shallow;
use crate::worktree::checkout;
use crate::worktree::identity::Identity;
use crate::worktree::ownership::{Owner, disown, is_unused, own, owner};
use crate::worktree::relay;
use crate::worktree::submodules::Submodules;
use crate::worktree::template_hooks::copy_hooks;

/// Why there is no worktree.
#[derive(Debug, Error)]
pub enum WorktreeError {
    /// There is one already.
    #[error("there is already a worktree at {}", .0.display())]
    Exists(PathBuf),
    /// There is none.
    #[error("the worktree {} is not there", .0.display())]
    Missing(PathBuf),
    /// Something else is there.
    #[error("{} was not made by kugetsu, so it is left as it is; move it away", .0.display())]
    NotOurs(PathBuf),
    /// Git cannot have a branch `a` and a branch `a/b`.
    #[error(
        "git cannot have the branch {branch} beside {other}, which is on the server; rename or delete {other} there"
    )]
    BranchConflict {
        /// The branch.
        branch: BranchName,
        /// The server's.
        other: String,
    },
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system says why.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<StatusError> for WorktreeError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Git(error) => Self::Git(error),
            StatusError::File(error) => Self::File(error),
        }
    }
}

/// A worktree. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Worktree {
    mirror: Mirror,
    dir: PathBuf,
    relay: PathBuf,
    branch: BranchName,
}

/// What to make.
#[derive(Clone, Debug)]
pub struct WorktreeSpec {
    /// Where the files go; its git directory is `.git` in it.
    pub dir: PathBuf,
    /// Where its relay goes. Beside it lie `<relay>.owned`, which says that it is ours, and `<relay>.lock`: no agent may
    /// write in the directory that holds the relays.
    pub relay: PathBuf,
    /// The branch.
    pub branch: BranchName,
    /// Where it begins.
    pub base: Base,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Created {
    /// The worktree.
    pub worktree: Worktree,
    /// The commit it began at; `None` in an empty repository.
    pub base_sha: Option<Oid>,
    /// What a person should know of it, one sentence each.
    pub notices: Vec<String>,
}

impl Worktree {
    /// Makes a worktree with its relay. A creation that was killed leaves nothing that is taken for a worktree, and the
    /// next one removes what it left. A relay whose worktree is gone is used again: somebody may have pushed into it.
    ///
    /// # Errors
    /// [`WorktreeError`]; nothing is left behind.
    pub async fn create(
        mirror: &Mirror,
        spec: WorktreeSpec,
        progress: ProgressSink<'_>,
    ) -> Result<Created, WorktreeError> {
        let worktree = Self::at(mirror, &spec.dir, &spec.relay, &spec.branch);
        for parent in [worktree.dir.parent(), worktree.relay.parent()].into_iter().flatten() {
            make_dir(parent)?;
        }
        let waiting = format!("waiting for another kugetsu that works on {}", worktree.dir.display());
        let _lock = lock::take(&worktree.relay, &waiting, progress).await?;
        worktree.clear().await?;

        let server = relay::server_refs(mirror).await?;
        worktree.check_name(&server)?;
        own(&worktree.dir, &worktree.relay)?;
        let made = worktree.make(&server, &spec.base, progress).await;
        if made.is_err() {
            remove_half_made(&worktree.dir).await?;
            worktree.forget_unused().await?;
        }
        Ok(Created { notices: made?, base_sha: spec.base.commit, worktree })
    }

    pub(crate) fn at(mirror: &Mirror, dir: &Path, relay: &Path, branch: &BranchName) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { mirror: mirror.clone(), dir: absolute(dir), relay: absolute(relay), branch: branch.clone() }
    }

    /// Makes sure that there is room; the lock is held.
    async fn clear(&self) -> Result<(), WorktreeError> {
        remove_half_made(&self.dir).await?;
        remove_half_made(&self.relay).await?;
        if is_real_dir(&self.dir) && std::fs::read_dir(&self.dir).context("read", &self.dir)?.next().is_none() {
            remove(&self.dir).await?;
        }
        let is_there = self.dir.symlink_metadata().is_ok();
        match owner(&self.dir, &self.relay) {
            Owner::Us if is_there => Err(WorktreeError::Exists(self.dir.clone())),
            Owner::Us | Owner::Nobody => Ok(()),
            Owner::Somebody if is_there => Err(WorktreeError::NotOurs(self.dir.clone())),
            Owner::Somebody => Err(WorktreeError::NotOurs(self.relay.clone())),
        }
    }

    pub(crate) fn check_name(&self, server: &BTreeMap<Vec<u8>, Oid>) -> Result<(), WorktreeError> {
        let own = format!("{}/", self.branch.full());
        let in_the_way = |name: &[u8]| {
            let theirs = [name, b"/"].concat();
            theirs != own.as_bytes() && (theirs.starts_with(own.as_bytes()) || own.as_bytes().starts_with(&theirs))
        };
        match server.keys().find(|name| in_the_way(name)) {
            Some(name) => {
                let other = crate::shown::shown(name.strip_prefix(b"refs/heads/").unwrap_or(name));
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
        let default = self.mirror.default_branch().await?.or_else(|| base.branch.clone());
        if is_real_dir(&self.relay) {
            relay::refresh(&self.mirror, &self.relay, server, &self.branch)?;
        } else {
            self.make_relay(server, default.as_ref())?;
        }

        let lfs = Lfs::find(self.mirror.git()).await?;
        let submodules = match &base.commit {
            Some(commit) => Submodules::of(&self.mirror, commit).await?,
            None => Submodules::default(),
        };
        let (identity, unnamed) = Identity::of_user(&self.mirror).await?;
        let origin = self.real_origin().await?;
        let config = self.config(&identity, &origin, &submodules);

        let new = being_made(&self.dir);
        let git_dir = new.join(".git");
        make_git_dir(&git_dir, &format!("ref: {}", self.branch.full()), &config)?;
        borrow(&git_dir.join("objects"), [self.mirror.objects().as_path()])?;
        if let Some(shallow) = self.mirror.shallow() {
            replace(&git_dir.join("shallow"), &shallow)?;
        }
        self.write_refs(&git_dir, server, base, default.as_ref())?;
        let mut notices = Vec::new();
        if let Some(commit) = &base.commit {
            checkout::fill(&self.mirror, &new, commit, &lfs, progress).await?;
            notices.extend(submodules.notice());
            notices.extend(lfs.notice(self.mirror.git(), &new).await?);
        }
        notices.extend(copy_hooks(&self.mirror, &git_dir).await?);
        notices.extend(unnamed);
        std::fs::rename(&new, &self.dir).context("put in place", &self.dir)?;
        Ok(notices)
    }

    pub(crate) fn make_relay(
        &self,
        server: &BTreeMap<Vec<u8>, Oid>,
        head: Option<&BranchName>,
    ) -> Result<(), FileError> {
        let new = being_made(&self.relay);
        relay::make(&self.mirror, &new, server, head.unwrap_or(&self.branch))?;
        std::fs::rename(&new, &self.relay).context("put in place", &self.relay)
    }

    /// The address that people know the repository by: of a folder, where it comes from itself, if it says so.
    pub(crate) async fn real_origin(&self) -> Result<Vec<u8>, GitError> {
        let Ok(Some(local)) = self.mirror.local_repo().await else {
            return Ok(self.mirror.address().await.into_encoded_bytes());
        };
        let url = self.mirror.git().config_value("remote.origin.url", ConfigScope::WorkingDir(&local.root)).await?;
        Ok(match url {
            Some(url) => public(&String::from_utf8_lossy(&url)).into_bytes(),
            None => local.root.clone().into_os_string().into_encoded_bytes(),
        })
    }

    pub(crate) fn config(&self, identity: &Identity, origin: &[u8], submodules: &Submodules) -> ConfigText {
        let format = self.mirror.format();
        let promisor = self.mirror.promisor();
        let mut config = ConfigText::default();
        config.section("core", None);
        config.set("repositoryFormatVersion", if format != "sha1" || promisor.is_some() { "1" } else { "0" });
        config.set("fileMode", "true").set("bare", "false").set("logAllRefUpdates", "true");
        // A watcher would outlive the agent.
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
        config.set("remote", "origin").set("merge", self.branch.full());
        config.section("user", None).set("name", &identity.name).set("email", &identity.email);
        // Nobody is there to type a passphrase.
        config.section("commit", None).set("gpgSign", "false");
        config.section("tag", None).set("gpgSign", "false").set("forceSignAnnotated", "false");
        config.section("push", None).set("gpgSign", "false");
        config.section("gc", None).set("auto", "0");
        config.section("maintenance", None).set("auto", "false");
        config.section("kugetsu", None).set("source", origin);
        submodules.write(&mut config, origin);
        write_addresses(&mut config, &String::from_utf8_lossy(origin), &self.relay);
        config
    }

    fn write_refs(
        &self,
        git_dir: &Path,
        server: &BTreeMap<Vec<u8>, Oid>,
        base: &Base,
        default: Option<&BranchName>,
    ) -> Result<(), FileError> {
        let tracking = |name: &Vec<u8>| match name.strip_prefix(b"refs/heads/") {
            Some(branch) => [b"refs/remotes/origin/", branch].concat(),
            None => name.clone(),
        };
        let mut refs: BTreeMap<_, _> = server.iter().map(|(name, oid)| (tracking(name), oid)).collect();
        if let Some(commit) = &base.commit {
            refs.insert(self.branch.full().into_bytes(), commit);
        }
        replace(&git_dir.join("packed-refs"), &packed_refs(refs.iter().map(|(name, oid)| (name.as_slice(), *oid))))?;
        match default {
            Some(default) if server.contains_key(default.full().as_bytes()) => {
                make_dir(&git_dir.join("refs/remotes/origin"))?;
                replace(&git_dir.join("refs/remotes/origin/HEAD"), format!("ref: {}\n", default.tracking()).as_bytes())
            }
            _ => Ok(()),
        }
    }

    /// Opens a worktree that was made before. Its git directory may be damaged: the agent may have done that.
    ///
    /// # Errors
    /// [`WorktreeError::Missing`], [`WorktreeError::NotOurs`].
    pub async fn open(mirror: &Mirror, dir: &Path, relay: &Path, branch: &BranchName) -> Result<Self, WorktreeError> {
        let worktree = Self::at(mirror, dir, relay, branch);
        match owner(&worktree.dir, &worktree.relay) {
            Owner::Us if is_real_dir(&worktree.dir) => Ok(worktree),
            Owner::Us | Owner::Nobody => Err(WorktreeError::Missing(worktree.dir)),
            Owner::Somebody => Err(WorktreeError::NotOurs(worktree.dir)),
        }
    }

    /// What is left of a worktree, to be rescued or removed: its directory, its relay or both. `None`: nothing.
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
        match owner(&worktree.dir, &worktree.relay) {
            Owner::Us => Ok(Some(worktree)),
            Owner::Nobody => Ok(None),
            Owner::Somebody => Err(WorktreeError::NotOurs(worktree.dir)),
        }
    }

    /// Gives the relay the server's branches as the mirror has them now, so that `git fetch origin` brings them. The
    /// issue's own branch is left alone. A relay that somebody removed is made anew. What a person should know, one
    /// sentence each.
    ///
    /// # Errors
    /// [`WorktreeError`] with git's or the system's words.
    pub async fn refresh(&self) -> Result<Vec<String>, WorktreeError> {
        let server = relay::server_refs(&self.mirror).await?;
        if let Some(shallow) = self.mirror.shallow().filter(|_| is_real_dir(&self.git_dir())) {
            // A fetch does not bring it: git takes the mirror's commits, borrowed from there, for known.
            replace(&self.git_dir().join("shallow"), &cut_off([read_shallow(&self.git_dir()), shallow]))?;
        }
        if self.relay.symlink_metadata().is_ok() {
            relay::refresh(&self.mirror, &self.relay, &server, &self.branch)?;
            return Ok(Vec::new());
        }
        let _lock = lock::take(&self.relay, "", &mut |_| ()).await?;
        let default = self.mirror.default_branch().await?;
        self.make_relay(&server, default.as_ref())?;
        let relay = self.relay.display();
        Ok(vec![format!(
            "{relay}, the worktree's origin, was removed by somebody; it is made anew, without what was pushed there only"
        )])
    }

    /// Removes the worktree and its relay, whatever state they are in. Once more is no error. It asks nobody whether
    /// anything in it is worth keeping: see [`crate::rescue`].
    ///
    /// # Errors
    /// [`WorktreeError::NotOurs`], or the system's words; it can then be called again.
    pub async fn remove(&self) -> Result<(), WorktreeError> {
        if owner(&self.dir, &self.relay) == Owner::Somebody {
            return Err(WorktreeError::NotOurs(self.dir.clone()));
        }
        let Some(held) = Self::locked(&self.dir, &self.relay).await? else { return Ok(()) };
        remove(&self.dir).await?;
        remove(&self.relay).await?;
        disown(&self.relay)?;
        Ok(lock::remove(&self.relay, held)?)
    }

    /// Removes what creations that were killed left at these places; a finished worktree stays, and so does a relay that
    /// somebody pushed into.
    ///
    /// # Errors
    /// The system's words.
    pub async fn remove_leftovers(dir: &Path, relay: &Path) -> Result<(), WorktreeError> {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (dir, relay) = (absolute(dir), absolute(relay));
        let Some(held) = Self::locked(&dir, &relay).await? else { return Ok(()) };
        if forget_unused(&dir, &relay).await? { Ok(lock::remove(&relay, held)?) } else { Ok(()) }
    }

    /// Takes the lock and removes what is half made; `None` where there is not even a directory for a lock.
    async fn locked(dir: &Path, relay: &Path) -> Result<Option<lock::Lock>, FileError> {
        if !relay.parent().is_some_and(Path::is_dir) {
            remove_half_made(dir).await?;
            return Ok(None);
        }
        let held = lock::take(relay, "", &mut |_| ()).await?;
        remove_half_made(dir).await?;
        remove_half_made(relay).await?;
        Ok(Some(held))
    }

    async fn forget_unused(&self) -> Result<(), FileError> {
        forget_unused(&self.dir, &self.relay).await.map(drop)
    }

    pub(crate) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Where the files lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its git directory.
    pub fn git_dir(&self) -> PathBuf {
        self.dir.join(".git")
    }

    /// The bare repository that its `origin` is.
    pub fn relay(&self) -> &Path {
        &self.relay
    }

    /// The branch.
    pub fn branch(&self) -> &BranchName {
        &self.branch
    }
}

/// Removes the relay and the record of a worktree that is not there, unless somebody pushed; says whether all is gone.
async fn forget_unused(dir: &Path, relay: &Path) -> Result<bool, FileError> {
    if dir.symlink_metadata().is_ok() || owner(dir, relay) == Owner::Somebody {
        return Ok(false);
    }
    if is_unused(relay) {
        remove(relay).await?;
    }
    let gone = relay.symlink_metadata().is_err();
    if gone {
        disown(relay)?;
    }
    Ok(gone)
}

//! Turns a clone that kugetsu did not make into an issue's worktree, with all its uncommitted work.
//!
//! If the clone is at the path of the worktree, its files stay untouched: only its git directory is swapped for a new one,
//! atomically, and the old one is kept. Otherwise a new worktree is made like it, and the clone is not changed. The clone is
//! read as files and objects: none of its hooks, filters and settings takes effect or is copied.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::adopt::external_clone::{Contents, ExternalClone};
use crate::command::progress::{Progress, ProgressSink};
use crate::command::runner::GitError;
use crate::files::access::{FileError, IoContext, create_dir_all, is_real_dir, unique_suffix, write_atomic};
use crate::files::atomic_swap::atomic_swap;
use crate::files::index::copy_index;
use crate::files::lock;
use crate::files::removal::{remove_staging, remove_tree, staging_path};
use crate::git_dir::layout::{SHALLOW, create_git_dir, format_packed_refs, write_alternates};
use crate::git_dir::objects::{Take, take_objects};
use crate::lfs::setup::Lfs;
use crate::mirror::base::Base;
use crate::mirror::repo::{Mirror, MirrorError};
use crate::names::{BranchName, Oid};
use crate::untrusted::changes::{Changes, StatusError};
use crate::untrusted::copy::{copy_changes, copy_directory, copy_state};
use crate::worktree::checkout;
use crate::worktree::identity::Identity;
use crate::worktree::lifecycle::{Worktree, WorktreeError};
use crate::worktree::ownership::claim;
use crate::worktree::relay;
use crate::worktree::submodules::Submodules;
use crate::worktree::template_hooks::TemplateHooks;

/// Directories of a git directory that hold fetched data beside the history: submodules and LFS objects.
const FETCHED_DIRS: [&str; 2] = ["modules", "lfs"];
/// Maximum number of branch names tried.
const BRANCH_NAMES_MAX: u32 = 100;
/// Branches that are never an issue's branch, even if they are not the server's default: others build on them.
const MAINLINES: [&str; 6] = ["main", "master", "trunk", "develop", "development", "dev"];

/// The clone is as it was.
#[derive(Debug, Error)]
pub enum AdoptError {
    #[error("{} does not exist any more", .0.display())]
    Gone(PathBuf),
    /// The clone is a link, or its git directory is one: the target may belong to something else.
    #[error("{} is {kind}, and what it points to is not touched", path.display())]
    Elsewhere { path: PathBuf, kind: &'static str },
    /// A directory without a git directory.
    #[error("{} is not a git repository any more", .0.display())]
    NoRepository(PathBuf),
    #[error("the git repository in {} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("the repository could not be fetched: {0}")]
    Mirror(#[from] MirrorError),
    #[error(transparent)]
    Worktree(#[from] WorktreeError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl AdoptError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Mirror(error) => error.hint(),
            Self::Worktree(error) => error.hint(),
            Self::Git(error) => error.hint(),
            Self::Gone(_) | Self::Elsewhere { .. } | Self::NoRepository(_) | Self::Damaged { .. } | Self::File(_) => {
                None
            }
        }
    }
}

impl From<StatusError> for AdoptError {
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

#[derive(Clone, Debug)]
pub struct AdoptSpec {
    /// The path of the worktree; the clone may be there.
    pub dir: PathBuf,
    /// The path of the relay.
    pub relay: PathBuf,
    /// The name of the issue's branch, if the clone is on none that can be one.
    pub branch: BranchName,
    /// The branch that the clone's creator recorded.
    pub recorded_branch: Option<BranchName>,
    /// The path to keep the old git directory at. Nothing is there yet.
    pub git_dir_backup: PathBuf,
}

#[derive(Clone, Debug)]
pub struct Adopted {
    pub worktree: Worktree,
    /// Branch and commit that the work began from, as far as they are known.
    pub base: Base,
    /// Whether the files stayed where they were.
    pub in_place: bool,
    /// Notices for the user, one sentence each.
    pub notices: Vec<String>,
}

impl Worktree {
    /// Adopts `clone`. It can be called again after it was killed.
    pub async fn adopt(
        mirror: &Mirror,
        clone: &ExternalClone,
        spec: AdoptSpec,
        progress: ProgressSink<'_>,
    ) -> Result<Adopted, AdoptError> {
        for parent in [spec.dir.parent(), spec.relay.parent()].into_iter().flatten() {
            create_dir_all(parent)?;
        }
        let waiting = format!("waiting for another kugetsu process that works on {}", spec.dir.display());
        let _lock = lock::acquire(&spec.relay, &waiting, progress).await?;
        remove_staging(&spec.relay).await?;
        let in_place = is_same_dir(clone.dir(), &spec.dir);
        if !in_place && spec.dir.symlink_metadata().is_ok() {
            return Err(WorktreeError::NotOurs(spec.dir).into());
        }
        let contents = clone.contents(mirror).await?;
        let (branch, is_new_branch) = issue_branch(mirror, clone, &contents, &spec).await?;
        let worktree = Self::at(mirror, &spec.dir, &spec.relay, &branch);
        let server = relay::server_refs(mirror).await?;
        worktree.check_branch(&server)?;

        let is_recorded_branch = spec.recorded_branch.as_ref() == Some(&branch);
        let adoption = Adoption { mirror, clone, contents, worktree, server, is_new_branch, is_recorded_branch };
        let backups = spec.git_dir_backup.parent().unwrap_or(&spec.git_dir_backup).to_owned();
        create_dir_all(&backups)?;
        // Where it can be renamed to the worktree: the backup may be on another file system.
        let new = match is_same_device(&backups, spec.dir.parent().unwrap_or(&spec.dir)) {
            true => staging_path(&spec.git_dir_backup),
            false => staging_path(&spec.dir),
        };
        let had_relay = spec.relay.symlink_metadata().is_ok();
        let adopted = match adoption.prepare(&new, in_place, progress).await {
            Ok((base, notices)) => {
                adoption.install(&new, &spec, in_place, notices).await.map(|notices| (base, notices))
            }
            Err(error) => {
                remove_tree(&new).await?;
                Err(error)
            }
        };
        if adopted.is_err() && !had_relay {
            remove_tree(&spec.relay).await?;
        }
        // Remove the directories for the backup if they are empty: after an error, or if the clone was not in place.
        for empty in [Some(backups.as_path()), backups.parent()].into_iter().flatten() {
            let _ = std::fs::remove_dir(empty);
        }
        let (base, notices) = adopted?;
        Ok(Adopted { worktree: adoption.worktree, base, in_place, notices })
    }
}

/// An adoption in progress.
struct Adoption<'j> {
    mirror: &'j Mirror,
    clone: &'j ExternalClone,
    contents: Contents,
    worktree: Worktree,
    server: BTreeMap<Vec<u8>, Oid>,
    /// Whether the issue's branch is new. It begins at HEAD, and HEAD moves to it.
    is_new_branch: bool,
    /// Whether the clone's creator recorded the issue's branch.
    is_recorded_branch: bool,
}

impl Adoption<'_> {
    /// Creates at `new` the git directory to swap in, or the whole worktree if the clone is elsewhere or bare, and creates the
    /// relay. Returns the base and notices.
    async fn prepare(
        &self,
        new: &Path,
        in_place: bool,
        progress: ProgressSink<'_>,
    ) -> Result<(Base, Vec<String>), AdoptError> {
        let mut notices = self.contents.notices.clone();
        if self.is_new_branch {
            notices.push(format!("{} is a new branch at the HEAD of the clone", self.worktree.branch()));
        }
        notices.extend(self.push_notices().await?);
        let only_git_dir = in_place && !self.clone.is_bare();
        let git_dir = if only_git_dir { new.to_owned() } else { new.join(".git") };
        notices.extend(self.create_git_dir(&git_dir).await?);
        let changes = match self.clone.is_bare() {
            true => Changes::default(),
            false => self.changes(&mut notices).await?,
        };
        if !only_git_dir && let Some(commit) = &self.contents.commit {
            let lfs = Lfs::detect(self.mirror.git()).await?;
            checkout::check_out(self.mirror, new, commit, &lfs, progress).await?;
            notices.extend(lfs.pointer_notice(self.mirror.git(), new).await?);
        }
        if !self.clone.is_bare() {
            self.write_index(&git_dir)?;
        }
        let mut skipped = copy_state(self.clone.git_dir(), &git_dir).await?;
        if !only_git_dir {
            progress(Progress::new(format!("copying uncommitted changes from {}", self.clone.dir().display())));
            skipped.extend(copy_changes(self.clone.dir(), new, &changes).await?);
            for name in FETCHED_DIRS {
                skipped.extend(copy_directory(&self.clone.git_dir().join(name), &git_dir.join(name)).await?);
            }
        }
        notices.extend(skipped.into_iter().map(|path| format!("{path} is not a regular file and was not copied")));
        self.prepare_relay(&mut notices).await?;
        Ok((base(self.mirror, &self.contents, self.worktree.branch()).await?, notices))
    }

    /// Notices about the branch for the user, before work on it is pushed.
    async fn push_notices(&self) -> Result<Vec<String>, AdoptError> {
        let branch = self.worktree.branch();
        let mut notices = Vec::new();
        match self.mirror.refuses_to_push(branch).await {
            Ok(None) => {}
            Ok(Some(refused)) => notices.extend([Some(refused.to_string()), refused.hint()].into_iter().flatten()),
            // The push finds out.
            Err(error) => tracing::debug!(%error, "whether the branch can be pushed is not known"),
        }
        let is_on_server = self.server.contains_key(branch.full_ref().as_bytes());
        if is_on_server && !self.is_recorded_branch {
            notices
                .push(format!("its commits are pushed to {branch}, which the clone is on and the server has already"));
        }
        if self.mirror.default_branch().await?.is_none() && is_on_server {
            notices.push(format!(
                "the server's default branch is not known; if it is {branch}, the push of the work will be refused"
            ));
        }
        Ok(notices)
    }

    /// Creates a git directory with the clone's commits, branches, tags and stashes, and the config of a new worktree.
    async fn create_git_dir(&self, git_dir: &Path) -> Result<Vec<String>, AdoptError> {
        let mirror = self.mirror;
        let submodules = match &self.contents.commit {
            Some(commit) => Submodules::of_quarantine(&self.contents.quarantine, commit).await?,
            None => Submodules::default(),
        };
        let (identity, identity_notice) = Identity::of_user(mirror).await?;
        let origin = self.worktree.real_origin().await?;
        let branch = self.worktree.branch();
        let head = match (self.contents.head_branch(), &self.contents.commit) {
            (Some(on), _) if !self.is_new_branch => format!("ref: {}", on.full_ref()),
            (None, Some(commit)) => commit.to_string(),
            _ => format!("ref: {}", branch.full_ref()),
        };
        create_git_dir(git_dir, &head, &self.worktree.config(&identity, &origin, &submodules))?;
        write_alternates(&git_dir.join("objects"), [mirror.objects().as_path()])?;
        let left = take_objects(self.clone.git_dir().join("objects"), git_dir.join("objects"), Take::Link).await?;
        if let Some(error) = left.unreadable.into_iter().next() {
            return Err(error.into());
        }
        if let Some(shallow) = mirror.shallow()? {
            write_atomic(&git_dir.join(SHALLOW), &shallow)?;
        }
        let mut refs: BTreeMap<Vec<u8>, &Oid> = BTreeMap::new();
        for (name, oid) in &self.server {
            let local_name = match name.strip_prefix(b"refs/heads/") {
                Some(branch) => [b"refs/remotes/origin/", branch].concat(),
                None => name.clone(),
            };
            refs.insert(local_name, oid);
        }
        refs.extend(self.contents.refs.iter().map(|(name, oid)| (name.clone(), oid)));
        if self.is_new_branch
            && let Some(commit) = &self.contents.commit
        {
            refs.insert(branch.full_ref().into_bytes(), commit);
        }
        write_atomic(
            &git_dir.join("packed-refs"),
            &format_packed_refs(refs.iter().map(|(name, oid)| (name.as_slice(), *oid))),
        )?;
        if let Some(default) =
            mirror.default_branch().await?.filter(|name| self.server.contains_key(name.full_ref().as_bytes()))
        {
            create_dir_all(&git_dir.join("refs/remotes/origin"))?;
            write_atomic(
                &git_dir.join("refs/remotes/origin/HEAD"),
                format!("ref: {}\n", default.tracking_ref()).as_bytes(),
            )?;
        }
        let mut notices: Vec<String> =
            TemplateHooks::of_user(mirror).await?.copy_to(git_dir).await.into_iter().collect();
        notices.extend(identity_notice);
        Ok(notices)
    }

    /// The uncommitted changes. Leaves the clone's index in the quarantine, or an index of HEAD if git cannot read that.
    async fn changes(&self, notices: &mut Vec<String>) -> Result<Changes, AdoptError> {
        let quarantine = &self.contents.quarantine;
        let index = self.clone.git_dir().join("index");
        let changes = quarantine.changes(self.mirror, self.clone.dir(), &index, self.contents.commit.as_ref()).await?;
        for message in &changes.unreadable {
            notices.push(format!("{message}; it stays where it is"));
        }
        // The comparison cleared marks in the index, so copy it again.
        let listed = async || quarantine.command("ls-files", "list the index").args(["--stage", "-z"]).whole().await;
        if quarantine.copy_index(&index).await? && listed().await?.yes().is_some() {
            return Ok(changes);
        }
        quarantine.remove_index()?;
        if let Some(commit) = &self.contents.commit {
            quarantine.command("read-tree", "read the commit").arg(commit.as_str()).run().await?;
            if index.symlink_metadata().is_ok() {
                notices.push("git could not read what was staged; the files are as they were".to_owned());
            }
        }
        Ok(changes)
    }

    fn write_index(&self, git_dir: &Path) -> Result<(), AdoptError> {
        let index = self.contents.quarantine.dir().join("index");
        if !copy_index(&index, &git_dir.join("index"))? && index.symlink_metadata().is_ok() {
            let source = std::io::Error::other("not a regular file that can be read");
            return Err(FileError { action: "read", path: index, source }.into());
        }
        Ok(())
    }

    async fn prepare_relay(&self, notices: &mut Vec<String>) -> Result<(), AdoptError> {
        let relay = self.worktree.relay();
        if is_real_dir(relay) {
            notices.push(format!("{} exists already and is used again", relay.display()));
            relay::refresh(self.mirror, relay, &self.server, self.worktree.branch()).await?;
        } else {
            let default = self.mirror.default_branch().await?;
            self.worktree.make_relay(&self.server, default.as_ref())?;
        }
        Ok(())
    }

    /// Moves what was prepared to its final path.
    ///
    /// The order keeps the clone intact whatever fails or is killed: nothing of the clone moves before the swap; the swap is
    /// one step; and from then on `new` is the clone's old git directory, so nothing removes it, and it is renamed to the
    /// backup. A kill in between leaves it beside the backup under its staging name.
    async fn install(
        &self,
        new: &Path,
        spec: &AdoptSpec,
        in_place: bool,
        mut notices: Vec<String>,
    ) -> Result<Vec<String>, AdoptError> {
        let (dir, relay) = (self.worktree.dir(), self.worktree.relay());
        if !in_place {
            // The record first: a record without a worktree is harmless, a worktree without a record is not ours.
            let renamed = claim(dir, relay).and_then(|()| std::fs::rename(new, dir).context("create", dir));
            if renamed.is_err() {
                remove_tree(new).await?;
            }
            return Ok(renamed.map(|()| notices)?);
        }
        let target = if self.clone.is_bare() { dir.to_owned() } else { self.clone.git_dir().to_owned() };
        if let Err(error) = atomic_swap(&target, new) {
            remove_tree(new).await?;
            return Err(error.into());
        }
        if let Err(error) = claim(dir, relay) {
            atomic_swap(&target, new)?;
            remove_tree(new).await?;
            return Err(error.into());
        }
        // Fetched data is too large to copy, and the worktree still needs it.
        for name in FETCHED_DIRS {
            let (from, to) = (new.join(name), target.join(name));
            if !self.clone.is_bare() && is_real_dir(&from) && std::fs::rename(&from, &to).is_err() {
                notices.push(format!("{name} of its old git directory could not be moved to {}", to.display()));
            }
        }
        match keep_old(new, &spec.git_dir_backup).await {
            Ok(skipped) => {
                notices
                    .extend(skipped.into_iter().map(|path| format!("{path} is not a regular file and was not copied")));
            }
            Err(error) => {
                // Under a name that no later creation takes for its leftover.
                let mut name = target.file_name().unwrap_or_default().to_owned();
                name.push(format!(".old-{}", unique_suffix()));
                let kept = new.with_file_name(name);
                let kept = if std::fs::rename(new, &kept).is_ok() { kept } else { new.to_owned() };
                notices.push(format!("its old git directory is {}: {error}", kept.display()));
            }
        }
        Ok(notices)
    }
}

/// Chooses the branch that the work is pushed to. Also returns whether it is new.
async fn issue_branch(
    mirror: &Mirror,
    clone: &ExternalClone,
    contents: &Contents,
    spec: &AdoptSpec,
) -> Result<(BranchName, bool), AdoptError> {
    let default = mirror.default_branch().await?;
    let is_mainline = |name: &BranchName| default.as_ref() == Some(name) || MAINLINES.contains(&name.as_str());
    // During a rebase HEAD is detached, and returns to its branch at the end.
    let current =
        contents.head_branch().or_else(|| clone.rebased_branch().filter(|name| contents.branch_tip(name).is_some()));
    if let Some(current) = current.filter(|current| !is_mainline(current)) {
        return Ok((current, false));
    }
    if let Some(recorded) = spec.recorded_branch.clone().filter(|recorded| !is_mainline(recorded)) {
        if contents.branch_tip(&recorded).is_some() {
            return Ok((recorded, false));
        }
        if mirror.branch_tip(&recorded).await?.is_none() {
            return Ok((recorded, true));
        }
    }
    for number in 1..=BRANCH_NAMES_MAX {
        let name = match number {
            1 => spec.branch.clone(),
            number => BranchName::new(format!("{}-{number}", spec.branch))
                .map_err(|error| AdoptError::Damaged { path: spec.dir.clone(), reason: error.to_string() })?,
        };
        if mirror.branch_tip(&name).await?.is_none() && contents.branch_tip(&name).is_none() {
            return Ok((name, true));
        }
    }
    Err(AdoptError::Damaged {
        path: spec.dir.clone(),
        reason: format!("the branches {}, -2 and so on are taken", spec.branch),
    })
}

/// The base of the work: the last commit that it shares with the default branch.
async fn base(mirror: &Mirror, contents: &Contents, branch: &BranchName) -> Result<Base, AdoptError> {
    let Some(default) = mirror.default_branch().await? else { return Ok(Base { branch: None, commit: None }) };
    let head = contents.branch_tip(branch).or(contents.commit.as_ref());
    let (Some(tip), Some(head)) = (mirror.branch_tip(&default).await?, head) else {
        return Ok(Base { branch: Some(default), commit: None });
    };
    let command =
        contents.quarantine.command("merge-base", "find where the work began").args([tip.as_str(), head.as_str()]);
    // 1: the histories share no commit.
    let commit = command.answer(&[1]).await?.yes().map(|output| output.oid()).transpose()?;
    Ok(Base { branch: Some(default), commit })
}

/// Moves the old git directory to the backup, by a copy if that is on another file system. Returns what cannot be copied.
async fn keep_old(old: &Path, backup: &Path) -> Result<Vec<String>, FileError> {
    match std::fs::rename(old, backup) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {}
        renamed => return renamed.map(|()| Vec::new()).context("move", old),
    }
    let new = staging_path(backup);
    let skipped = copy_directory(old, &new).await?;
    std::fs::rename(&new, backup).context("create", backup)?;
    remove_tree(old).await?;
    Ok(skipped)
}

/// Whether a file can be renamed from one directory to the other. What cannot be found out shows when it is tried.
fn is_same_device(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => one.dev() == other.dev(),
        _ => true,
    }
}

fn is_same_dir(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

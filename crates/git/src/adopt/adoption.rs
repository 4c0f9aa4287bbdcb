//! Takes over a clone that kugetsu did not make, with everything that is not committed in it, as an issue's worktree.
//!
//! Where the clone lies at the worktree's own place, its files stay untouched and only its git directory is exchanged for
//! one of ours, in one step; the old one is kept. Elsewhere a new worktree is made like it, and the clone stays as it is.
//! The clone is read as files and objects: no hook, filter or setting of it takes effect here, and none is carried over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::adopt::external_clone::{Contents, ExternalClone};
use crate::command::progress::{Progress, ProgressSink};
use crate::command::runner::GitError;
use crate::files::access::FileError;
use crate::files::access::{IoContext, is_real_dir, make_dir, replace};
use crate::files::atomic_swap::atomic_swap;
use crate::files::lock;
use crate::files::removal::{being_made, remove, remove_half_made};
use crate::git_dir::layout::{borrow, make_git_dir, packed_refs};
use crate::git_dir::objects::take_objects;
use crate::lfs::setup::Lfs;
use crate::mirror::base::Base;
use crate::mirror::repo::Mirror;
use crate::mirror::repo::MirrorError;
use crate::names::{BranchName, Oid};
use crate::untrusted::changes::Changes;
use crate::untrusted::changes::StatusError;
use crate::untrusted::copy;
use crate::worktree::checkout;
use crate::worktree::identity::Identity;
use crate::worktree::lifecycle::{Worktree, WorktreeError};
use crate::worktree::ownership::own;
use crate::worktree::relay;
use crate::worktree::submodules::Submodules;
use crate::worktree::template_hooks::copy_hooks;

/// What a clone fetched beside its history: submodules and large files.
const FETCHED: [&str; 2] = ["modules", "lfs"];
/// How many branch names are tried.
const BRANCHES: u32 = 100;
/// Work on one of these is no issue's branch, whatever the server says.
const MAINLINES: [&str; 3] = ["main", "master", "trunk"];

/// Why a clone was not taken over. It is as it was.
#[derive(Debug, Error)]
pub enum AdoptError {
    /// There is nothing.
    #[error("{} is not there any more", .0.display())]
    Gone(PathBuf),
    /// It is a link, or its git directory is elsewhere: what it leads to may be somebody else's.
    #[error("{} is {what}, and what that leads to is not touched", path.display())]
    Elsewhere {
        /// Which one.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// There are files, and no git directory.
    #[error("{} is not a git repository any more", .0.display())]
    NoRepository(PathBuf),
    /// Its HEAD cannot be read, or the commit is not there with all it needs.
    #[error("the git repository in {} is damaged: {why}", path.display())]
    Damaged {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The mirror.
    #[error("the repository could not be fetched: {0}")]
    Mirror(#[from] MirrorError),
    /// The new worktree.
    #[error(transparent)]
    Worktree(#[from] WorktreeError),
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system says why.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<StatusError> for AdoptError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Git(error) => Self::Git(error),
            StatusError::File(error) => Self::File(error),
        }
    }
}

/// How to take a clone over.
#[derive(Clone, Debug)]
pub struct AdoptSpec {
    /// Where the worktree goes, or is.
    pub dir: PathBuf,
    /// Where its relay goes.
    pub relay: PathBuf,
    /// The issue's branch, where the clone stands on none that can be one.
    pub branch: BranchName,
    /// The branch that whoever made the clone noted.
    pub recorded_branch: Option<BranchName>,
    /// Where the old git directory is kept; nothing is there yet.
    pub git_dir_backup: PathBuf,
}

/// What was taken over.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// The worktree.
    pub worktree: Worktree,
    /// The branch that the work began from, and its commit, as far as that can be told.
    pub base: Base,
    /// Whether the files in_place where they were.
    pub in_place: bool,
    /// What a person should know, one sentence each.
    pub notices: Vec<String>,
}

impl Worktree {
    /// Takes `clone` over. Once more after a kill is no error.
    ///
    /// # Errors
    /// [`AdoptError`]; the clone is as it was.
    pub async fn adopt(
        mirror: &Mirror,
        clone: &ExternalClone,
        spec: AdoptSpec,
        progress: ProgressSink<'_>,
    ) -> Result<Adopted, AdoptError> {
        for parent in [spec.dir.parent(), spec.relay.parent()].into_iter().flatten() {
            make_dir(parent)?;
        }
        let waiting = format!("waiting for another kugetsu that works on {}", spec.dir.display());
        let _lock = lock::take(&spec.relay, &waiting, progress).await?;
        remove_half_made(&spec.relay).await?;
        let stays = same_place(clone.dir(), &spec.dir);
        if !stays && spec.dir.symlink_metadata().is_ok() {
            return Err(WorktreeError::NotOurs(spec.dir).into());
        }
        let contents = clone.contents(mirror).await?;
        let (branch, moves) = issue_branch(mirror, clone, &contents, &spec).await?;
        let worktree = Self::at(mirror, &spec.dir, &spec.relay, &branch);
        let server = relay::server_refs(mirror).await?;
        worktree.check_name(&server)?;

        let job = Job { mirror, clone, contents, worktree, server, moves };
        let room = spec.git_dir_backup.parent().unwrap_or(&spec.git_dir_backup).to_owned();
        make_dir(&room)?;
        let new = being_made(&spec.git_dir_backup);
        let had_relay = spec.relay.symlink_metadata().is_ok();
        let taken = match job.make(&new, stays, progress).await {
            Ok((base, notices)) => job.put_in_place(&new, &spec, stays, notices).await.map(|notices| (base, notices)),
            Err(error) => {
                remove(&new).await?;
                Err(error)
            }
        };
        if taken.is_err() && !had_relay {
            remove(&spec.relay).await?;
        }
        // Nothing is kept of what failed, nor of a clone that stays where it is; what holds something stays.
        for empty in [Some(room.as_path()), room.parent()].into_iter().flatten() {
            let _ = std::fs::remove_dir(empty);
        }
        let (base, notices) = taken?;
        Ok(Adopted { worktree: job.worktree, base, in_place: stays, notices })
    }
}

/// A clone that is being taken over.
struct Job<'j> {
    mirror: &'j Mirror,
    clone: &'j ExternalClone,
    contents: Contents,
    worktree: Worktree,
    server: BTreeMap<Vec<u8>, Oid>,
    /// Whether HEAD goes onto the issue's branch, which is new and begins where HEAD stands.
    moves: bool,
}

impl Job<'_> {
    /// Makes what goes into the clone's place, or becomes the worktree, and the relay. With where the work began.
    async fn make(
        &self,
        new: &Path,
        stays: bool,
        progress: ProgressSink<'_>,
    ) -> Result<(Base, Vec<String>), AdoptError> {
        let mut notices = self.contents.notices.clone();
        if self.moves {
            notices.push(format!("{} is a new branch where the clone's HEAD stood", self.worktree.branch()));
        }
        let only_git = stays && !self.clone.is_bare();
        let git_dir = if only_git { new.to_owned() } else { new.join(".git") };
        notices.extend(self.git_dir(&git_dir).await?);
        let changes = match self.clone.is_bare() {
            true => Changes::default(),
            false => self.changes(&mut notices).await?,
        };
        if !only_git && let Some(commit) = &self.contents.commit {
            let lfs = Lfs::find(self.mirror.git()).await?;
            checkout::fill(self.mirror, new, commit, &lfs, progress).await?;
            notices.extend(lfs.notice(self.mirror.git(), new).await?);
        }
        if !self.clone.is_bare() {
            self.index(&git_dir)?;
        }
        let mut left = copy::copy_state(self.clone.git_dir(), &git_dir).await?;
        if !only_git {
            progress(Progress::new(format!("carrying over what is not committed in {}", self.clone.dir().display())));
            left.extend(copy::copy_changes(self.clone.dir(), new, &changes).await?);
            for name in FETCHED {
                left.extend(copy::copy_directory(&self.clone.git_dir().join(name), &git_dir.join(name)).await?);
            }
        }
        notices.extend(left.into_iter().map(|path| format!("{path} is no file, and was not carried over")));
        self.relay(&mut notices).await?;
        Ok((base(self.mirror, &self.contents, self.worktree.branch()).await?, notices))
    }

    /// A git directory of ours with the clone's commits, branches, tags and stashes.
    async fn git_dir(&self, git_dir: &Path) -> Result<Vec<String>, AdoptError> {
        let mirror = self.mirror;
        let submodules = match &self.contents.commit {
            Some(commit) => Submodules::seen(&self.contents.quarantine, commit).await?,
            None => Submodules::default(),
        };
        let (identity, unnamed) = Identity::of_user(mirror).await?;
        let origin = self.worktree.real_origin().await?;
        let branch = self.worktree.branch();
        let head = match (self.contents.on(), &self.contents.commit) {
            (Some(on), _) if !self.moves => format!("ref: {}", on.full()),
            (None, Some(commit)) => commit.to_string(),
            _ => format!("ref: {}", branch.full()),
        };
        make_git_dir(git_dir, &head, &self.worktree.config(&identity, &origin, &submodules))?;
        borrow(&git_dir.join("objects"), [mirror.objects().as_path()])?;
        take_objects(self.clone.git_dir().join("objects"), git_dir.join("objects")).await?;
        if let Some(shallow) = mirror.shallow() {
            replace(&git_dir.join("shallow"), &shallow)?;
        }
        let mut refs: BTreeMap<Vec<u8>, &Oid> = BTreeMap::new();
        for (name, oid) in &self.server {
            let own = match name.strip_prefix(b"refs/heads/") {
                Some(branch) => [b"refs/remotes/origin/", branch].concat(),
                None => name.clone(),
            };
            refs.insert(own, oid);
        }
        refs.extend(self.contents.refs.iter().map(|(name, oid)| (name.clone(), oid)));
        if self.moves
            && let Some(commit) = &self.contents.commit
        {
            refs.insert(branch.full().into_bytes(), commit);
        }
        replace(&git_dir.join("packed-refs"), &packed_refs(refs.iter().map(|(name, oid)| (name.as_slice(), *oid))))?;
        if let Some(default) =
            mirror.default_branch().await?.filter(|name| self.server.contains_key(name.full().as_bytes()))
        {
            make_dir(&git_dir.join("refs/remotes/origin"))?;
            replace(&git_dir.join("refs/remotes/origin/HEAD"), format!("ref: {}\n", default.tracking()).as_bytes())?;
        }
        let mut notices: Vec<String> = copy_hooks(mirror, git_dir).await?.into_iter().collect();
        notices.extend(unnamed);
        Ok(notices)
    }

    /// What is not committed. Leaves the clone's index in the quarantine, or one of HEAD's where it cannot be read.
    async fn changes(&self, notices: &mut Vec<String>) -> Result<Changes, AdoptError> {
        let quarantine = &self.contents.quarantine;
        let index = self.clone.git_dir().join("index");
        let changes = quarantine.changes(self.mirror, self.clone.dir(), &index, self.contents.commit.as_ref()).await?;
        for unread in &changes.unread {
            notices.push(format!("{unread}; it stays where it is"));
        }
        // What was compared had its marks taken off; the index is taken over as it was, if git can read it.
        let listed = async || quarantine.command("ls-files", "list the index").args(["--stage", "-z"]).output().await;
        if quarantine.copy_index(&index).await? && listed().await?.code == 0 {
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

    fn index(&self, git_dir: &Path) -> Result<(), AdoptError> {
        let index = self.contents.quarantine.dir().join("index");
        match std::fs::read(&index) {
            Ok(bytes) => Ok(replace(&git_dir.join("index"), &bytes)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).context("read", &index).map_err(Into::into),
        }
    }

    async fn relay(&self, notices: &mut Vec<String>) -> Result<(), AdoptError> {
        let relay = self.worktree.relay();
        if is_real_dir(relay) {
            notices.push(format!("{} was there already and is used again", relay.display()));
            relay::refresh(self.mirror, relay, &self.server, self.worktree.branch())?;
        } else {
            let default = self.mirror.default_branch().await?;
            self.worktree.make_relay(&self.server, default.as_ref())?;
        }
        Ok(())
    }

    /// From the exchange on, `new` is what the clone had: nothing removes it.
    async fn put_in_place(
        &self,
        new: &Path,
        spec: &AdoptSpec,
        stays: bool,
        mut notices: Vec<String>,
    ) -> Result<Vec<String>, AdoptError> {
        let (dir, relay) = (self.worktree.dir(), self.worktree.relay());
        if !stays {
            // As where one is made: a record without a worktree is nobody's.
            let placed = own(dir, relay).and_then(|()| std::fs::rename(new, dir).context("put in place", dir));
            if placed.is_err() {
                remove(new).await?;
            }
            return Ok(placed.map(|()| notices)?);
        }
        let place = if self.clone.is_bare() { dir.to_owned() } else { self.clone.git_dir().to_owned() };
        if let Err(error) = atomic_swap(&place, new) {
            remove(new).await?;
            return Err(error.into());
        }
        if let Err(error) = own(dir, relay) {
            atomic_swap(&place, new)?;
            remove(new).await?;
            return Err(error.into());
        }
        let mut kept = spec.git_dir_backup.as_path();
        if let Err(error) = std::fs::rename(new, kept) {
            notices.push(format!("its old git directory is {}: {error}", new.display()));
            kept = new;
        }
        // They go on belonging to it.
        for name in FETCHED {
            let (from, to) = (kept.join(name), place.join(name));
            if !self.clone.is_bare() && is_real_dir(&from) && std::fs::rename(&from, &to).is_err() {
                notices.push(format!("{} could not be moved to {}", from.display(), to.display()));
            }
        }
        Ok(notices)
    }
}

/// The branch that the work is pushed to, and whether it is new: made where HEAD stands.
async fn issue_branch(
    mirror: &Mirror,
    clone: &ExternalClone,
    contents: &Contents,
    spec: &AdoptSpec,
) -> Result<(BranchName, bool), AdoptError> {
    let default = mirror.default_branch().await?;
    let is_mainline = |name: &BranchName| default.as_ref() == Some(name) || MAINLINES.contains(&name.as_str());
    // In the middle of a rebase HEAD stands on no branch, and comes back to one.
    let on = contents.on().or_else(|| clone.rebased().filter(|name| contents.branch(name).is_some()));
    if let Some(on) = on.filter(|on| !is_mainline(on)) {
        return Ok((on, false));
    }
    if let Some(noted) = spec.recorded_branch.clone().filter(|noted| !is_mainline(noted)) {
        if contents.branch(&noted).is_some() {
            return Ok((noted, false));
        }
        if mirror.branch_tip(&noted).await?.is_none() {
            return Ok((noted, true));
        }
    }
    for number in 1..=BRANCHES {
        let name = match number {
            1 => spec.branch.clone(),
            number => BranchName::new(format!("{}-{number}", spec.branch))
                .map_err(|error| AdoptError::Damaged { path: spec.dir.clone(), why: error.to_string() })?,
        };
        if mirror.branch_tip(&name).await?.is_none() && contents.branch(&name).is_none() {
            return Ok((name, true));
        }
    }
    Err(AdoptError::Damaged {
        path: spec.dir.clone(),
        why: format!("the branches {}, -2 and so on are taken", spec.branch),
    })
}

/// Where the work began: the last commit that the default branch has too.
async fn base(mirror: &Mirror, contents: &Contents, branch: &BranchName) -> Result<Base, AdoptError> {
    let Some(default) = mirror.default_branch().await? else { return Ok(Base { branch: None, commit: None }) };
    let head = contents.branch(branch).or(contents.commit.as_ref());
    let (Some(tip), Some(head)) = (mirror.branch_tip(&default).await?, head) else {
        return Ok(Base { branch: Some(default), commit: None });
    };
    let command =
        contents.quarantine.command("merge-base", "find where the work began").args([tip.as_str(), head.as_str()]);
    let output = command.output().await?;
    Ok(Base { branch: Some(default), commit: Oid::read(&output.stdout).filter(|_| output.code == 0) })
}

fn same_place(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

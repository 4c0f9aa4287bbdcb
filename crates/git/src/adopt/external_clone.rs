//! A clone that kugetsu did not make, as it is found: its git directory is read as files and never worked in.

use std::path::{Path, PathBuf};

use crate::adopt::adoption::AdoptError;
use crate::files::access::{is_real_dir, read_regular};
use crate::mirror::repo::Mirror;
use crate::names::{BranchName, Oid};
use crate::shown::shown;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::{Head, UntrustedRepo, commits_outside_refs};

/// Refs of a clone's own; what it knew of the server comes from the mirror.
const OWN: [&str; 4] = ["refs/heads/", "refs/stash", "refs/tags/", "refs/notes/"];

/// A clone, found.
#[derive(Clone, Debug)]
pub struct ExternalClone {
    dir: PathBuf,
    git_dir: PathBuf,
    bare: bool,
}

/// What is in it and whole.
pub(crate) struct Contents {
    pub(crate) quarantine: Quarantine,
    pub(crate) head: Head,
    /// The commit of HEAD; none where nothing was committed yet.
    pub(crate) commit: Option<Oid>,
    pub(crate) refs: Vec<(Vec<u8>, Oid)>,
    pub(crate) notices: Vec<String>,
}

impl ExternalClone {
    /// Looks at a directory: a clone with files, or a bare one without.
    ///
    /// # Errors
    /// [`AdoptError`]: there is none, or it is not in that directory alone.
    pub fn at(dir: &Path) -> Result<Self, AdoptError> {
        let Ok(meta) = dir.symlink_metadata() else { return Err(AdoptError::Gone(dir.to_owned())) };
        let elsewhere = |path: &Path, what| Err(AdoptError::Elsewhere { path: path.to_owned(), what });
        if !meta.is_dir() {
            return elsewhere(dir, "not a directory but a link or a file");
        }
        let git_dir = dir.join(".git");
        match git_dir.symlink_metadata() {
            Ok(meta) if meta.is_dir() => Ok(Self { dir: dir.to_owned(), git_dir, bare: false }),
            Ok(_) => elsewhere(&git_dir, "a link or a file"),
            Err(_) if is_real_dir(&dir.join("objects")) && is_real_dir(&dir.join("refs")) => {
                Ok(Self { dir: dir.to_owned(), git_dir: dir.to_owned(), bare: true })
            }
            Err(_) => Err(AdoptError::NoRepository(dir.to_owned())),
        }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it has no files.
    pub fn is_bare(&self) -> bool {
        self.bare
    }

    /// Its git directory, which others may have written.
    pub(crate) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// What it knew of the server's default branch.
    pub(crate) fn default_branch(&self) -> Option<BranchName> {
        let remotes = self.git_dir.join("refs/remotes");
        let origin = remotes.join("origin");
        if !is_real_dir(&remotes) || !is_real_dir(&origin) {
            return None;
        }
        let text = read_regular(&origin.join("HEAD"), 4096)?;
        let name = text.trim_ascii_end().strip_prefix(b"ref: refs/remotes/origin/")?;
        BranchName::new(String::from_utf8(name.to_vec()).ok()?).ok()
    }

    /// The branch that a rebase which is going on will come back to.
    pub(crate) fn rebased(&self) -> Option<BranchName> {
        ["rebase-merge", "rebase-apply"].into_iter().find_map(|name| {
            let place = self.git_dir.join(name);
            let text = if is_real_dir(&place) { read_regular(&place.join("head-name"), 4096)? } else { return None };
            BranchName::of_ref(text.trim_ascii_end())
        })
    }

    /// Reads it, with the mirror's objects beside its own.
    pub(crate) async fn contents(&self, mirror: &Mirror) -> Result<Contents, AdoptError> {
        let repo = UntrustedRepo::read(&self.git_dir);
        let damaged = |why: String| AdoptError::Damaged { path: self.dir.clone(), why };
        let head = repo.head.clone().ok_or_else(|| damaged("its HEAD cannot be read".to_owned()))?;
        let commit = repo.head_commit().cloned();
        let quarantine = Quarantine::open(mirror, &[&self.git_dir], commit.as_ref()).await?;
        if let Some(unread) = quarantine.unreadable().first() {
            return Err(damaged(format!("{} cannot be read", unread.display())));
        }
        let known = mirror.known().await?;
        match &commit {
            Some(commit) if !quarantine.is_complete(&[commit], &known).await? => {
                return Err(damaged(format!("its commit {} is not there with all it needs", commit.short())));
            }
            None if repo.refs.keys().any(|name| name.starts_with(b"refs/heads/")) || !known.is_empty() => {
                return Err(damaged("its HEAD names no commit".to_owned()));
            }
            _ => {}
        }
        let is_own = |name: &&Vec<u8>| OWN.iter().any(|own| name.starts_with(own.as_bytes()));
        let mut refs: Vec<(Vec<u8>, Oid)> =
            repo.refs.iter().filter(|(name, _)| is_own(name)).map(|(name, oid)| (name.clone(), oid.clone())).collect();
        let mut notices = Vec::new();
        let all: Vec<&Oid> = refs.iter().map(|(_, oid)| oid).collect();
        if !all.is_empty() && !quarantine.is_complete(&all, &known).await? {
            let mut whole = Vec::new();
            for (name, oid) in refs {
                match quarantine.is_complete(&[&oid], &known).await? {
                    true => whole.push((name, oid)),
                    false => notices.push(format!("{} names a commit that is damaged or not there", shown(&name))),
                }
            }
            refs = whole;
        }
        // Older stashes are named by a log only; a damaged one is no reason to leave the rest.
        for aside in commits_outside_refs(&self.git_dir) {
            if !quarantine.is_complete(&[&aside], &known).await? {
                notices.push(format!("an older stash, {}, is damaged or not there", aside.short()));
            }
        }
        Ok(Contents { quarantine, head, commit, refs, notices })
    }
}

impl Contents {
    /// The branch that HEAD stands on.
    pub(crate) fn on(&self) -> Option<BranchName> {
        match &self.head {
            Head::Symbolic(name) => BranchName::of_ref(name),
            Head::Detached(_) => None,
        }
    }

    /// The commit of a branch.
    pub(crate) fn branch(&self, name: &BranchName) -> Option<&Oid> {
        let full = name.full();
        self.refs.iter().find(|(own, _)| own == full.as_bytes()).map(|(_, oid)| oid)
    }
}

//! A clone that kugetsu did not make. It is untrusted: its git directory is read as files, and git never runs in it.

use std::path::{Path, PathBuf};

use crate::adopt::adoption::AdoptError;
use crate::files::access::{is_real_dir, read_regular};
use crate::mirror::repo::Mirror;
use crate::names::{BranchName, Oid};
use crate::printable::printable;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::Head;

/// The refs that are adopted. Those of the server come from the mirror.
const ADOPTED_REFS: [&str; 4] = ["refs/heads/", "refs/stash", "refs/tags/", "refs/notes/"];

#[derive(Clone, Debug)]
pub struct ExternalClone {
    dir: PathBuf,
    git_dir: PathBuf,
    bare: bool,
}

/// The complete commits of a clone.
pub(crate) struct Contents {
    pub(crate) quarantine: Quarantine,
    pub(crate) head: Head,
    /// The commit of HEAD; `None` if there is no commit yet.
    pub(crate) commit: Option<Oid>,
    pub(crate) refs: Vec<(Vec<u8>, Oid)>,
    pub(crate) notices: Vec<String>,
}

impl ExternalClone {
    /// Opens a directory that is a clone, bare or not.
    ///
    /// # Errors
    /// [`AdoptError::Gone`], [`AdoptError::Elsewhere`], [`AdoptError::NoRepository`].
    pub fn at(dir: &Path) -> Result<Self, AdoptError> {
        let Ok(meta) = dir.symlink_metadata() else { return Err(AdoptError::Gone(dir.to_owned())) };
        let elsewhere = |path: &Path, kind| Err(AdoptError::Elsewhere { path: path.to_owned(), kind });
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

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn is_bare(&self) -> bool {
        self.bare
    }

    pub(crate) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The server's default branch, as far as the clone knows it.
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

    /// The branch that an unfinished rebase will return to.
    pub(crate) fn rebased_branch(&self) -> Option<BranchName> {
        ["rebase-merge", "rebase-apply"].into_iter().find_map(|name| {
            let state = self.git_dir.join(name);
            let text = if is_real_dir(&state) { read_regular(&state.join("head-name"), 4096)? } else { return None };
            BranchName::from_ref(text.trim_ascii_end())
        })
    }

    /// Reads HEAD and refs, and checks which commits are complete. The mirror adds its objects.
    pub(crate) async fn contents(&self, mirror: &Mirror) -> Result<Contents, AdoptError> {
        let damaged = |reason: String| AdoptError::Damaged { path: self.dir.clone(), reason };
        let quarantine = Quarantine::open(mirror, &[&self.git_dir], None).await?;
        let repo = quarantine.read_refs(&self.git_dir).await?;
        let head = repo.head.clone().ok_or_else(|| damaged("its HEAD cannot be read".to_owned()))?;
        let commit = repo.head_commit().cloned();
        quarantine.set_head(commit.as_ref())?;
        if let Some(reason) = quarantine.unreadable().into_iter().chain(repo.unreadable).next() {
            return Err(damaged(reason));
        }
        let known = mirror.known_commits().await?;
        match &commit {
            Some(commit) if !quarantine.is_complete(&[commit], &known).await? => {
                return Err(damaged(format!("its commit {} is incomplete", commit.short())));
            }
            None if repo.refs.keys().any(|name| name.starts_with(b"refs/heads/")) || !known.is_empty() => {
                return Err(damaged("its HEAD names no commit".to_owned()));
            }
            _ => {}
        }
        let is_adopted = |name: &&Vec<u8>| ADOPTED_REFS.iter().any(|own| name.starts_with(own.as_bytes()));
        let mut refs: Vec<(Vec<u8>, Oid)> = repo
            .refs
            .iter()
            .filter(|(name, _)| is_adopted(name))
            .map(|(name, oid)| (name.clone(), oid.clone()))
            .collect();
        let mut notices = Vec::new();
        let all: Vec<&Oid> = refs.iter().map(|(_, oid)| oid).collect();
        if !all.is_empty() && !quarantine.is_complete(&all, &known).await? {
            let mut complete = Vec::new();
            for (name, oid) in refs {
                match quarantine.is_complete(&[&oid], &known).await? {
                    true => complete.push((name, oid)),
                    false => notices.push(format!("{} names a commit that is damaged or missing", printable(&name))),
                }
            }
            refs = complete;
        }
        // A damaged older stash is no reason to reject the clone.
        for (name, commit) in &repo.others {
            if !quarantine.is_complete(&[commit], &known).await? {
                notices.push(format!("{} names a commit that is damaged or missing", printable(name)));
            }
        }
        Ok(Contents { quarantine, head, commit, refs, notices })
    }
}

impl Contents {
    /// The branch that HEAD is on.
    pub(crate) fn head_branch(&self) -> Option<BranchName> {
        match &self.head {
            Head::Symbolic(name) => BranchName::from_ref(name),
            Head::Detached(_) => None,
        }
    }

    pub(crate) fn branch_tip(&self, name: &BranchName) -> Option<&Oid> {
        let full = name.full_ref();
        self.refs.iter().find(|(own, _)| own == full.as_bytes()).map(|(_, oid)| oid)
    }
}

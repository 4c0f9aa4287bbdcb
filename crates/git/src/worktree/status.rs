//! The state of a worktree: commits, uncommitted files, what the agent pushed.
//!
//! The agent could write the git directory, so it is read as files, and git processes its objects in quarantine.

use crate::command::runner::GitError;
use crate::files::access::is_real_dir;
use crate::names::Oid;
use crate::printable::printable;
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::{Quarantine, head_branch};
use crate::untrusted::reader::{Head, UntrustedRepo};
use crate::worktree::lifecycle::Worktree;

/// Maximum number of names in a list.
pub(crate) const LISTED: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorktreeStatus {
    /// The commit of HEAD.
    pub head: Option<Oid>,
    /// The tip of the branch.
    pub branch_head: Option<Oid>,
    /// The tip of the branch in the relay: what the agent pushed, or what the server had when the work began.
    pub relay_head: Option<Oid>,
    /// The commit to push, see [`Worktree::best_head`].
    pub best_head: Option<Oid>,
    /// Branches, and a detached `HEAD`, with commits that neither the best head nor the server has: pushing the best head
    /// leaves them behind. Escaped.
    pub unpushed_branches: Vec<String>,
    /// The branch that HEAD is on, escaped; `None` if HEAD is detached or unreadable.
    pub current_branch: Option<String>,
    /// Number of commits of the best head that neither the base nor the server's other branches and tags have.
    pub commits: u32,
    /// The first 100 files with uncommitted changes, escaped.
    pub uncommitted: Vec<String>,
    pub uncommitted_total: usize,
}

/// The refs of a worktree and its relay, with a quarantine for their objects.
pub(crate) struct Heads {
    pub(crate) own: UntrustedRepo,
    pub(crate) relay: UntrustedRepo,
    /// Its HEAD is at that of the worktree.
    pub(crate) quarantine: Quarantine,
    /// The commits that the mirror's refs name.
    pub(crate) known: Vec<Oid>,
}

impl Heads {
    pub(crate) async fn read(worktree: &Worktree) -> Result<Self, StatusError> {
        let (git_dir, relay) = (worktree.git_dir(), worktree.relay());
        let (own, relay_refs) = (UntrustedRepo::read(&git_dir), UntrustedRepo::read(relay));
        let quarantine = Quarantine::open(worktree.mirror(), &[&git_dir, relay], own.head_commit()).await?;
        let known = worktree.mirror().known_commits().await?;
        Ok(Self { own, relay: relay_refs, quarantine, known })
    }

    /// The commit described at [`Worktree::best_head`], and its number of commits beyond the base.
    async fn best(&self, worktree: &Worktree, base: Option<&Oid>) -> Result<(Option<Oid>, u32), GitError> {
        let branch = worktree.branch().full_ref();
        let old = commits_before(worktree, base).await?;
        let on_branch = matches!(&self.own.head, Some(Head::Symbolic(name)) if *name == branch.as_bytes());
        let (own, head) = (self.own.get(&branch), self.own.head_commit().filter(|_| !on_branch));
        let mut candidates = [own, head, self.relay.get(&branch)];
        if let (Some(own), Some(head)) = (own, head)
            && self.contains(head, own).await?
        {
            // HEAD continues the branch, so pushing it takes nothing back.
            candidates.swap(0, 1);
        }
        let mut first = None;
        for candidate in candidates.into_iter().flatten() {
            // An agent can name an object that does not exist.
            if !self.quarantine.is_complete(&[candidate], &self.known).await? {
                continue;
            }
            let count = self.quarantine.count_commits_not_in(&[candidate], &old).await?;
            if count > 0 {
                return Ok((Some(candidate.clone()), count));
            }
            first.get_or_insert(candidate);
        }
        Ok((first.cloned(), 0))
    }

    async fn contains(&self, head: &Oid, other: &Oid) -> Result<bool, GitError> {
        self.quarantine.contains(head, other).await
    }

    /// The branches, and a detached HEAD, with commits that neither `best` nor the server has.
    async fn unpushed_branches(
        &self,
        worktree: &Worktree,
        base: Option<&Oid>,
        best: Option<&Oid>,
    ) -> Result<Vec<String>, GitError> {
        let mut known = commits_before(worktree, base).await?;
        known.extend(best.cloned());
        let mut heads: Vec<(&[u8], &Oid)> = self.own.refs_below("refs/heads/").collect();
        if let Some(Head::Detached(head)) = &self.own.head
            && !heads.iter().any(|(_, oid)| *oid == head)
        {
            heads.push((b"HEAD", head));
        }
        let mut unpushed = Vec::new();
        for (name, oid) in heads.into_iter().filter(|(_, oid)| !known.contains(oid)) {
            if self.quarantine.commits_not_in(&[oid], &known).await?.is_some_and(|commits| !commits.is_empty()) {
                unpushed.push(printable(name.strip_prefix(b"refs/heads/").unwrap_or(name)));
            }
        }
        Ok(unpushed)
    }
}

/// The tips of what was there before the work: the base, and the server's other branches and tags.
async fn commits_before(worktree: &Worktree, base: Option<&Oid>) -> Result<Vec<Oid>, GitError> {
    let mut old = worktree.mirror().other_branch_tips(worktree.branch()).await?;
    old.extend(worktree.mirror().refs(&["refs/tags"]).await?.into_iter().map(|(_, oid)| oid));
    old.extend(base.cloned());
    Ok(old)
}

impl Worktree {
    /// Reads the status; `base` is the commit that the work began at. A damaged or missing git directory is no error; its
    /// fields are empty.
    pub async fn status(&self, base: Option<&Oid>) -> Result<WorktreeStatus, StatusError> {
        let heads = Heads::read(self).await?;
        let (best_head, commits) = heads.best(self, base).await?;
        let unpushed_branches = heads.unpushed_branches(self, base, best_head.as_ref()).await?;
        let mut head = heads.own.head_commit().cloned();
        if let Some(commit) = &head
            && !heads.quarantine.is_complete(&[commit], &heads.known).await?
        {
            head = None;
            heads.quarantine.set_head(None)?;
        }
        let index = self.git_dir().join("index");
        let changes = match is_real_dir(self.dir()) {
            true => heads.quarantine.changes(self.mirror(), self.dir(), &index, head.as_ref()).await?,
            false => Default::default(),
        };
        let branch = self.branch().full_ref();
        Ok(WorktreeStatus {
            branch_head: heads.own.get(&branch).cloned(),
            relay_head: heads.relay.get(&branch).cloned(),
            best_head,
            unpushed_branches,
            current_branch: head_branch(&heads.own),
            commits,
            uncommitted: changes.names(LISTED),
            uncommitted_total: changes.total(),
            head,
        })
    }

    /// The commit that holds the agent's work: the first of these with commits that neither `base` nor the server's other
    /// branches have, or the first that exists if none has any.
    ///
    /// 1. The tip of the branch in the worktree.
    /// 2. HEAD, if the agent worked on another branch or detached. It comes first if it contains the branch.
    /// 3. The tip of the branch in the relay, if the agent pushed and then reset its own.
    pub async fn best_head(&self, base: Option<&Oid>) -> Result<Option<Oid>, StatusError> {
        let heads = Heads::read(self).await?;
        Ok(heads.best(self, base).await?.0)
    }

    /// Whether `head` contains `other`, so that pushing `head` over `other` loses nothing. `false` if a commit is missing.
    pub async fn has_ancestor(&self, head: &Oid, other: &Oid) -> Result<bool, StatusError> {
        let git_dir = self.git_dir();
        let quarantine = Quarantine::open(self.mirror(), &[&git_dir, self.relay()], Some(head)).await?;
        Ok(quarantine.contains(head, other).await?)
    }
}

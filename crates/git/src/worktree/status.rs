//! What an agent left in a worktree: commits, uncommitted files, what it pushed.
//!
//! The agent wrote the git directory, so it is read as files (see `repo`), and git works in a directory of the
//! host's own (see `quarantine`): no hook, filter or setting of the agent's takes effect.

use crate::command::runner::GitError;
use crate::files::access::is_real_dir;
use crate::names::Oid;
use crate::shown::shown;
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::{Quarantine, head_branch};
use crate::untrusted::reader::{Head, UntrustedRepo};
use crate::worktree::lifecycle::Worktree;

/// So many names are listed.
pub(crate) const LISTED: usize = 100;

/// What a look at a worktree tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorktreeStatus {
    /// The commit of HEAD.
    pub head: Option<Oid>,
    /// The tip of the issue's own branch.
    pub branch_head: Option<Oid>,
    /// The tip of the branch in the relay: what the agent pushed, or what the server had when work began.
    pub relay_head: Option<Oid>,
    /// The commit that is the work, see [`Worktree::best_head`].
    pub best_head: Option<Oid>,
    /// Branches here, and `HEAD` if it stands on none, with commits that are neither in the best head nor on the server:
    /// pushing the best head leaves them behind. Fit to be shown.
    pub unpushed_branches: Vec<String>,
    /// The branch HEAD stands on, fit to be shown; `None` when it is detached or cannot be read.
    pub current_branch: Option<String>,
    /// Commits of the best head that neither the base nor the server's other branches and tags have.
    pub commits: u32,
    /// Files with changes in no commit, fit to be shown: the first hundred.
    pub uncommitted: Vec<String>,
    /// How many there are.
    pub uncommitted_total: usize,
}

/// The heads in an agent's git directories.
pub(crate) struct Heads {
    pub(crate) own: UntrustedRepo,
    pub(crate) relay: UntrustedRepo,
    pub(crate) quarantine: Quarantine,
    /// What the mirror has anyway.
    pub(crate) known: Vec<Oid>,
}

impl Heads {
    /// Reads them, with a quarantine onto the objects; HEAD of the quarantine is the worktree's.
    pub(crate) async fn read(worktree: &Worktree) -> Result<Self, StatusError> {
        let (git_dir, relay) = (worktree.git_dir(), worktree.relay());
        let (own, relay_refs) = (UntrustedRepo::read(&git_dir), UntrustedRepo::read(relay));
        let quarantine = Quarantine::open(worktree.mirror(), &[&git_dir, relay], own.head_commit()).await?;
        let known = worktree.mirror().known().await?;
        Ok(Self { own, relay: relay_refs, quarantine, known })
    }

    /// Which commit is the work, and how many commits it is beyond `base`.
    async fn best(&self, worktree: &Worktree, base: Option<&Oid>) -> Result<(Option<Oid>, u32), GitError> {
        let branch = worktree.branch().full();
        let old = old(worktree, base).await?;
        let on_branch = matches!(&self.own.head, Some(Head::Symbolic(name)) if *name == branch.as_bytes());
        let (own, head) = (self.own.get(&branch), self.own.head_commit().filter(|_| !on_branch));
        let mut candidates = [own, head, self.relay.get(&branch)];
        if let (Some(own), Some(head)) = (own, head)
            && self.contains(head, own).await?
        {
            // Nothing that was pushed before would be taken back.
            candidates.swap(0, 1);
        }
        let mut first = None;
        for candidate in candidates.into_iter().flatten() {
            // An agent can name an object that is not there; that is no work.
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
        let command = self.quarantine.command("merge-base", "compare two commits").arg("--is-ancestor");
        Ok(command.args([other.as_str(), head.as_str()]).output().await?.code == 0)
    }

    /// The branches with commits that neither `best` nor the server has.
    async fn unpushed_branches(
        &self,
        worktree: &Worktree,
        base: Option<&Oid>,
        best: Option<&Oid>,
    ) -> Result<Vec<String>, GitError> {
        let mut known = old(worktree, base).await?;
        known.extend(best.cloned());
        let mut heads: Vec<(&[u8], &Oid)> = self.own.refs_below("refs/heads/").collect();
        if let Some(Head::Detached(head)) = &self.own.head
            && !heads.iter().any(|(_, oid)| *oid == head)
        {
            heads.push((b"HEAD", head));
        }
        let mut left = Vec::new();
        for (name, oid) in heads.into_iter().filter(|(_, oid)| !known.contains(oid)) {
            if self.quarantine.commits_not_in(&[oid], &known).await?.is_some_and(|commits| !commits.is_empty()) {
                left.push(shown(name.strip_prefix(b"refs/heads/").unwrap_or(name)));
            }
        }
        Ok(left)
    }
}

/// Commits that are no work on the issue: those of its base, and of the server's other branches and tags.
async fn old(worktree: &Worktree, base: Option<&Oid>) -> Result<Vec<Oid>, GitError> {
    let mut old = worktree.mirror().others(worktree.branch()).await?;
    old.extend(worktree.mirror().refs(&["refs/tags"]).await?.into_iter().map(|(_, oid)| oid));
    old.extend(base.cloned());
    Ok(old)
}

impl Worktree {
    /// Looks at the worktree; `base` is the commit that its work began at. A git directory that is damaged or gone tells
    /// less, and is no error.
    ///
    /// # Errors
    /// [`StatusError`] with git's or the system's words.
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
        let branch = self.branch().full();
        Ok(WorktreeStatus {
            branch_head: heads.own.get(&branch).cloned(),
            relay_head: heads.relay.get(&branch).cloned(),
            best_head,
            unpushed_branches,
            current_branch: head_branch(&heads.own),
            commits,
            uncommitted: changes.shown(LISTED),
            uncommitted_total: changes.total(),
            head,
        })
    }

    /// The commit that is the work: the first of these with commits that neither `base` nor the server's other branches
    /// have, or the first that exists if none has:
    ///
    /// 1. the tip of the branch in the worktree,
    /// 2. HEAD, if the agent worked on another branch or on none,
    /// 3. the tip of the branch in the relay, if the agent pushed and then reset its own.
    ///
    /// HEAD comes first if it contains that branch.
    ///
    /// # Errors
    /// [`StatusError`] with git's or the system's words.
    pub async fn best_head(&self, base: Option<&Oid>) -> Result<Option<Oid>, StatusError> {
        let heads = Heads::read(self).await?;
        Ok(heads.best(self, base).await?.0)
    }

    /// Whether `head` contains `other`, as far as the commits here tell: pushing `head` over it would then lose nothing.
    /// A commit that is not here is not contained.
    pub async fn has_ancestor(&self, head: &Oid, other: &Oid) -> bool {
        let git_dir = self.git_dir();
        let Ok(quarantine) = Quarantine::open(self.mirror(), &[&git_dir, self.relay()], Some(head)).await else {
            return false;
        };
        let command = quarantine.command("merge-base", "compare two commits");
        let output = command.args(["--is-ancestor", other.as_str(), head.as_str()]).output().await;
        output.is_ok_and(|output| output.code == 0)
    }
}

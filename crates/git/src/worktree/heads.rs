//! The refs of a worktree and its relay, and its unfinished operations. The agent could write them, so they are read as files.

use crate::command::runner::GitError;
use crate::files::access::is_real_dir;
use crate::git_dir::layout::write_ref;
use crate::names::Oid;
use crate::untrusted::changes::StatusError;
use crate::untrusted::operation::Operation;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::{UntrustedRepo, uses_reftable};
use crate::worktree::lifecycle::Worktree;

/// Maximum number of names in a list.
pub(crate) const LISTED: usize = 100;

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
        let quarantine = Quarantine::open(worktree.mirror(), &[&git_dir, relay], None).await?;
        let (own, relay_refs) = (quarantine.read_refs(&git_dir).await?, quarantine.read_refs(relay).await?);
        quarantine.set_head(own.head_commit())?;
        let known = worktree.mirror().known_commits().await?;
        Ok(Self { own, relay: relay_refs, quarantine, known })
    }

    /// The objects that no ref of the worktree or its relay names and that something else names.
    pub(crate) fn others(&self) -> impl Iterator<Item = (Vec<u8>, Oid)> {
        let relay = self.relay.others.iter().map(|(name, oid)| ([b"relay/", name.as_slice()].concat(), oid.clone()));
        self.own.others.iter().cloned().chain(relay)
    }

    /// As [`read`](Self::read), but what is there and cannot be read is an error.
    pub(crate) async fn read_all(worktree: &Worktree) -> Result<Self, StatusError> {
        let heads = Self::read(worktree).await?;
        let unreadable = heads.own.unreadable.iter().chain(&heads.relay.unreadable).cloned();
        match unreadable.chain(heads.quarantine.unreadable()).next() {
            None => Ok(heads),
            Some(why) => Err(StatusError::Unreadable { dir: worktree.dir().to_owned(), why }),
        }
    }
}

/// The tips of what was there before the work: the base, and the server's other branches and tags.
pub(crate) async fn commits_before(worktree: &Worktree, base: Option<&Oid>) -> Result<Vec<Oid>, GitError> {
    let mut old = worktree.mirror().other_branch_tips(worktree.branch()).await?;
    old.extend(worktree.mirror().refs(&["refs/tags"]).await?.into_iter().map(|(_, oid)| oid));
    old.extend(base.cloned());
    Ok(old)
}

impl Worktree {
    /// Whether `head` contains `other`, so that pushing `head` over `other` loses nothing. `false` if a commit is missing.
    pub async fn has_ancestor(&self, head: &Oid, other: &Oid) -> Result<bool, StatusError> {
        let git_dir = self.git_dir();
        let quarantine = Quarantine::open(self.mirror(), &[&git_dir, self.relay()], Some(head)).await?;
        Ok(quarantine.contains(head, other).await?)
    }

    /// Makes `tip`, a commit of the server, the branch in `origin`, so that a fetch brings it. `false` if the branch has commits
    /// there that `tip` does not contain; then it stays.
    ///
    /// # Errors
    /// Among others: the refs of the relay cannot be read.
    pub async fn offer(&self, tip: &Oid) -> Result<bool, StatusError> {
        let heads = Heads::read_all(self).await?;
        let branch = self.branch().full_ref();
        let own = heads.relay.get(&branch).cloned();
        let keeps = match &own {
            Some(own) if own != tip => !self.has_ancestor(tip, own).await?,
            _ => false,
        };
        if keeps || uses_reftable(self.relay()) {
            return Ok(own.as_ref() == Some(tip));
        }
        write_ref(self.relay(), branch.as_bytes(), tip)?;
        Ok(true)
    }

    /// The operations that were started and not ended.
    pub async fn operations(&self) -> Result<Vec<Operation>, StatusError> {
        let mut operations = Operation::read_all(&self.git_dir())?;
        if operations.is_empty() && is_real_dir(self.dir()) {
            let quarantine = Quarantine::open(self.mirror(), &[], None).await?;
            if quarantine.copy_index(&self.git_dir().join("index")).await? {
                let list =
                    quarantine.command_on(self.dir(), "ls-files", "look for conflicts").args(["--unmerged", "-z"]);
                // An index that git cannot read shows none.
                if list.whole().await?.yes().is_some_and(|listed| listed.records().next().is_some()) {
                    operations.push(Operation::Conflict);
                }
            }
        }
        Ok(operations)
    }
}

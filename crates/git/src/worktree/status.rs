//! The state of a worktree: commits, uncommitted files, what the agent pushed.
//!
//! The agent could write the git directory, so it is read as files, and git processes its objects in quarantine.

use crate::command::runner::GitError;
use crate::files::access::{is_dir_there, is_real_dir};
use crate::names::Oid;
use crate::untrusted::changes::StatusError;
use crate::untrusted::operation::Operation;
use crate::untrusted::quarantine::{Conversion, head_branch};
use crate::untrusted::reader::Head;
use crate::worktree::heads::{Heads, LISTED, commits_before};
use crate::worktree::left_behind::{LeftBehind, left_behind};
use crate::worktree::lifecycle::Worktree;

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
    /// Operations that were started and not ended.
    pub operations: Vec<Operation>,
    /// The first 100 pieces of work that pushing the best head leaves behind.
    pub left_behind: Vec<LeftBehind>,
    /// The branch that HEAD is on, escaped; `None` if HEAD is detached or unreadable.
    pub current_branch: Option<String>,
    /// Number of commits of the best head that the base does not have.
    pub commits: u32,
    /// Number of those that the server's other branches and tags do not have either.
    pub own_commits: u32,
    /// The first 100 files with uncommitted changes, escaped. Before them, git's messages about what it could not read: it may
    /// have changed.
    pub uncommitted: Vec<String>,
    pub uncommitted_total: usize,
}

/// The commit described at [`Worktree::best_head`], with the counts of [`WorktreeStatus`].
#[derive(Default)]
struct Best {
    head: Option<Oid>,
    commits: u32,
    own_commits: u32,
}

impl Heads {
    async fn best(&self, worktree: &Worktree, base: Option<&Oid>, old: &[Oid]) -> Result<Best, GitError> {
        let branch = worktree.branch().full_ref();
        let on_branch = matches!(&self.own.head, Some(Head::Symbolic(name)) if *name == branch.as_bytes());
        let (own, head) = (self.own.get(&branch), self.own.head_commit().filter(|_| !on_branch));
        let in_relay = self.relay.get(&branch);
        let mut candidates = [own, head, in_relay];
        if let (Some(own), Some(head)) = (own, head)
            && self.quarantine.contains(head, own).await?
        {
            // HEAD continues the branch, so pushing it takes nothing back.
            candidates.swap(0, 1);
        }
        let mut complete = Vec::new();
        for candidate in candidates.into_iter().flatten() {
            // An agent can name an object that does not exist.
            if !self.quarantine.is_complete(&[candidate], &self.known).await? {
                continue;
            }
            let own_commits = self.quarantine.count_commits_not_in(&[candidate], old).await?;
            if own_commits > 0 {
                return self.best_at(candidate, base, own_commits).await;
            }
            complete.push(candidate);
        }
        // Commits that another branch has, too. Only those of the branch are work on the issue: HEAD can be on any
        // branch that the agent looks at.
        let moved = [own, in_relay].into_iter().flatten().find(|tip| Some(*tip) != base && complete.contains(tip));
        match moved.or(complete.first().copied()) {
            Some(head) => self.best_at(head, base, 0).await,
            None => Ok(Best::default()),
        }
    }

    async fn best_at(&self, head: &Oid, base: Option<&Oid>, own_commits: u32) -> Result<Best, GitError> {
        let base: Vec<Oid> = base.into_iter().cloned().collect();
        let commits = self.quarantine.count_commits_not_in(&[head], &base).await?;
        Ok(Best { head: Some(head.clone()), commits, own_commits })
    }
}

impl Worktree {
    /// Reads the status; `base` is the commit that the work began at. A damaged or missing git directory is no error; its
    /// fields are empty.
    pub async fn status(&self, base: Option<&Oid>) -> Result<WorktreeStatus, StatusError> {
        let heads = Heads::read_all(self).await?;
        let old = commits_before(self, base).await?;
        let best = heads.best(self, base, &old).await?;
        let mut head = heads.own.head_commit().cloned();
        if let Some(commit) = &head
            && !heads.quarantine.is_complete(&[commit], &heads.known).await?
        {
            head = None;
            heads.quarantine.set_head(None)?;
        }
        let index = self.git_dir().join("index");
        let mut changes = match is_dir_there(self.dir())? {
            true => heads.quarantine.changes(self.mirror(), self.dir(), &index, head.as_ref()).await?,
            false => Default::default(),
        };
        let left_behind = left_behind(self, &heads, &old, best.head.as_ref(), &mut changes).await?;
        changes.nested.retain(|nested| !changes.unpushed_submodules.contains(nested));
        let mut operations = Operation::read_all(&self.git_dir())?;
        if changes.has_conflicts && operations.is_empty() {
            operations.push(Operation::Conflict);
        }
        let branch = self.branch().full_ref();
        Ok(WorktreeStatus {
            branch_head: heads.own.get(&branch).cloned(),
            relay_head: heads.relay.get(&branch).cloned(),
            best_head: best.head,
            operations,
            left_behind,
            current_branch: head_branch(&heads.own),
            commits: best.commits,
            own_commits: best.own_commits,
            uncommitted: changes.unreadable.iter().cloned().chain(changes.names(LISTED)).take(LISTED).collect(),
            uncommitted_total: changes.total() + changes.unreadable.len(),
            head,
        })
    }

    /// Returns the difference between `base` and the files as a patch, or with `stat` as one line per file. Without `base` it
    /// is the difference between HEAD and the files. Repositories inside the worktree are left out.
    pub async fn diff(&self, base: Option<&Oid>, stat: bool) -> Result<Vec<u8>, StatusError> {
        let heads = Heads::read(self).await?;
        if !is_real_dir(self.dir()) {
            return Ok(Vec::new());
        }
        let mut head = heads.own.head_commit();
        if let Some(commit) = head
            && !heads.quarantine.is_complete(&[commit], &heads.known).await?
        {
            head = None;
            heads.quarantine.set_head(None)?;
        }
        let index = self.git_dir().join("index");
        let changes = heads.quarantine.changes(self.mirror(), self.dir(), &index, head).await?;
        if !changes.unmodified.is_empty() {
            let unmodified: Vec<u8> =
                changes.unmodified.iter().flat_map(|path| path.iter().copied().chain([0])).collect();
            let skip = heads.quarantine.command_on(self.dir(), "update-index", "leave out unmodified files");
            skip.args(["--assume-unchanged", "-z", "--stdin"]).stdin(unmodified).run().await?;
        }
        let untracked = changes.files.iter().filter(|change| change.staged == b'?');
        let untracked: Vec<u8> = untracked.flat_map(|change| change.path.iter().copied().chain([0])).collect();
        if !untracked.is_empty() {
            // Git compares only files that the index has. This is the quarantine's index.
            let add = heads.quarantine.command_on(self.dir(), "add", "add the new files to the comparison");
            let paths = ["--intent-to-add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul"];
            add.args(paths).env("GIT_LITERAL_PATHSPECS", "1").stdin(untracked).run().await?;
        }
        heads.quarantine.set_conversion(Conversion::Compared)?;
        let mut command = heads.quarantine.command_on(self.dir(), "diff", "compare the files with their base");
        command = command.args(["--no-ext-diff", "--no-textconv", "--no-color", "--find-renames"]);
        command = command.arg(if stat { "--stat=80" } else { "--patch" });
        if let Some(from) = base.or(head) {
            command = command.arg(from.as_str());
        }
        Ok(command.arg("--").run().await?.stdout)
    }

    /// The commit that holds the agent's work: the first of these with commits that neither `base` nor the server's other
    /// branches have.
    ///
    /// 1. The tip of the branch in the worktree.
    /// 2. HEAD, if the agent worked on another branch or detached. It comes first if it contains the branch.
    /// 3. The tip of the branch in the relay, if the agent pushed and then reset its own.
    ///
    /// If none has any, the tip of the branch that is not at `base`, such as after a merge of another branch; else the
    /// first that exists.
    pub async fn best_head(&self, base: Option<&Oid>) -> Result<Option<Oid>, StatusError> {
        let heads = Heads::read_all(self).await?;
        let old = commits_before(self, base).await?;
        Ok(heads.best(self, base, &old).await?.head)
    }
}

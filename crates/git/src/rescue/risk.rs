//! The work that would be lost if a worktree were removed now.

use std::collections::BTreeSet;

use crate::command::runner::GitError;
use crate::files::access::is_dir_there;
use crate::files::special::SetAside;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::printable::printable;
use crate::rescue::error::RescueError;
use crate::untrusted::changes::Changes;
use crate::untrusted::nested_repos::{NestedHeads, find_all_nested_repos};
use crate::untrusted::operation::Operation;
use crate::untrusted::quarantine::{Kind, Quarantine};
use crate::worktree::heads::{Heads, LISTED};
use crate::worktree::lifecycle::Worktree;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtRisk {
    /// The first hundred files with uncommitted changes, escaped.
    pub uncommitted: Vec<String>,
    pub uncommitted_total: usize,
    /// Number of commits of the branch, or of HEAD, that exist nowhere else.
    pub unpushed: u32,
    /// Other branches with such commits, stashes, and the same of submodules that are not checked out. Escaped.
    pub other_branches: Vec<String>,
    /// Unfinished operations, whose state is in no commit.
    pub operations: Vec<Operation>,
}

impl AtRisk {
    pub fn is_empty(&self) -> bool {
        self.uncommitted_total == 0
            && self.unpushed == 0
            && self.other_branches.is_empty()
            && self.operations.is_empty()
    }
}

/// Finds what of a worktree is neither on the server nor in a rescue.
///
/// A commit is safe if it is reachable from a ref of the server (as of the last update), from a push of kugetsu's or from a
/// rescue, or if the default branch has the same change by patch id: it was rebased or cherry-picked there.
pub async fn work_at_risk(mirror: &Mirror, worktree: &Worktree) -> Result<AtRisk, RescueError> {
    let _aside = SetAside::of(worktree.dir()).await?;
    let heads = Heads::read(worktree).await?;
    let safe = mirror.safe_commits().await?;
    let default = mirror.default_tip().await?;
    let mut at_risk = AtRisk::default();

    let branch = worktree.branch().full_ref();
    let mut own: BTreeSet<Oid> = BTreeSet::new();
    own.extend(heads.own.get(&branch).cloned());
    own.extend(heads.own.head_commit().cloned());
    own.extend(heads.relay.get(&branch).cloned());
    let mut unpushed = BTreeSet::new();
    for head in &own {
        unpushed.extend(unsafe_commits(mirror, &heads.quarantine, head, &safe, default.as_ref()).await?);
    }
    at_risk.unpushed = u32::try_from(unpushed.len()).unwrap_or(u32::MAX);

    let is_own = |name: &[u8]| {
        name == branch.as_bytes() || name.starts_with(b"refs/remotes/") || mirror.git().is_bookkeeping(name)
    };
    let mut others: Vec<(String, &Oid)> = Vec::new();
    let known: BTreeSet<&Oid> = safe.iter().chain(&own).collect();
    for (refs, prefix) in [(&heads.own.refs, ""), (&heads.relay.refs, "relay: ")] {
        for (name, oid) in refs.iter().filter(|(name, oid)| !is_own(name) && !known.contains(oid)) {
            if !prefix.is_empty() && mirror.has_commit(oid).await? {
                // A branch that the server had before.
                continue;
            }
            let short = name.strip_prefix(b"refs/heads/").or_else(|| name.strip_prefix(b"refs/"));
            others.push((format!("{prefix}{}", printable(short.unwrap_or(name))), oid));
        }
    }
    for (name, oid) in others {
        if !unsafe_commits(mirror, &heads.quarantine, oid, &safe, default.as_ref()).await?.is_empty() {
            at_risk.other_branches.push(name);
        }
    }
    at_risk.other_branches.extend(unnamed_commits(mirror, worktree, &heads, &safe).await?);
    at_risk.operations = Operation::read_all(&worktree.git_dir())?;
    let unreadable = heads.own.unreadable.iter().chain(&heads.relay.unreadable).cloned();
    at_risk.other_branches.extend(unreadable.chain(heads.quarantine.unreadable()));

    if is_dir_there(worktree.dir())? {
        let mut head = heads.own.head_commit();
        if let Some(commit) = head
            && !heads.quarantine.is_complete(&[commit], &heads.known).await?
        {
            head = None;
            heads.quarantine.set_head(None)?;
        }
        let index = worktree.git_dir().join("index");
        let changes = heads.quarantine.changes(mirror, worktree.dir(), &index, head).await?;
        at_risk.uncommitted = changes.unreadable.iter().cloned().chain(changes.names(LISTED)).take(LISTED).collect();
        at_risk.uncommitted_total = changes.total() + changes.unreadable.len();
        at_risk.other_branches.extend(nested_heads(mirror, worktree, &changes, &safe).await?);
    }
    Ok(at_risk)
}

/// The pseudo refs and state files that name commits which exist nowhere else. Commits that the branch has too, in
/// another form (`ORIG_HEAD` after a rebase), are not among them.
async fn unnamed_commits(
    mirror: &Mirror,
    worktree: &Worktree,
    heads: &Heads,
    safe: &[Oid],
) -> Result<Vec<String>, GitError> {
    let named: BTreeSet<&Oid> = heads.own.refs.values().chain(heads.own.head_commit()).collect();
    let mut others: Vec<_> = heads.others().filter(|(_, oid)| !named.contains(oid)).collect();
    others.dedup_by(|(_, a), (_, b)| a == b);
    let oids: Vec<&Oid> = others.iter().map(|(_, oid)| oid).collect();
    let kinds = heads.quarantine.kinds(&oids).await?;
    let mut excluded = safe.to_vec();
    excluded.extend(named.into_iter().cloned());
    let branch = heads.own.get(&worktree.branch().full_ref()).or(heads.own.head_commit());
    let mut at_risk = Vec::new();
    for ((name, oid), kind) in others.into_iter().zip(kinds) {
        // A tree that git made of a merge is in the files. A missing object is lost already.
        if kind == Some(Kind::Commit)
            && !unsafe_commits(mirror, &heads.quarantine, &oid, &excluded, branch).await?.is_empty()
        {
            at_risk.push(format!("{}: {}", printable(&name), oid.short()));
        }
    }
    Ok(at_risk)
}

/// The unpushed heads of submodules that are not checked out, and of repositories in ignored directories. Other repositories
/// count as changes.
async fn nested_heads(
    mirror: &Mirror,
    worktree: &Worktree,
    changes: &Changes,
    safe: &[Oid],
) -> Result<Vec<String>, RescueError> {
    let found = find_all_nested_repos(worktree.dir()).await?;
    let is_change = |path: &[u8]| {
        changes
            .nested
            .iter()
            .any(|dir| path.strip_prefix(dir.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
    };
    let mut heads = found.unreadable;
    for nested in found.repositories.iter().filter(|nested| !nested.has_files || !is_change(&nested.path)) {
        let (own, quarantine) = NestedHeads::open(mirror, &nested.git_dir).await?;
        heads.extend(own.unreadable.iter().map(|why| format!("{}: {why}", printable(&nested.path))));
        let unpushed = own.unpushed_heads(&quarantine, safe).await?;
        heads.extend(unpushed.iter().map(|(name, _)| format!("{}: {}", printable(&nested.path), printable(name))));
    }
    Ok(heads)
}

/// The commits of `head` that exist nowhere else. A head whose commits cannot be listed counts as one commit, since it
/// cannot be proved safe.
async fn unsafe_commits(
    mirror: &Mirror,
    quarantine: &Quarantine,
    head: &Oid,
    safe: &[Oid],
    default: Option<&Oid>,
) -> Result<Vec<Oid>, GitError> {
    let Some(commits) = quarantine.commits_not_in(&[head], safe).await? else { return Ok(vec![head.clone()]) };
    let Some(default) = default.filter(|_| !commits.is_empty()) else { return Ok(commits) };
    let command =
        quarantine.command("cherry", "look for the same changes on the server").args([default.as_str(), head.as_str()]);
    // A partial clone fetches the files that it compares.
    let output = match mirror.authenticate(command).await.run().await {
        Ok(output) => output,
        // Files that cannot be compared are not the same.
        Err(GitError::Failed { .. }) => return Ok(commits),
        Err(error) => return Err(error),
    };
    let same: BTreeSet<Oid> = output.lines().filter_map(|line| Oid::from_bytes(line.strip_prefix(b"- ")?)).collect();
    Ok(commits.into_iter().filter(|commit| !same.contains(commit)).collect())
}

impl Mirror {
    /// The commit of the default branch, if there is one.
    async fn default_tip(&self) -> Result<Option<Oid>, GitError> {
        match self.default_branch().await? {
            Some(branch) => self.branch_tip(&branch).await,
            None => Ok(None),
        }
    }
}

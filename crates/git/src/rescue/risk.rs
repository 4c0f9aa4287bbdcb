//! What would be lost if a worktree were removed now.

use std::collections::BTreeSet;

use crate::command::runner::GitError;
use crate::files::access::is_real_dir;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::rescue::error::RescueError;
use crate::shown::shown;
use crate::untrusted::changes::Changes;
use crate::untrusted::nested_repos::{NestedHeads, find_nested_repos};
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::commits_outside_refs;
use crate::worktree::lifecycle::Worktree;
use crate::worktree::status::{Heads, LISTED};

/// What would be lost with a worktree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtRisk {
    /// Files with changes in no commit, fit to be shown: the first hundred.
    pub uncommitted: Vec<String>,
    /// How many there are.
    pub uncommitted_total: usize,
    /// Commits of the branch or of HEAD that are outside_repository else.
    pub unpushed: u32,
    /// Other branches with such commits, and stashes, those of submodules that are not checked out too; fit to be shown.
    pub other_branches: Vec<String>,
}

impl AtRisk {
    /// Nothing would be lost.
    pub fn is_empty(&self) -> bool {
        self.uncommitted_total == 0 && self.unpushed == 0 && self.other_branches.is_empty()
    }
}

/// Asks what of a worktree is neither on the server nor in a rescue. Commits count as safe when a ref of the server's
/// (as of the last update), a push of ours or a rescue reaches them, or when the default branch has the same change
/// (by patch id: it was rebased or cherry-picked there).
///
/// # Errors
/// [`RescueError`] with git's or the system's words.
pub async fn work_at_risk(mirror: &Mirror, worktree: &Worktree) -> Result<AtRisk, RescueError> {
    let heads = Heads::read(worktree).await?;
    let safe = mirror.safe().await?;
    let upstream = mirror.resolve_default().await?;
    let mut at_risk = AtRisk::default();

    let branch = worktree.branch().full();
    let mut own: BTreeSet<Oid> = BTreeSet::new();
    own.extend(heads.own.get(&branch).cloned());
    own.extend(heads.own.head_commit().cloned());
    own.extend(heads.relay.get(&branch).cloned());
    let mut lost = BTreeSet::new();
    for head in &own {
        lost.extend(unsafe_commits(mirror, &heads.quarantine, head, &safe, upstream.as_ref()).await?);
    }
    at_risk.unpushed = u32::try_from(lost.len()).unwrap_or(u32::MAX);

    let is_own = |name: &[u8]| name == branch.as_bytes() || name.starts_with(b"refs/remotes/");
    let mut others: Vec<(String, &Oid)> = Vec::new();
    let known: BTreeSet<&Oid> = safe.iter().chain(&own).collect();
    for (refs, place) in [(&heads.own.refs, ""), (&heads.relay.refs, "relay: ")] {
        for (name, oid) in refs.iter().filter(|(name, oid)| !is_own(name) && !known.contains(oid)) {
            if !place.is_empty() && mirror.has(oid).await? {
                // A branch of the server's that is gone there by now.
                continue;
            }
            let short = name.strip_prefix(b"refs/heads/").or_else(|| name.strip_prefix(b"refs/"));
            others.push((format!("{place}{}", shown(short.unwrap_or(name))), oid));
        }
    }
    let aside = commits_outside_refs(&worktree.git_dir());
    others.extend(aside.iter().map(|oid| (format!("kept aside: {}", oid.short()), oid)));
    for (name, oid) in others {
        if !unsafe_commits(mirror, &heads.quarantine, oid, &safe, upstream.as_ref()).await?.is_empty() {
            at_risk.other_branches.push(name);
        }
    }

    if is_real_dir(worktree.dir()) {
        let mut head = heads.own.head_commit();
        if let Some(commit) = head
            && !heads.quarantine.is_complete(&[commit], &heads.known).await?
        {
            head = None;
            heads.quarantine.set_head(None)?;
        }
        let index = worktree.git_dir().join("index");
        let changes = heads.quarantine.changes(mirror, worktree.dir(), &index, head).await?;
        at_risk.uncommitted = changes.shown(LISTED);
        at_risk.uncommitted_total = changes.total();
        at_risk.other_branches.extend(nested_heads(mirror, worktree, &changes, &safe).await?);
    }
    Ok(at_risk)
}

/// Heads of submodules that have no files here; a submodule with files counts as a change.
async fn nested_heads(
    mirror: &Mirror,
    worktree: &Worktree,
    changes: &Changes,
    safe: &[Oid],
) -> Result<Vec<String>, RescueError> {
    let found = find_nested_repos(worktree.dir(), &changes.nested).await?;
    let mut heads = found.unread;
    for nested in found.repositories.iter().filter(|nested| !nested.has_files) {
        let own = NestedHeads::read(&nested.git_dir);
        let quarantine = Quarantine::open_separate(mirror, &nested.git_dir, own.any_commit()).await?;
        let lacking = own.unpushed_heads(&quarantine, safe).await?;
        heads.extend(lacking.iter().map(|(name, _)| format!("{}: {}", shown(&nested.place), shown(name))));
    }
    Ok(heads)
}

/// The commits that `head` has and nobody else. A head whose commit is missing counts as one: it cannot be proved safe.
async fn unsafe_commits(
    mirror: &Mirror,
    quarantine: &Quarantine,
    head: &Oid,
    safe: &[Oid],
    upstream: Option<&Oid>,
) -> Result<Vec<Oid>, GitError> {
    let Some(commits) = quarantine.commits_not_in(&[head], safe).await? else { return Ok(vec![head.clone()]) };
    let Some(upstream) = upstream.filter(|_| !commits.is_empty()) else { return Ok(commits) };
    let command = quarantine
        .command("cherry", "look for the same changes on the server")
        .args([upstream.as_str(), head.as_str()]);
    // A partial clone fetches the contents that it compares.
    let output = mirror.reach(command).await.output().await?;
    let same: BTreeSet<Oid> = output.lines().filter_map(|line| Oid::read(line.strip_prefix(b"- ")?)).collect();
    Ok(commits.into_iter().filter(|commit| !same.contains(commit)).collect())
}

impl Mirror {
    /// The commit of the default branch, if there is one.
    async fn resolve_default(&self) -> Result<Option<Oid>, GitError> {
        match self.default_branch().await? {
            Some(branch) => self.branch_tip(&branch).await,
            None => Ok(None),
        }
    }
}

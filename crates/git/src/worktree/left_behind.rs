//! Work in a worktree that is in a commit, but on no branch that is pushed: a stash, another branch, the relay, a linked
//! worktree, a submodule.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::command::runner::GitError;
use crate::files::access::{FileError, canonical_if_there, is_dir_there, read_if_there, read_regular, write_atomic};
use crate::mirror::repo::RESCUE;
use crate::names::Oid;
use crate::printable::printable;
use crate::untrusted::changes::{Changes, StatusError};
use crate::untrusted::nested_repos::{NestedHeads, find_nested_repos};
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::{Head, LinkedWorktree, linked_worktrees};
use crate::worktree::heads::{Heads, LISTED};
use crate::worktree::lifecycle::Worktree;
use crate::worktree::ownership::accepted;

/// Maximum size of the list of accepted work in bytes.
const ACCEPTED_MAX: u64 = 1024 * 1024;

/// Refs that are listed under names of their own.
const SEPARATE: [&[u8]; 4] = [b"refs/heads/", b"refs/tags/", b"refs/remotes/", b"refs/stash"];
/// Refs that git's commands make for themselves: of rewritten branches, a bisect, a rebase, and prefetched branches.
const BOOKKEEPING: [&[u8]; 5] =
    [b"refs/original/", b"refs/bisect/", b"refs/rewritten/", b"refs/worktree/", b"refs/prefetch/"];
/// The beginnings of names of files that git takes for no ref, and of damaged refs.
const NO_REFS: [&[u8]; 3] = [b"refs/", b"logs/", b"relay/refs/"];

/// Work that pushing the branch leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    pub location: Location,
    /// The commit; `None` for files that are in none.
    pub commit: Option<Oid>,
}

/// Where work was left. Names are escaped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    Branch(String),
    Tag(String),
    /// A HEAD on no branch.
    DetachedHead,
    Stash,
    /// Another ref, such as that of `git notes`, or a file below `refs` that git takes for none.
    Ref(String),
    /// A branch or tag that was pushed to the relay only.
    Relay(String),
    /// A directory that `git worktree add` made.
    LinkedWorktree(String),
    /// Commits that no server of the submodule has: the directory, and the name of the head.
    Submodule(String),
}

impl LeftBehind {
    /// Whether the pushed branch needs it: others cannot check out a submodule's commit that no server has.
    pub fn is_part_of_branch(&self) -> bool {
        matches!(self.location, Location::Submodule(_))
    }

    /// Tells equal work from other work, also in a later run.
    fn key(&self) -> String {
        format!("{} {self}", self.commit.as_ref().map_or("-", Oid::as_str))
    }
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commit = self.commit.as_ref().map(Oid::short).unwrap_or_default();
        match &self.location {
            Location::Branch(name) => write!(f, "branch {name}"),
            Location::Tag(name) => write!(f, "tag {name}"),
            Location::DetachedHead => write!(f, "HEAD, detached at {commit}"),
            Location::Stash => write!(f, "stash {commit}"),
            Location::Ref(name) => f.write_str(name),
            Location::Relay(name) => write!(f, "{name} in the relay repository only"),
            Location::LinkedWorktree(dir) => write!(f, "linked worktree {dir}"),
            Location::Submodule(dir) => write!(f, "submodule {dir}, with commits that no server has"),
        }
    }
}

/// Finds what is left behind when `best` is pushed, the first hundred. `known` are the commits that the server and the base
/// have. `changes` are those of the worktree; linked worktrees among them are removed, since they are looked at here.
pub(crate) async fn left_behind(
    worktree: &Worktree,
    heads: &Heads,
    known: &[Oid],
    best: Option<&Oid>,
    changes: &mut Changes,
) -> Result<Vec<LeftBehind>, StatusError> {
    let git_dir = worktree.git_dir();
    let linked = linked_worktrees(&git_dir)?;
    let mut known = known.to_vec();
    known.extend(best.cloned());
    known.sort_unstable();
    let mut left = unreached(worktree, &heads.quarantine, candidates(worktree, heads, &linked), &known).await?;
    for linked in &linked {
        let Some(dir) = own_files(linked)? else { continue };
        if let Ok(real) = worktree.dir().canonicalize()
            && let Ok(path) = dir.strip_prefix(real)
        {
            changes.nested.retain(|nested| nested != path.as_os_str().as_encoded_bytes());
        }
        if has_changes(worktree, heads, linked, &dir).await? {
            let location = Location::LinkedWorktree(printable(dir.as_os_str().as_encoded_bytes()));
            left.push(LeftBehind { location, commit: None });
        }
    }
    left.extend(submodules(worktree, changes).await?);
    left.truncate(LISTED);
    Ok(left)
}

/// Everything that git keeps and that may not be part of the branch, without duplicates.
fn candidates(worktree: &Worktree, heads: &Heads, linked: &[LinkedWorktree]) -> Vec<(Location, Oid)> {
    let mut all: Vec<(Location, Oid)> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |location: Location, oid: &Oid| {
        if seen.insert(oid.clone()) {
            all.push((location, oid.clone()));
        }
    };
    let short = |name: &[u8], prefix: &[u8]| printable(name.strip_prefix(prefix).unwrap_or(name));
    for (name, oid) in heads.own.refs_below("refs/heads/") {
        add(Location::Branch(short(name, b"refs/heads/")), oid);
    }
    if let Some(Head::Detached(oid)) = &heads.own.head {
        add(Location::DetachedHead, oid);
    }
    for (name, oid) in heads.own.refs_below("refs/tags/") {
        add(Location::Tag(short(name, b"refs/tags/")), oid);
    }
    let older = heads.own.others.iter().filter(|(name, _)| name.starts_with(b"stash@{")).map(|(_, oid)| oid);
    for oid in heads.own.get("refs/stash").into_iter().chain(older) {
        add(Location::Stash, oid);
    }
    for linked in linked {
        if let Some(Head::Detached(oid)) = &linked.head {
            let dir = linked.files.as_deref().unwrap_or(&linked.git_dir);
            add(Location::LinkedWorktree(printable(dir.as_os_str().as_encoded_bytes())), oid);
        }
    }
    let git = worktree.mirror().git();
    for (name, oid) in heads.own.refs.iter().filter(|(name, _)| is_work(name) && !git.is_bookkeeping(name)) {
        add(Location::Ref(printable(name)), oid);
    }
    // Below `refs` or `logs`. Pseudo refs such as `ORIG_HEAD` say where something was, not that it is kept.
    for (name, oid) in heads.others().filter(|(name, _)| NO_REFS.iter().any(|below| name.starts_with(below))) {
        add(Location::Ref(printable(&name)), &oid);
    }
    for (name, oid) in &heads.relay.refs {
        add(Location::Relay(short(name, b"refs/heads/")), oid);
    }
    all
}

/// Whether a ref is neither of those that are looked at one by one nor of git's own bookkeeping.
fn is_work(name: &[u8]) -> bool {
    !SEPARATE.iter().chain(&BOOKKEEPING).any(|prefix| name.starts_with(prefix))
}

/// Those of the candidates with commits that `known` does not reach. One whose commits cannot be listed is among them: that
/// it is safe cannot be shown.
async fn unreached(
    worktree: &Worktree,
    quarantine: &Quarantine,
    candidates: Vec<(Location, Oid)>,
    known: &[Oid],
) -> Result<Vec<LeftBehind>, GitError> {
    let candidates: Vec<_> = candidates.into_iter().filter(|(_, oid)| known.binary_search(oid).is_err()).collect();
    let all: Vec<&Oid> = candidates.iter().map(|(_, oid)| oid).collect();
    // One git process for all; only if one is damaged, each is looked at alone. Tags may be no commits of the list.
    let listed: Option<BTreeSet<Oid>> = match all.is_empty() {
        true => return Ok(Vec::new()),
        false => quarantine.commits_not_in(&all, known).await?.map(BTreeSet::from_iter),
    };
    let mut unreached = Vec::new();
    for (location, oid) in candidates {
        let is_tag = matches!(location, Location::Tag(_) | Location::Relay(_) | Location::Ref(_));
        let is_unreached = match &listed {
            Some(commits) if commits.is_empty() => false,
            Some(commits) if commits.contains(&oid) => true,
            Some(_) if !is_tag => false,
            _ => quarantine.commits_not_in(&[&oid], known).await?.is_none_or(|commits| !commits.is_empty()),
        };
        if is_unreached && !(is_tag && was_on_server(worktree, quarantine, &oid).await?) {
            unreached.push(LeftBehind { location, commit: Some(oid) });
        }
    }
    Ok(unreached)
}

/// Whether the commit came from the server, which has no ref for it any more: the mirror has it, but from no rescue.
async fn was_on_server(worktree: &Worktree, quarantine: &Quarantine, oid: &Oid) -> Result<bool, GitError> {
    if !worktree.mirror().has_commit(oid).await? {
        return Ok(false);
    }
    let rescues: Vec<Oid> = worktree.mirror().refs(&[RESCUE]).await?.into_iter().map(|(_, oid)| oid).collect();
    Ok(quarantine.commits_not_in(&[oid], &rescues).await?.is_some_and(|commits| !commits.is_empty()))
}

/// The files of a linked worktree, if the directory points back: the git directory alone could name any directory.
pub(crate) fn own_files(linked: &LinkedWorktree) -> Result<Option<PathBuf>, FileError> {
    use std::os::unix::ffi::OsStrExt;
    let Some(files) = &linked.files else { return Ok(None) };
    let Some(dir) = canonical_if_there(files)? else { return Ok(None) };
    let text = read_if_there(&dir.join(".git"), 64 * 1024)?.unwrap_or_default();
    let Some(target) = text.strip_prefix(b"gitdir:") else { return Ok(None) };
    let back = canonical_if_there(&dir.join(Path::new(std::ffi::OsStr::from_bytes(target.trim_ascii()))))?;
    Ok((back.is_some() && back == canonical_if_there(&linked.git_dir)?).then_some(dir))
}

async fn has_changes(
    worktree: &Worktree,
    heads: &Heads,
    linked: &LinkedWorktree,
    files: &Path,
) -> Result<bool, StatusError> {
    let head = match &linked.head {
        Some(Head::Detached(oid)) => Some(oid),
        Some(Head::Symbolic(name)) => heads.own.refs.get(name),
        None => None,
    };
    let mirror = worktree.mirror();
    let quarantine = Quarantine::open(mirror, &[&worktree.git_dir(), worktree.relay()], head).await?;
    let changes = quarantine.changes(mirror, files, &linked.git_dir.join("index"), head).await;
    // One that cannot be compared cannot be shown to be clean.
    Ok(!changes.is_ok_and(|changes| changes.is_empty()))
}

/// Submodules with commits that their servers lack, checked out or not.
async fn submodules(worktree: &Worktree, changes: &Changes) -> Result<Vec<LeftBehind>, StatusError> {
    let left = |path: &[u8], commit| LeftBehind { location: Location::Submodule(printable(path)), commit };
    let mut all: Vec<_> = changes.unpushed_submodules.iter().map(|path| left(path, None)).collect();
    if !is_dir_there(&worktree.git_dir().join("modules"))? {
        return Ok(all);
    }
    let found = find_nested_repos(worktree.dir(), &changes.nested).await?;
    for nested in found.repositories.iter().filter(|nested| !nested.has_files) {
        let (own, quarantine) = NestedHeads::open(worktree.mirror(), &nested.git_dir).await?;
        if let Some(why) = own.unreadable.first() {
            return Err(StatusError::Unreadable { dir: nested.git_dir.clone(), why: why.clone() });
        }
        if let Some((_, oid)) = own.unpushed_heads(&quarantine, &[]).await?.first() {
            let name = nested.path.strip_prefix(b".git/modules/").unwrap_or(&nested.path);
            all.push(left(name, Some(oid.clone())));
        }
    }
    Ok(all)
}

impl Worktree {
    /// Notes work that was left behind when a run was `done` all the same, so that later runs which do not touch it are not
    /// blocked by it.
    pub fn accept_left_behind(&self, left: &[LeftBehind]) -> Result<(), FileError> {
        let path = accepted(self.relay());
        if left.is_empty() && path.symlink_metadata().is_err() {
            return Ok(());
        }
        let lines: String = left.iter().map(|left| format!("{}\n", left.key())).collect();
        write_atomic(&path, lines.as_bytes())
    }

    /// Those of `left` that no run has accepted.
    pub fn new_left_behind<'l>(&self, left: &'l [LeftBehind]) -> Vec<&'l LeftBehind> {
        // Without the list, all of it counts as new.
        let text = read_regular(&accepted(self.relay()), ACCEPTED_MAX).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let known: BTreeSet<&str> = text.lines().collect();
        left.iter().filter(|left| left.commit.is_none() || !known.contains(left.key().as_str())).collect()
    }
}

//! Saves everything in a worktree as one commit in the mirror.
//!
//! Nothing that the agent wrote can prevent it or make it run a program: the git directory is read as files, file contents
//! are stored byte for byte, and what cannot be read is reported.
//!
//! The commit's tree is the files. Its parents are every commit that would otherwise be lost with the worktree: HEAD, a
//! commit of the staged files, the tips of branches and stashes, and commits of nested repositories. Its message
//! ([`Note`]) says which parent is which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kugetsu_domain::rescue_time;

use crate::command::answer::is_damage;
use crate::command::runner::GitError;
use crate::files::access::is_real_dir;
use crate::files::lock;
use crate::files::special::SetAside;
use crate::mirror::repo::{KEPT, Mirror, MirrorError, RESCUE};
use crate::names::Oid;
use crate::printable::printable;
use crate::rescue::commits::{commit, commit_fixed, commit_index};
use crate::rescue::error::RescueError;
use crate::rescue::large::save_large;
use crate::rescue::lfs::keep_content;
use crate::rescue::linked::import_linked;
use crate::rescue::list::{Rescue, load_notes};
use crate::rescue::nested::import_nested;
use crate::rescue::note::Note;
use crate::rescue::state::write_state;
use crate::rescue::temporary::import_temporary;
use crate::rescue::tree::{unsaved_file, write_tree};
use crate::untrusted::changes::{Changes, StatusError};
use crate::untrusted::operation::Operation;
use crate::untrusted::quarantine::{Kind, Quarantine};
use crate::untrusted::reader::Head;
use crate::worktree::heads::Heads;
use crate::worktree::lifecycle::Worktree;

/// Maximum number of parents of a rescue. No worktree has this many heads.
const HEADS_MAX: usize = 2000;

#[derive(Clone, Debug)]
pub struct SaveSpec {
    pub issue_number: u64,
    /// Why it is saved, for a person.
    pub reason: String,
    /// The time, as in `20261122T201500Z`.
    pub at: String,
    /// Larger files, in bytes, are copied beside the rescue and not stored in git.
    pub max_file: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The rescue's ref in the mirror.
    pub name: String,
    pub commit: Oid,
    /// Number of files that differ from the commit that was checked out.
    pub files: usize,
    /// Work that could not be saved, escaped. Removing the worktree would lose it.
    pub unsaved: Vec<String>,
    /// Files that were saved in another form (staged files that git cannot read), and work that was lost before (commits
    /// whose objects the agent removed). Escaped.
    pub notices: Vec<String>,
    /// Whether an earlier rescue of the issue holds everything, so that nothing was saved now.
    pub is_earlier: bool,
}

/// Saves what a worktree holds: its files (tracked and untracked, also those of nested repositories, but not ignored ones), the
/// uncommitted files of linked worktrees, what is staged, HEAD, branches and stashes, what was pushed to the relay, the commits
/// of nested repositories that their servers do not have, what pseudo refs name, and the state of unfinished operations with the
/// commits that it names. Damaged objects are left out and reported.
///
/// `None` if nothing would be lost, because all of it is on the server, as of the last update, or in an earlier rescue.
/// The worktree is not changed. FIFOs where git reads a file are set aside meanwhile, and are no part of the rescue.
pub async fn save(mirror: &Mirror, worktree: &Worktree, spec: SaveSpec) -> Result<Option<Saved>, RescueError> {
    // The caller must learn of work that cannot be saved.
    let is_news = |saved: &Saved| !saved.is_earlier || !saved.unsaved.is_empty();
    Ok(save_or_find(mirror, worktree, spec).await?.filter(is_news))
}

/// Like [`save`], with the work in a temporary directory: repositories with commits that no server has, or with uncommitted
/// files. Other files there are not saved.
pub async fn save_with_temporary(
    mirror: &Mirror,
    worktree: &Worktree,
    directory: &Path,
    spec: SaveSpec,
) -> Result<Option<Saved>, RescueError> {
    save_scope(mirror, worktree, spec, Scope::WithTemporary(directory)).await
}

/// Like [`save_with_temporary`], but returns `None` if there is no work in the temporary directory.
pub async fn save_temporary(
    mirror: &Mirror,
    worktree: &Worktree,
    directory: &Path,
    spec: SaveSpec,
) -> Result<Option<Saved>, RescueError> {
    save_scope(mirror, worktree, spec, Scope::IfTemporary(directory)).await
}

/// The parts of an issue's work that are saved.
#[derive(Clone, Copy, Debug)]
enum Scope<'d> {
    Worktree,
    /// The worktree, and what is in the temporary directory.
    WithTemporary(&'d Path),
    /// The same, but nothing unless the temporary directory holds work.
    IfTemporary(&'d Path),
}

/// Like [`save`], but returns the earlier rescue of the issue if it holds what would be lost.
pub async fn save_or_find(mirror: &Mirror, worktree: &Worktree, spec: SaveSpec) -> Result<Option<Saved>, RescueError> {
    save_scope(mirror, worktree, spec, Scope::Worktree).await
}

async fn save_scope(
    mirror: &Mirror,
    worktree: &Worktree,
    spec: SaveSpec,
    scope: Scope<'_>,
) -> Result<Option<Saved>, RescueError> {
    if spec.at.is_empty() || !spec.at.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(RescueError::InvalidTime(spec.at));
    }
    let _lock = lock::acquire(&mirror.dir().join("rescue"), "", &mut |_| ()).await?;
    let aside = SetAside::of(worktree.dir()).await?;
    let error = match save_with(mirror, worktree, &spec, scope, Objects::AsTheyAre, &aside).await {
        Err(RescueError::Git(error)) if is_damage(&error) => error,
        other => return other,
    };
    // Git verifies all content only when it comes into the mirror.
    tracing::warn!(%error, "objects are damaged; those of the worktree are verified one by one");
    match save_with(mirror, worktree, &spec, scope, Objects::Verified, &aside).await {
        Err(RescueError::Git(error)) if is_damage(&error) => {
            tracing::warn!(%error, "objects of the mirror are damaged")
        }
        other => return other,
    }
    mirror.repair(&mut |_| ()).await.map_err(|error| match error {
        MirrorError::Git(error) => RescueError::Git(error),
        MirrorError::File(error) => RescueError::File(error),
        other => RescueError::Mirror(other.to_string()),
    })?;
    save_with(mirror, worktree, &spec, scope, Objects::Verified, &aside).await
}

/// Which objects of the worktree are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Objects {
    AsTheyAre,
    /// Those whose content matches their id.
    Verified,
}

async fn save_with(
    mirror: &Mirror,
    worktree: &Worktree,
    spec: &SaveSpec,
    scope: Scope<'_>,
    objects: Objects,
    aside: &SetAside,
) -> Result<Option<Saved>, RescueError> {
    let heads = Heads::read(worktree).await?;
    if objects == Objects::Verified {
        heads.quarantine.remove_damaged_objects().await?;
    }
    let safe = mirror.safe_commits().await?;
    let mut note = Note {
        issue: spec.issue_number,
        reason: Note::clean_reason(&spec.reason),
        branch: worktree.branch().to_string(),
        ..Note::default()
    };
    note.notices.extend(aside.described.iter().map(|special| format!("{special}, which git cannot store")));
    note.unsaved.extend(heads.quarantine.unreadable());
    note.unsaved.extend(heads.own.unreadable.iter().chain(&heads.relay.unreadable).cloned());
    let tips = collect_heads(mirror, &heads, &mut note).await?;
    let changes = read_changes(mirror, worktree, &heads.quarantine, &mut note).await?;
    note.unsaved.extend(changes.unreadable.iter().cloned());
    let mut nested = import_nested(mirror, worktree.dir(), &mut note).await?;
    import_linked(mirror, worktree, &heads.own, &changes, spec.max_file, &mut note, &mut nested).await?;
    let temporary = match scope {
        Scope::WithTemporary(dir) | Scope::IfTemporary(dir) => Some(dir),
        Scope::Worktree => None,
    };
    let mut is_work = false;
    if let Some(dir) = temporary {
        is_work = import_temporary(mirror, worktree, dir, spec.max_file, &mut note, &mut nested).await?;
    }
    let unsaved = note.unsaved.len();
    let commits = [tips.commits.as_slice(), &nested.commits].concat();
    keep_content(mirror, worktree, &heads.quarantine, (&commits, None), temporary, &mut note).await?;
    is_work |= note.unsaved.len() > unsaved;
    if !is_work && matches!(scope, Scope::IfTemporary(_)) {
        nested.refs.remove(mirror).await?;
        return Ok(None);
    }
    let snapshot = Snapshot { heads, safe, tips, changes, nested: &nested.commits, temporary };
    let saved = save_snapshot(mirror, worktree, spec, snapshot, note).await;
    // Only now, since until the rescue names them nothing else keeps these commits.
    nested.refs.remove(mirror).await?;
    saved
}

/// Objects of the worktree and the relay that something names.
#[derive(Default)]
struct Tips {
    commits: Vec<Oid>,
    /// Tags, and whatever else a ref or a state file names, as far as the mirror lacks it.
    others: Vec<Oid>,
}

/// The state to be saved.
struct Snapshot<'k> {
    heads: Heads,
    safe: Vec<Oid>,
    tips: Tips,
    changes: Changes,
    /// Commits of nested repositories.
    nested: &'k [Oid],
    /// The temporary directory, if it is in the scope.
    temporary: Option<&'k Path>,
}

/// Creates the rescue, unless nothing would be lost or an earlier one holds it.
async fn save_snapshot(
    mirror: &Mirror,
    worktree: &Worktree,
    spec: &SaveSpec,
    snapshot: Snapshot<'_>,
    mut note: Note,
) -> Result<Option<Saved>, RescueError> {
    let Snapshot { heads, safe, tips, changes, nested, temporary } = snapshot;
    let quarantine = &heads.quarantine;
    let all: Vec<&Oid> = tips.commits.iter().chain(nested).collect();
    let commits_are_safe = all.is_empty() || quarantine.count_commits_not_in(&all, &safe).await? == 0;
    // An unfinished operation has state that is in no file and no commit.
    let operations = match Operation::read_all(&worktree.git_dir()) {
        Ok(operations) => operations,
        Err(error) => {
            note.unsaved.push(printable(error.to_string().as_bytes()));
            Vec::new()
        }
    };
    let is_idle = operations.is_empty() && note.unsaved.is_empty();
    if changes.is_empty() && commits_are_safe && tips.others.is_empty() && is_idle {
        let earlier = rescue_of_commits(mirror, quarantine, spec.issue_number, &all).await?;
        let (unsaved, notices) = (Vec::new(), note.notices);
        return Ok(earlier.map(|Rescue { name, commit, files, .. }| Saved {
            name,
            commit,
            files,
            unsaved,
            notices,
            is_earlier: true,
        }));
    }

    if changes.any_staged() {
        note.index = Some(commit_index(quarantine, note.head.as_ref(), &changes.marks).await?);
    }
    // From here on the index of the quarantine holds all files, not the staged ones.
    let (tree, large) = write_tree(quarantine, worktree.dir(), &changes, spec.max_file, &mut note).await?;
    let (list, not_copied) = save_large(mirror, worktree.dir(), &large).await?;
    note.unsaved.extend(not_copied.iter().map(|(path, error)| {
        unsaved_file(path, &format!("it is larger than rescue.max_file and could not be copied: {}", error.source))
    }));
    note.files = quarantine.count_changed_files(note.head.as_ref(), &tree).await?;
    if let Some(state) = write_state(quarantine, &worktree.git_dir(), &changes.marks, &list, &mut note).await? {
        note.state = Some(commit_fixed(quarantine, &state, &[], "The state of the worktree.\n").await?);
    }
    let mut parents: Vec<Oid> = note.head.iter().chain(&note.index).chain(&note.state).cloned().collect();
    for oid in all {
        if !parents.contains(oid) {
            parents.push(oid.clone());
        }
    }
    let staged: Vec<Oid> = note.head.iter().chain(&note.index).cloned().collect();
    keep_content(mirror, worktree, quarantine, (&staged, Some(&tree)), temporary, &mut note).await?;
    if let Some((name, commit)) = equal_rescue(mirror, spec.issue_number, &tree, &parents).await?
        && tips.others.is_empty()
    {
        let (files, unsaved, notices) = (note.files, note.unsaved, note.notices);
        return Ok(Some(Saved { name, commit, files, unsaved, notices, is_earlier: true }));
    }
    let name = free_name(mirror, spec, &mut note).await?;
    let commit = commit(quarantine, &tree, &parents, &note.message(), None).await?;
    let kept = |number: usize| format!("{KEPT}{}/{}/{number}", spec.issue_number, note.at);
    let mut imports: Vec<(&Oid, String)> = tips.others.iter().enumerate().map(|(n, oid)| (oid, kept(n))).collect();
    imports.push((&commit, name.clone()));
    mirror.import_all(quarantine, &imports).await?;
    let Note { files, unsaved, notices, .. } = note;
    Ok(Some(Saved { name, commit, files, unsaved, notices, is_earlier: false }))
}

/// Notes every head that is complete and reports the others as lost. Returns the objects to save: those of refs, of HEAD, of
/// pseudo refs and of stashes, without refs that the mirror has from the server anyway.
async fn collect_heads(mirror: &Mirror, heads: &Heads, note: &mut Note) -> Result<Tips, RescueError> {
    let is_remote = |name: &[u8]| name.starts_with(b"refs/remotes/");
    // A restore gives back the server's tags without the rescue. The agent's own may name commits that the server has.
    let tags: BTreeMap<Vec<u8>, Oid> = mirror.refs(&["refs/tags"]).await?.into_iter().collect();
    let is_lost = |(name, oid): &(&Vec<u8>, &Oid)| !is_remote(name) && tags.get(*name) != Some(*oid);
    let own: Vec<_> = heads.own.refs.iter().filter(is_lost).map(|(name, oid)| (name.clone(), oid.clone())).collect();
    let others: Vec<(Vec<u8>, Oid)> = heads.others().collect();
    let mut relay = Vec::new();
    for (name, oid) in &heads.relay.refs {
        let is_known = heads.own.refs.get(name) == Some(oid) || heads.known.binary_search(oid).is_ok();
        if !is_known && !mirror.has_commit(oid).await? {
            relay.push((name.clone(), oid.clone()));
        }
    }
    let mut all: BTreeSet<&Oid> = own.iter().chain(&relay).chain(&others).map(|(_, oid)| oid).collect();
    all.extend(heads.own.head_commit());

    // One git process for all heads; only if one is damaged, each is checked alone.
    let mut complete = BTreeSet::new();
    let objects: Vec<&Oid> = all.iter().copied().take(HEADS_MAX).collect();
    if all.len() > HEADS_MAX {
        note.unsaved.push(format!("{} refs and stashes (there are more than {HEADS_MAX})", all.len() - HEADS_MAX));
    }
    if heads.quarantine.is_complete(&objects, &heads.known).await? {
        complete.extend(objects);
    } else {
        for oid in objects {
            if heads.quarantine.is_complete(&[oid], &heads.known).await? {
                complete.insert(oid);
            }
        }
    }
    let mut tips = Tips::default();
    let objects: Vec<&Oid> = complete.iter().copied().collect();
    for (oid, kind) in objects.iter().zip(heads.quarantine.kinds(&objects).await?) {
        if kind == Some(Kind::Commit) {
            tips.commits.push((*oid).clone());
            continue;
        }
        tips.commits.extend(heads.quarantine.peel_to_commit(oid).await?);
        if !mirror.has_object(oid).await? {
            tips.others.push((*oid).clone());
        }
    }
    if let Some(head) = heads.own.head_commit() {
        match complete.contains(head) {
            true => note.head = Some(head.clone()),
            false => note.notices.push(format!("the commit of HEAD, {}, is damaged or missing", head.short())),
        }
    }
    if let Some(Head::Symbolic(name)) = &heads.own.head {
        note.head_ref = Some(name.clone());
    }
    let lists = [
        (&own, &mut note.refs, ""),
        (&relay, &mut note.relay_refs, "in the relay repository "),
        (&others, &mut note.others, ""),
    ];
    for (from, to, prefix) in lists {
        for (name, oid) in from {
            if complete.contains(oid) {
                to.push((name.clone(), oid.clone()));
            } else {
                note.notices.push(format!("{prefix}{} names a commit that is damaged or missing", printable(name)));
            }
        }
    }
    Ok(tips)
}

/// The changes against HEAD. If git cannot read the agent's index or HEAD's commit, every file counts as new.
async fn read_changes(
    mirror: &Mirror,
    worktree: &Worktree,
    quarantine: &Quarantine,
    note: &mut Note,
) -> Result<Changes, RescueError> {
    if !is_real_dir(worktree.dir()) {
        return Ok(Changes::default());
    }
    quarantine.set_head(note.head.as_ref())?;
    let index = worktree.git_dir().join("index");
    let no_index = quarantine.dir().join("none/index");
    match quarantine.changes(mirror, worktree.dir(), &index, note.head.as_ref()).await {
        Ok(changes) => Ok(changes),
        // What only the index names would be lost.
        Err(StatusError::File(error)) if error.path.parent() == index.parent() => {
            note.unsaved.push(printable(error.to_string().as_bytes()));
            quarantine.remove_index()?;
            Ok(quarantine.changes(mirror, worktree.dir(), &no_index, note.head.as_ref()).await?)
        }
        Err(StatusError::Git(GitError::Failed { .. })) => {
            note.notices.push("git could not read what was staged; the files are saved as they were".to_owned());
            quarantine.remove_index()?;
            note.head = None;
            quarantine.set_head(None)?;
            Ok(quarantine.changes(mirror, worktree.dir(), &no_index, None).await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// The newest rescue of the issue that holds these commits. `None` if the server has them all.
async fn rescue_of_commits(
    mirror: &Mirror,
    quarantine: &Quarantine,
    issue: u64,
    commits: &[&Oid],
) -> Result<Option<Rescue>, GitError> {
    let rescues = load_notes(mirror, Some(issue)).await?;
    if rescues.is_empty() || commits.is_empty() {
        return Ok(None);
    }
    let mut safe = mirror.server_commits().await?;
    if quarantine.count_commits_not_in(commits, &safe).await? == 0 {
        return Ok(None);
    }
    for (rescue, _) in rescues.into_iter().rev() {
        safe.push(rescue.commit.clone());
        if quarantine.count_commits_not_in(commits, &safe).await? == 0 {
            return Ok(Some(rescue));
        }
        safe.pop();
    }
    Ok(None)
}

/// The rescue of the issue with this tree and these parents.
async fn equal_rescue(
    mirror: &Mirror,
    issue: u64,
    tree: &Oid,
    parents: &[Oid],
) -> Result<Option<(String, Oid)>, GitError> {
    let command = mirror.command("for-each-ref", "compare the rescues");
    let command = command.arg("--format=%(refname) %(objectname) %(tree) %(parent)");
    let output = command.arg(format!("{RESCUE}{issue}")).run().await?;
    let mut wanted = tree.to_string();
    for parent in parents {
        wanted.push_str(&format!(" {parent}"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let parse_if_equal = |line: &str| {
        let mut fields = line.splitn(3, ' ');
        let (name, commit, rest) = (fields.next()?, fields.next()?, fields.next()?);
        if rest.trim() == wanted { Some((name.to_owned(), commit.parse().ok()?)) } else { None }
    };
    Ok(text.lines().find_map(parse_if_equal))
}

/// Finds an unused name that sorts after those of earlier rescues of the issue, and sets the note's time to match. The caller
/// holds the lock.
async fn free_name(mirror: &Mirror, spec: &SaveSpec, note: &mut Note) -> Result<String, GitError> {
    let taken: BTreeSet<String> =
        load_notes(mirror, Some(spec.issue_number)).await?.into_iter().map(|(rescue, _)| rescue.at).collect();
    let first = taken.last().and_then(|newest| rescue_time::later_than(newest, &spec.at));
    let first = first.unwrap_or_else(|| spec.at.clone());
    let mut names = std::iter::once(first).chain((2u32..).map(|n| format!("{}-{n}", spec.at)));
    note.at = names.find(|name| !taken.contains(name)).unwrap_or_default();
    Ok(format!("{RESCUE}{}/{}", spec.issue_number, note.at))
}

//! Saves the whole state of a worktree as one commit in the mirror.
//!
//! Nothing that the agent wrote can stop it or make it run something: the git directory is read as files, the contents
//! are stored as the bytes they are, and what cannot be read is named in the result.

use std::collections::BTreeSet;

use crate::command::runner::GitError;
use crate::files::access::is_real_dir;
use crate::files::lock;
use crate::mirror::reachability::RESCUE;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::rescue::error::RescueError;
use crate::rescue::list::noted;
use crate::rescue::nested::{self, Taken};
use crate::rescue::note::Note;
use crate::rescue::tree::write_tree;
use crate::shown::shown;
use crate::untrusted::changes::Changes;
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::{Head, commits_outside_refs};
use crate::worktree::identity::Identity;
use crate::worktree::lifecycle::Worktree;
use crate::worktree::status::Heads;

/// More heads than this are not kept as parents of one commit; no worktree has them.
const HEADS_MAX: usize = 2000;

/// What is known of a rescue beforehand.
#[derive(Clone, Debug)]
pub struct SaveSpec {
    /// The issue's number.
    pub issue_number: u64,
    /// Why it is saved, for a person.
    pub reason: String,
    /// The time, as in `20261122T201500Z`.
    pub at: String,
}

/// What was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its ref in the mirror.
    pub name: String,
    /// The commit.
    pub commit: Oid,
    /// How many files differ from the commit that was checked out.
    pub files: usize,
    /// Files that are there but could not be saved, fit to be shown: removing the worktree would lose them.
    pub unsaved: Vec<String>,
    /// What is saved otherwise than it was (a staged state that git cannot read), or was lost before (a commit whose
    /// objects the agent removed), fit to be shown.
    pub notices: Vec<String>,
}

/// Saves what a worktree holds: files (tracked and untracked, those of repositories inside it too; ignored ones not),
/// what is staged, HEAD, its branches and stashes, what was pushed to its relay, and the commits of repositories inside
/// that their own servers do not have. `None` when nothing of that would be lost: it is all on the server, as of the last
/// update, or in an earlier rescue.
///
/// # Errors
/// [`RescueError`]; nothing of the worktree is changed either way.
pub async fn save(mirror: &Mirror, worktree: &Worktree, spec: SaveSpec) -> Result<Option<Saved>, RescueError> {
    if spec.at.is_empty() || !spec.at.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(RescueError::InvalidTime(spec.at));
    }
    let _lock = lock::take(&mirror.dir().join("rescue"), "", &mut |_| ()).await?;
    let heads = Heads::read(worktree).await?;
    let safe = mirror.safe().await?;
    let mut note = Note {
        issue: spec.issue_number,
        reason: Note::reason(&spec.reason),
        branch: worktree.branch().to_string(),
        ..Note::default()
    };
    note.unsaved.extend(
        heads
            .quarantine
            .unreadable()
            .iter()
            .map(|dir| format!("objects in {}", shown(dir.as_os_str().as_encoded_bytes()))),
    );
    let kept = keep_heads(mirror, worktree, &heads, &mut note).await?;
    let changes = read_changes(mirror, worktree, &heads.quarantine, &mut note).await?;
    note.unsaved.extend(changes.unread.iter().cloned());
    let taken = match is_real_dir(worktree.dir()) {
        true => nested::take(mirror, worktree.dir(), &changes, &mut note).await?,
        false => Taken::default(),
    };
    let saved = keep(mirror, worktree, spec, Kept { heads, safe, kept, changes, nested: &taken.commits }, note).await;
    taken.forget(mirror).await?;
    saved
}

/// What is to be kept.
struct Kept<'k> {
    heads: Heads,
    safe: Vec<Oid>,
    /// Commits of the worktree's and the relay's.
    kept: Vec<Oid>,
    changes: Changes,
    /// Commits of repositories inside.
    nested: &'k [Oid],
}

/// Makes the rescue, unless nothing would be lost or it is there already. What could not be saved is told either way.
async fn keep(
    mirror: &Mirror,
    worktree: &Worktree,
    spec: SaveSpec,
    kept: Kept<'_>,
    mut note: Note,
) -> Result<Option<Saved>, RescueError> {
    let Kept { heads, safe, kept, changes, nested } = kept;
    let quarantine = &heads.quarantine;
    let all: Vec<&Oid> = kept.iter().chain(nested).collect();
    let work_at_risk = all.is_empty() || quarantine.count_commits_not_in(&all, &safe).await? == 0;
    if changes.is_empty() && work_at_risk && note.unsaved.is_empty() {
        return Ok(None);
    }

    if changes.any_staged() {
        note.index = staged(quarantine, note.head.as_ref()).await?;
        if note.index.is_none() {
            note.notices.push(
                "what was staged is not kept apart, as it holds conflicts; its files are saved as they were".to_owned(),
            );
        }
    }
    let tree = write_tree(quarantine, worktree.dir(), &changes, &mut note).await?;
    note.files = quarantine.count_changed_files(note.head.as_ref(), &tree).await?;
    let mut parents: Vec<Oid> = note.head.iter().chain(&note.index).cloned().collect();
    for oid in all {
        if !parents.contains(oid) {
            parents.push(oid.clone());
        }
    }
    if let Some((name, commit)) = saved_before(mirror, spec.issue_number, &tree, &parents).await? {
        let (files, unsaved, notices) = (note.files, note.unsaved, note.notices);
        // What cannot be saved must not go because the rest was saved once.
        return Ok((!unsaved.is_empty()).then_some(Saved { name, commit, files, unsaved, notices }));
    }
    let name = free_name(mirror, &spec, &mut note).await?;
    let commit = commit(quarantine, &tree, &parents, &note.message(), None).await?;
    mirror.take_large(worktree).await?;
    mirror.import(quarantine, &commit, &name).await?;
    Ok(Some(Saved { name, commit, files: note.files, unsaved: note.unsaved, notices: note.notices }))
}

/// Notes every head that is whole, and names the others as lost. What the mirror has as the server's is not kept again.
async fn keep_heads(
    mirror: &Mirror,
    worktree: &Worktree,
    heads: &Heads,
    note: &mut Note,
) -> Result<Vec<Oid>, RescueError> {
    let is_theirs = |name: &[u8]| name.starts_with(b"refs/remotes/");
    let mut own: Vec<(Vec<u8>, Oid)> = Vec::new();
    for (name, oid) in heads.own.refs.iter().filter(|(name, _)| !is_theirs(name)) {
        if !(name.starts_with(b"refs/tags/") && heads.known.binary_search(oid).is_ok()) {
            own.push((name.clone(), oid.clone()));
        }
    }
    let mut relay = Vec::new();
    for (name, oid) in &heads.relay.refs {
        if heads.own.refs.get(name) != Some(oid) && heads.known.binary_search(oid).is_err() && !mirror.has(oid).await? {
            relay.push((name.clone(), oid.clone()));
        }
    }
    let aside = commits_outside_refs(&worktree.git_dir());
    let mut all: BTreeSet<&Oid> = own.iter().chain(&relay).map(|(_, oid)| oid).chain(&aside).collect();
    all.extend(heads.own.head_commit());

    let mut whole = BTreeSet::new();
    let commits: Vec<&Oid> = all.iter().copied().take(HEADS_MAX).collect();
    if heads.quarantine.is_complete(&commits, &heads.known).await? {
        whole.extend(commits);
    } else {
        for commit in commits {
            if heads.quarantine.is_complete(&[commit], &heads.known).await? {
                whole.insert(commit);
            }
        }
    }
    let mut peeled = Vec::new();
    for oid in &whole {
        peeled.extend(heads.quarantine.peel_to_commit(oid).await?);
    }
    if let Some(head) = heads.own.head_commit() {
        match whole.contains(head) {
            true => note.head = Some(head.clone()),
            false => note.notices.push(format!("the commit of HEAD, {}, is damaged or not there", head.short())),
        }
    }
    if let Some(Head::Symbolic(name)) = &heads.own.head {
        note.on = Some(name.clone());
    }
    for (from, to, place) in [(&own, &mut note.refs, ""), (&relay, &mut note.relay, "in the relay repository ")] {
        for (name, oid) in from {
            if whole.contains(oid) {
                to.push((name.clone(), oid.clone()));
            } else {
                note.notices.push(format!("{place}{} names a commit that is damaged or not there", shown(name)));
            }
        }
    }
    Ok(peeled)
}

/// What differs; where git cannot make sense of what the agent left, every file counts as new.
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
    match quarantine.changes(mirror, worktree.dir(), &index, note.head.as_ref()).await {
        Ok(changes) => Ok(changes),
        Err(StatusError::Git(GitError::Failed { .. })) => {
            note.notices.push("git could not read what was staged; the files are saved as they were".to_owned());
            quarantine.remove_index()?;
            note.head = None;
            quarantine.set_head(None)?;
            Ok(quarantine.changes(mirror, worktree.dir(), &quarantine.dir().join("none/index"), None).await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// The index as a commit; `None` while it holds conflicts.
async fn staged(quarantine: &Quarantine, head: Option<&Oid>) -> Result<Option<Oid>, GitError> {
    let tree = quarantine.command("write-tree", "keep what is staged").arg("--missing-ok").output().await?;
    match Oid::read(&tree.stdout).filter(|_| tree.code == 0) {
        // The same index is the same commit, so that the same state is known again.
        Some(tree) => {
            let parents: Vec<Oid> = head.cloned().into_iter().collect();
            commit(quarantine, &tree, &parents, "What was staged.\n", Some("@0 +0000")).await.map(Some)
        }
        None => Ok(None),
    }
}

async fn commit(
    quarantine: &Quarantine,
    tree: &Oid,
    parents: &[Oid],
    message: &str,
    date: Option<&str>,
) -> Result<Oid, GitError> {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let identity = Identity::own();
    let mut command =
        quarantine.command("commit-tree", "make the rescue's commit").args(["-F", "-"]).arg(tree.as_str());
    for parent in parents {
        command = command.args(["-p", parent.as_str()]);
    }
    for role in ["AUTHOR", "COMMITTER"] {
        command = command.env(&format!("GIT_{role}_NAME"), OsString::from_vec(identity.name.clone()));
        command = command.env(&format!("GIT_{role}_EMAIL"), OsString::from_vec(identity.email.clone()));
        if let Some(date) = date {
            command = command.env(&format!("GIT_{role}_DATE"), date);
        }
    }
    command.config("i18n.commitEncoding", "UTF-8").stdin(message.as_bytes()).run().await?.oid()
}

/// The rescue of the issue that has just this.
async fn saved_before(
    mirror: &Mirror,
    issue: u64,
    tree: &Oid,
    parents: &[Oid],
) -> Result<Option<(String, Oid)>, GitError> {
    let command = mirror.command("for-each-ref", "compare the rescues");
    let command = command.arg("--format=%(refname) %(objectname) %(tree) %(parent)");
    let output = command.arg(format!("{RESCUE}{issue}")).run().await?;
    let mut this = tree.to_string();
    for parent in parents {
        this.push_str(&format!(" {parent}"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let same = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (name, commit, rest) = (words.next()?, words.next()?, words.next()?);
        if rest.trim() == this { Some((name.to_owned(), commit.parse().ok()?)) } else { None }
    };
    Ok(text.lines().find_map(same))
}

/// A name that no rescue has; the lock is held.
async fn free_name(mirror: &Mirror, spec: &SaveSpec, note: &mut Note) -> Result<String, GitError> {
    let taken: BTreeSet<String> =
        noted(mirror, Some(spec.issue_number)).await?.into_iter().map(|(rescue, _)| rescue.at).collect();
    let mut names = std::iter::once(spec.at.clone()).chain((2u32..).map(|n| format!("{}-{n}", spec.at)));
    note.at = names.find(|name| !taken.contains(name)).unwrap_or_default();
    Ok(format!("{RESCUE}{}/{}", spec.issue_number, note.at))
}

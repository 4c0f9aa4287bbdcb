//! Brings a rescue back: a repository of its own with the branches, the index and the files as they were.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::command::runner::{GitCommand, TRANSFER_TIMEOUT};
use crate::files::access::below;
use crate::files::access::{FileError, IoContext, make_dir, replace};
use crate::files::removal::{being_made, remove};
use crate::git_dir::layout::{ConfigText, make_git_dir, packed_refs};
use crate::git_dir::objects::take_objects;
use crate::lfs::objects::take_contents;
use crate::lfs::setup::Lfs;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::rescue::error::RescueError;
use crate::rescue::list::{Rescue, find};
use crate::rescue::nested::{self, restored_ref};
use crate::rescue::note::Note;
use crate::untrusted::quarantine::Conversion;
use crate::worktree::checkout;

/// Where a restored repository has the refs of the relay. The name is from the time when relays were called gates; it stays,
/// as people know it.
const RESTORED_RELAY: &[u8] = b"refs/kugetsu/gate/";

/// What was brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The directory.
    pub dir: PathBuf,
    /// The rescue's ref.
    pub name: String,
    /// What a person should know, one sentence each.
    pub notices: Vec<String>,
}

/// Makes `to` (a new or an empty directory) a repository that borrows nothing: `origin` is the real server, HEAD, the
/// branches and the index are as they were, uncommitted changes are uncommitted again, untracked files untracked. What
/// was pushed to the relay, but not to the server, is in `refs/kugetsu/gate`; what repositories inside had and their servers
/// did not is in `refs/kugetsu/inner/<place>`, and a notice says so.
///
/// # Errors
/// [`RescueError`]; nothing is left behind.
pub async fn restore(mirror: &Mirror, name: &str, to: &Path) -> Result<Restored, RescueError> {
    let (rescue, note) = find(mirror, name).await?;
    let to = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
    let is_free = match std::fs::read_dir(&to) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => to.symlink_metadata().is_err(),
    };
    if !is_free {
        return Err(RescueError::NotEmpty(to));
    }
    if let Some(parent) = to.parent() {
        make_dir(parent)?;
    }
    let new = being_made(&to);
    let made = make(mirror, &rescue, &note, &new).await;
    let placed = match made {
        // An empty directory gives way to the new one.
        Ok(notices) => std::fs::rename(&new, &to).context("put in place", &to).map(|()| notices).map_err(Into::into),
        Err(error) => Err(error),
    };
    match placed {
        Ok(notices) => Ok(Restored { dir: to, name: rescue.name, notices }),
        Err(error) => {
            remove(&new).await?;
            Err(error)
        }
    }
}

async fn make(mirror: &Mirror, rescue: &Rescue, note: &Note, dir: &Path) -> Result<Vec<String>, RescueError> {
    let git_dir = dir.join(".git");
    let lfs = Lfs::find(mirror.git()).await?;
    let head = match (&note.on, &note.head) {
        (Some(on), _) => [b"ref: ", on.as_slice()].concat(),
        (None, Some(head)) => head.as_str().as_bytes().to_vec(),
        (None, None) => format!("ref: refs/heads/{}", note.branch).into_bytes(),
    };
    make_git_dir(&git_dir, "ref: refs/heads/none", &config(mirror, note, &mirror.address().await))?;
    take_objects(mirror.objects(), git_dir.join("objects")).await?;
    take_contents(mirror.dir(), &git_dir).await?;
    if let Some(shallow) = mirror.shallow() {
        replace(&git_dir.join("shallow"), &shallow)?;
    }
    replace(&git_dir.join("packed-refs"), &refs(mirror, rescue, note).await?)?;
    replace(&git_dir.join("HEAD"), &[head.as_slice(), b"\n"].concat())?;

    let mut notices = Vec::new();
    if let Some(head) = &note.head {
        checkout::fill(mirror, dir, head, &lfs, &mut |_| ()).await?;
        notices.extend(lfs.notice(mirror.git(), dir).await?);
    }
    write_files(mirror, rescue, note, dir).await?;
    if let Some(index) = &note.index {
        on(mirror, dir, "read-tree", "bring back what was staged").arg(index.as_str()).run().await?;
    }
    // Exit code 1: some files differ from the index, which is the point.
    let refresh = on(mirror, dir, "update-index", "look at the files").args(["-q", "--refresh"]);
    lfs.permit_pointers(refresh).output().await?;
    notices.extend(nested::notices(&note.nested));
    notices.extend(note.notices.iter().cloned());
    notices.extend(note.unsaved.iter().map(|unsaved| format!("this could not be saved: {unsaved}")));
    Ok(notices)
}

fn config(mirror: &Mirror, note: &Note, origin: &OsStr) -> ConfigText {
    let mut config = ConfigText::default();
    let extended = mirror.format() != "sha1" || mirror.promisor().is_some();
    config.section("core", None).set("repositoryFormatVersion", if extended { "1" } else { "0" });
    config.set("fileMode", "true").set("bare", "false").set("logAllRefUpdates", "true");
    if cfg!(target_os = "macos") {
        config.set("ignoreCase", "true").set("precomposeUnicode", "true");
    }
    if mirror.format() != "sha1" {
        config.section("extensions", None).set("objectFormat", mirror.format());
    }
    if let Some(promisor) = mirror.promisor() {
        promisor.write(&mut config);
    }
    config.section("remote", Some(b"origin")).set("url", origin.as_encoded_bytes());
    config.set("fetch", "+refs/heads/*:refs/remotes/origin/*");
    config.section("branch", Some(note.branch.as_bytes()));
    config.set("remote", "origin").set("merge", format!("refs/heads/{}", note.branch));
    config
}

async fn refs(mirror: &Mirror, rescue: &Rescue, note: &Note) -> Result<Vec<u8>, RescueError> {
    let mut refs: BTreeMap<Vec<u8>, Oid> = BTreeMap::new();
    refs.extend(mirror.refs(&["refs/remotes/origin", "refs/tags"]).await?);
    refs.extend(note.refs.iter().cloned());
    for (name, oid) in &note.relay {
        let rest = name.strip_prefix(b"refs/").unwrap_or(name);
        refs.insert([RESTORED_RELAY, rest].concat(), oid.clone());
    }
    refs.extend(note.nested.iter().map(|head| (restored_ref(head), head.commit.clone())));
    refs.insert(rescue.name.clone().into_bytes(), rescue.commit.clone());
    Ok(packed_refs(refs.iter().map(|(name, oid)| (name.as_slice(), oid))))
}

/// A command in the new repository.
fn on(mirror: &Mirror, dir: &Path, subcommand: &str, action: &str) -> GitCommand {
    mirror.git().command(subcommand, action).git_dir(&dir.join(".git")).work_tree(dir).timeout(TRANSFER_TIMEOUT)
}

/// Puts the saved files over those of HEAD, byte for byte.
async fn write_files(mirror: &Mirror, rescue: &Rescue, note: &Note, dir: &Path) -> Result<(), RescueError> {
    let attributes = dir.join(".git/info/attributes");
    replace(&attributes, Conversion::Raw.attributes())?;
    let index = dir.join(".git/rescue-index");
    let command = |subcommand: &str, action: &str| on(mirror, dir, subcommand, action).env("GIT_INDEX_FILE", &index);
    command("read-tree", "read the rescue").arg(rescue.commit.as_str()).run().await?;

    let head = match &note.head {
        Some(head) => head.clone(),
        None => {
            let empty = command("hash-object", "make an empty tree").args(["-w", "-t", "tree", "--stdin"]);
            empty.stdin(Vec::new()).run().await?.oid()?
        }
    };
    let diff = command("diff-tree", "compare the files").args(["-r", "-z", "--name-status", "--no-renames"]);
    let differing = diff.args([head.as_str(), rescue.commit.as_str()]).run().await?;
    let records: Vec<&[u8]> = differing.records().collect();
    let (mut written, mut deleted) = (Vec::new(), Vec::new());
    for pair in records.chunks_exact(2) {
        let (Some(status), Some(path)) = (pair.first(), pair.last()) else { continue };
        if status.starts_with(b"D") {
            deleted.push(*path);
        } else {
            written.extend_from_slice(path);
            written.push(0);
        }
    }
    for path in deleted {
        take_away(dir, path)?;
    }
    let checkout = command("checkout-index", "write the files").args(["--force", "-z", "--stdin"]);
    mirror.reach(checkout).await.stdin(written).run().await?;
    for file in [attributes, index] {
        std::fs::remove_file(&file).context("remove", &file)?;
    }
    Ok(())
}

/// Removes a file and the directories that it leaves empty.
fn take_away(dir: &Path, path: &[u8]) -> Result<(), FileError> {
    let file = below(dir, path);
    let Ok(meta) = file.symlink_metadata() else { return Ok(()) };
    let gone = if meta.is_dir() { std::fs::remove_dir_all(&file) } else { std::fs::remove_file(&file) };
    gone.context("remove", &file)?;
    let mut parent = file.parent();
    while let Some(empty) = parent.filter(|parent| *parent != dir) {
        if std::fs::remove_dir(empty).is_err() {
            break;
        }
        parent = empty.parent();
    }
    Ok(())
}

//! Restores a rescue into a new repository.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::command::runner::{GitCommand, TRANSFER_TIMEOUT};
use crate::files::access::{IoContext, create_dir_all, write_atomic};
use crate::files::removal::{remove_tree, remove_with_empty_parents, staging_path};
use crate::git_dir::layout::{ConfigFile, SHALLOW, UNBORN_HEAD, create_git_dir, format_packed_refs};
use crate::git_dir::objects::{Take, take_objects};
use crate::lfs::content::users_storage;
use crate::lfs::objects::copy_objects;
use crate::lfs::setup::Lfs;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::printable::printable;
use crate::rescue::error::RescueError;
use crate::rescue::large::restore_large;
use crate::rescue::list::{Rescue, find};
use crate::rescue::nested::{self, restored_ref};
use crate::rescue::note::Note;
use crate::rescue::state::SavedState;
use crate::untrusted::quarantine::Conversion;
use crate::worktree::checkout;

/// The refs of the relay in a restored repository. Users know the name from the time when relays were called gates.
const RESTORED_RELAY: &[u8] = b"refs/kugetsu/gate/";

/// The refs of commits in a restored repository that no valid ref named, or only a linked worktree.
const RESTORED_OTHERS: &[u8] = b"refs/kugetsu/other/";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    pub dir: PathBuf,
    /// The rescue's ref.
    pub name: String,
    /// Notices for the user, one sentence each.
    pub notices: Vec<String>,
}

/// Makes `to`, a new or an empty directory, a repository that borrows nothing. Its `origin` is the real server. HEAD, the
/// branches and the index are as they were, uncommitted changes are uncommitted again, and untracked files are untracked.
/// Commits that were pushed to the relay only are below `refs/kugetsu/gate`, and those of nested repositories below
/// `refs/kugetsu/inner/<path>`, and those that only a damaged or invalid ref named below `refs/kugetsu/other`, with a notice. If it fails, nothing is left behind.
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
        create_dir_all(parent)?;
    }
    let new = staging_path(&to);
    let made = create_in(mirror, &rescue, &note, &new).await;
    let renamed = match made {
        // The rename replaces an empty directory.
        Ok(notices) => std::fs::rename(&new, &to).context("create", &to).map(|()| notices).map_err(Into::into),
        Err(error) => Err(error),
    };
    match renamed {
        Ok(notices) => Ok(Restored { dir: to, name: rescue.name, notices }),
        Err(error) => {
            remove_tree(&new).await?;
            Err(error)
        }
    }
}

async fn create_in(mirror: &Mirror, rescue: &Rescue, note: &Note, dir: &Path) -> Result<Vec<String>, RescueError> {
    let git_dir = dir.join(".git");
    let lfs = Lfs::detect(mirror.git()).await?;
    let head = match (&note.head_ref, &note.head) {
        (Some(head_ref), _) => [b"ref: ", head_ref.as_slice()].concat(),
        (None, Some(head)) => head.as_str().as_bytes().to_vec(),
        (None, None) => format!("ref: refs/heads/{}", note.branch).into_bytes(),
    };
    let mut config = config(mirror, note, &mirror.display_url().await);
    if users_storage(mirror.git()).await?.is_some() {
        // The content is in the repository, not in the store of the user.
        config.section("lfs", None).set("storage", "lfs");
    }
    create_git_dir(&git_dir, UNBORN_HEAD, &config)?;
    // By copy: the user may damage what is theirs.
    let left = take_objects(mirror.objects(), git_dir.join("objects"), Take::Copy).await?;
    if let Some(error) = left.unreadable.into_iter().next() {
        return Err(error.into());
    }
    copy_objects(mirror.dir(), &git_dir, None).await?;
    if let Some(shallow) = mirror.shallow()? {
        write_atomic(&git_dir.join(SHALLOW), &shallow)?;
    }
    write_atomic(&git_dir.join("packed-refs"), &refs(mirror, rescue, note).await?)?;
    write_atomic(&git_dir.join("HEAD"), &[head.as_slice(), b"\n"].concat())?;

    // First the files and the index of HEAD, then the saved files over them, then the index with what was staged. So git sees
    // the same three states as before: HEAD, index, files.
    let mut notices = Vec::new();
    if let Some(head) = &note.head {
        checkout::check_out(mirror, dir, head, &lfs, &mut |_| ()).await?;
        notices.extend(lfs.pointer_notice(mirror.git(), dir).await?);
    }
    write_files(mirror, rescue, note, dir).await?;
    let state = match &note.state {
        Some(state) => Some(SavedState::read(mirror, state).await?),
        None => None,
    };
    if let Some(state) = &state {
        let list = state.content(mirror, "large").await?;
        let missing = restore_large(mirror, &list, dir).await?;
        notices.extend(missing.iter().map(|path| format!("{} is no longer beside the rescue", printable(path))));
    }
    if let Some(index) = &note.index {
        command_in(mirror, dir, "read-tree", "restore what was staged").arg(index.as_str()).run().await?;
    }
    // 1: files differ from the index, as they should.
    let refresh = command_in(mirror, dir, "update-index", "refresh the index").args(["-q", "--refresh"]);
    lfs.allow_pointers(refresh).answer(&[1]).await?;
    if let Some(state) = &state {
        let command = |subcommand: &'static str| {
            lfs.allow_pointers(command_in(mirror, dir, subcommand, "restore the state of the index"))
        };
        state.restore_index(mirror, dir, command).await?;
        notices.extend(state.restore_files(mirror, &git_dir, note).await?);
    }
    notices.extend(nested::notices(&note.nested));
    notices.extend(without_ref(note).map(|(name, restored, _)| {
        format!("{} is not restored; its commit is {}", printable(name), printable(&restored))
    }));
    notices.extend(note.notices.iter().cloned());
    notices.extend(note.unsaved.iter().map(|unsaved| format!("could not be saved: {unsaved}")));
    Ok(notices)
}

fn config(mirror: &Mirror, note: &Note, origin: &OsStr) -> ConfigFile {
    let mut config = ConfigFile::default();
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
    for (name, oid) in &note.relay_refs {
        let rest = name.strip_prefix(b"refs/").unwrap_or(name);
        refs.insert([RESTORED_RELAY, rest].concat(), oid.clone());
    }
    for (_, name, oid) in without_ref(note) {
        refs.insert(name, oid.clone());
    }
    refs.extend(note.nested.iter().map(|head| (restored_ref(head), head.commit.clone())));
    refs.insert(rescue.name.clone().into_bytes(), rescue.commit.clone());
    Ok(format_packed_refs(refs.iter().map(|(name, oid)| (name.as_slice(), oid))))
}

/// The commits that no ref and no file that is restored names, by what named them, with the refs for them.
fn without_ref(note: &Note) -> impl Iterator<Item = (&[u8], Vec<u8>, &Oid)> {
    let is_one = |name: &[u8]| {
        [b"refs/".as_slice(), b"logs/", b"relay/", b"worktrees/"].iter().any(|below| name.starts_with(below))
    };
    let others = note.others.iter().filter(move |(name, _)| is_one(name));
    others.map(|(name, oid)| (name.as_slice(), [RESTORED_OTHERS, oid.as_str().as_bytes()].concat(), oid))
}

/// Begins a git command in the new repository. It is the host's own, so git may run there.
fn command_in(mirror: &Mirror, dir: &Path, subcommand: &str, action: &str) -> GitCommand {
    mirror.git().command(subcommand, action).owned_git_dir(&dir.join(".git")).work_tree(dir).timeout(TRANSFER_TIMEOUT)
}

/// Writes the saved files over those of HEAD, byte for byte.
///
/// A temporary index keeps the real one at HEAD, and `info/attributes` turns conversions and filters off: the rescue has the
/// bytes of the files, not what git would have stored for them. Only files that differ are written, so the others keep the
/// stat data of the checkout, and the user's filters do not see them as changed.
async fn write_files(mirror: &Mirror, rescue: &Rescue, note: &Note, dir: &Path) -> Result<(), RescueError> {
    let attributes = dir.join(".git/info/attributes");
    write_atomic(&attributes, Conversion::Raw.attributes())?;
    let index = dir.join(".git/rescue-index");
    let command =
        |subcommand: &str, action: &str| command_in(mirror, dir, subcommand, action).env("GIT_INDEX_FILE", &index);
    command("read-tree", "read the rescue").arg(rescue.commit.as_str()).run().await?;

    let head = match &note.head {
        Some(head) => head.clone(),
        None => {
            let empty = command("hash-object", "create an empty tree").args(["-w", "-t", "tree", "--stdin"]);
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
        remove_with_empty_parents(dir, path)?;
    }
    let checkout = command("checkout-index", "write the files").args(["--force", "-z", "--stdin"]);
    mirror.authenticate(checkout).await.stdin(written).run().await?;
    for file in [attributes, index] {
        std::fs::remove_file(&file).context("remove", &file)?;
    }
    Ok(())
}

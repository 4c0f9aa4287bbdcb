//! The relay: a bare repository per issue that is the `origin` of its worktree.
//!
//! It has the server's branches, so fetching and rebasing work as against the server, and takes what the agent pushes.
//! It forwards nothing; the host pushes. The agent can write it, so once it is created it is read as files.

use std::collections::BTreeMap;
use std::path::Path;

use crate::command::runner::GitError;
use crate::files::access::{
    FileError, IoContext, create_dir_all, is_dir_there, is_real_dir, is_there, join_bytes, write_atomic,
};
use crate::files::removal::remove_tree;
use crate::git_dir::layout::{
    ConfigFile, UNBORN_HEAD, bare_config, create_git_dir, format_packed_refs, write_alternates,
};
use crate::mirror::repo::Mirror;
use crate::names::{BranchName, Oid};
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::{Head, UntrustedRepo, uses_reftable};

/// The server's branches and tags, by their names on the server.
pub(crate) async fn server_refs(mirror: &Mirror) -> Result<BTreeMap<Vec<u8>, Oid>, GitError> {
    let mut refs = BTreeMap::new();
    for (name, oid) in mirror.refs(&["refs/remotes/origin", "refs/tags"]).await? {
        let name = match name.strip_prefix(b"refs/remotes/origin/") {
            Some(branch) => [b"refs/heads/", branch].concat(),
            None => name,
        };
        refs.insert(name, oid);
    }
    Ok(refs)
}

/// Creates a relay at `dir`, which must not exist.
pub(crate) fn create(
    mirror: &Mirror,
    dir: &Path,
    refs: &BTreeMap<Vec<u8>, Oid>,
    head: &BranchName,
) -> Result<(), FileError> {
    create_git_dir(dir, &format!("ref: {}", head.full_ref()), &config(mirror))?;
    write_alternates(&dir.join("objects"), [mirror.objects().as_path()])?;
    if let Some(shallow) = mirror.shallow()? {
        write_atomic(&dir.join("shallow"), &shallow)?;
    }
    write_atomic(&dir.join("packed-refs"), &packed(refs))
}

fn config(mirror: &Mirror) -> ConfigFile {
    let mut config = bare_config(mirror.format(), mirror.promisor().is_some());
    if let Some(promisor) = mirror.promisor() {
        promisor.write(&mut config);
    }
    config.section("receive", None).set("autogc", "false");
    config.section("uploadpack", None).set("allowAnySHA1InWant", "true");
    config
}

fn packed(refs: &BTreeMap<Vec<u8>, Oid>) -> Vec<u8> {
    format_packed_refs(refs.iter().map(|(name, oid)| (name.as_slice(), oid)))
}

/// Updates the server's branches and the cut-off of their history. The issue's own branch stays, and so do branches that
/// only the agent made. A branch that the server had under a name which git cannot have beside one of the server's now (`a` and
/// `a/b`) goes. Refs in reftable format become files, which the host can write.
///
/// # Errors
/// Among others: refs of the relay cannot be read, and would be lost.
pub(crate) async fn refresh(
    mirror: &Mirror,
    relay: &Path,
    server: &BTreeMap<Vec<u8>, Oid>,
    own: &BranchName,
) -> Result<(), StatusError> {
    let own = own.full_ref().into_bytes();
    write_shallow(mirror, relay)?;
    let is_reftable = uses_reftable(relay);
    let found = match is_reftable {
        true => Quarantine::open(mirror, &[relay], None).await?.read_refs(relay).await?,
        false => UntrustedRepo::read(relay),
    };
    if let Some(why) = found.unreadable.into_iter().next() {
        return Err(StatusError::Unreadable { dir: relay.to_owned(), why });
    }
    let mut refs = found.refs;
    let is_theirs = |name: &[u8]| name != own && server.contains_key(name);
    let clashing: Vec<_> = refs.iter().filter(|(name, _)| !is_theirs(name) && clashes(server, name)).collect();
    let mut gone = Vec::new();
    for (name, oid) in clashing {
        if *name != own && mirror.has_commit(oid).await? {
            gone.push(name.clone());
        }
    }
    refs.retain(|name, _| !is_theirs(name) && !gone.contains(name));
    // The agent's own names stay, so what clashes with them is left out.
    let agents = refs.clone();
    let fitting = server.iter().filter(|(name, _)| **name != own && !clashes(&agents, name));
    refs.extend(fitting.map(|(name, oid)| (name.clone(), oid.clone())));
    write_atomic(&relay.join("packed-refs"), &packed(&refs))?;
    for name in server.keys().filter(|name| **name != own).chain(&gone) {
        remove_loose(relay, name)?;
    }
    if is_reftable {
        use_files(mirror, relay, found.head.as_ref()).await?;
    }
    Ok(())
}

/// Whether git cannot have a ref of this name beside these: one is the directory of the other.
pub(crate) fn clashes(refs: &BTreeMap<Vec<u8>, Oid>, name: &[u8]) -> bool {
    let below = [name, b"/"].concat();
    let has_below = refs.range(below.clone()..).next().is_some_and(|(next, _)| next.starts_with(&below));
    let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    has_below || slashes.into_iter().any(|(at, _)| refs.contains_key(&name[..at]))
}

/// Ends the use of tables for refs, after the refs were written as a file. The tables go last, so that an interrupted change is
/// made again.
async fn use_files(mirror: &Mirror, relay: &Path, head: Option<&Head>) -> Result<(), FileError> {
    let heads = relay.join("refs/heads");
    if is_there(&heads)? && !is_dir_there(&heads)? {
        // With reftable, a text that tells older gits.
        std::fs::remove_file(&heads).context("remove", &heads)?;
    }
    create_dir_all(&heads)?;
    let head = match head {
        Some(Head::Symbolic(name)) => [b"ref: ", name.as_slice()].concat(),
        Some(Head::Detached(oid)) => oid.as_str().as_bytes().to_vec(),
        None => UNBORN_HEAD.as_bytes().to_vec(),
    };
    write_atomic(&relay.join("HEAD"), &[head.as_slice(), b"\n"].concat())?;
    write_atomic(&relay.join("config"), config(mirror).bytes())?;
    remove_tree(&relay.join("reftable")).await
}

/// Removes the worktree's tracking branches that git cannot have beside those of the server's branches now: a fetch would fail.
pub(crate) fn remove_clashing_tracking_branches(
    git_dir: &Path,
    server: &BTreeMap<Vec<u8>, Oid>,
) -> Result<(), FileError> {
    const TRACKING: &[u8] = b"refs/remotes/origin/";
    if !is_dir_there(git_dir)? || uses_reftable(git_dir) {
        return Ok(());
    }
    let all = UntrustedRepo::read(git_dir);
    let is_stale = |name: &[u8]| {
        let branch = name.strip_prefix(TRACKING).filter(|branch| *branch != b"HEAD");
        branch.is_some_and(|branch| clashes(server, &[b"refs/heads/", branch].concat()))
    };
    let stale: Vec<&Vec<u8>> = all.refs.keys().filter(|name| is_stale(name)).collect();
    // What cannot be read is not written, and reported where it matters.
    if stale.is_empty() || !all.unreadable.is_empty() {
        return Ok(());
    }
    let mut refs = UntrustedRepo::read_packed_refs(git_dir).refs;
    refs.retain(|name, _| !is_stale(name));
    write_atomic(&git_dir.join("packed-refs"), &packed(&refs))?;
    // Git removes directories that are empty, but no logs.
    let logs = git_dir.join("logs");
    stale.into_iter().try_for_each(|name| remove_loose(git_dir, name).and_then(|()| remove_loose(&logs, name)))
}

/// Copies the cut-off of the mirror's history, so that git does not look for commits beyond it.
fn write_shallow(mirror: &Mirror, relay: &Path) -> Result<(), FileError> {
    let path = relay.join("shallow");
    match mirror.shallow()? {
        Some(shallow) => write_atomic(&path, &shallow),
        // The history is complete now.
        None if path.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) => {
            std::fs::remove_file(&path).context("remove", &path)
        }
        None => Ok(()),
    }
}

/// Removes a loose ref, which would override the packed one. No link in its path is followed.
fn remove_loose(relay: &Path, name: &[u8]) -> Result<(), FileError> {
    let mut path = relay.to_owned();
    for part in name.split(|byte| *byte == b'/') {
        if !is_real_dir(&path) {
            return Ok(());
        }
        path = join_bytes(&path, part);
    }
    match path.symlink_metadata() {
        Ok(meta) if !meta.is_dir() => std::fs::remove_file(&path).context("remove", &path),
        _ => Ok(()),
    }
}

//! The relay: a bare repository per issue that its worktree knows as `origin`.
//!
//! It has the server's branches, so fetching and rebasing work as against the server, and takes what the agent pushes.
//! Nothing leaves it by itself; the host pushes on. The agent may write it, so after its making it is read as files.

use std::collections::BTreeMap;
use std::path::Path;

use crate::command::runner::GitError;
use crate::files::access::{FileError, IoContext, is_real_dir, replace};
use crate::git_dir::layout::{bare_config, borrow, make_git_dir, packed_refs};
use crate::mirror::repo::Mirror;
use crate::names::{BranchName, Oid};
use crate::untrusted::reader::UntrustedRepo;

/// The server's refs by the names that they have there.
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

/// Makes a relay at `dir`, which is not there yet.
pub(crate) fn make(
    mirror: &Mirror,
    dir: &Path,
    refs: &BTreeMap<Vec<u8>, Oid>,
    head: &BranchName,
) -> Result<(), FileError> {
    let mut config = bare_config(mirror.format(), mirror.promisor().is_some());
    if let Some(promisor) = mirror.promisor() {
        promisor.write(&mut config);
    }
    config.section("receive", None).set("autogc", "false");
    config.section("uploadpack", None).set("allowAnySHA1InWant", "true");
    make_git_dir(dir, &format!("ref: {}", head.full()), &config)?;
    borrow(&dir.join("objects"), [mirror.objects().as_path()])?;
    if let Some(shallow) = mirror.shallow() {
        replace(&dir.join("shallow"), &shallow)?;
    }
    replace(&dir.join("packed-refs"), &packed(refs))
}

fn packed(refs: &BTreeMap<Vec<u8>, Oid>) -> Vec<u8> {
    packed_refs(refs.iter().map(|(name, oid)| (name.as_slice(), oid)))
}

/// Gives the server's branches their new commits, and says where their history is cut off now. The issue's own branch,
/// and branches that only the agent made, stay.
pub(crate) fn refresh(
    mirror: &Mirror,
    relay: &Path,
    server: &BTreeMap<Vec<u8>, Oid>,
    own: &BranchName,
) -> Result<(), FileError> {
    let own = own.full().into_bytes();
    write_shallow(mirror, relay)?;
    let mut refs = UntrustedRepo::read(relay).refs;
    for (name, oid) in server.iter().filter(|(name, _)| **name != own) {
        refs.insert(name.clone(), oid.clone());
    }
    replace(&relay.join("packed-refs"), &packed(&refs))?;
    for name in server.keys().filter(|name| **name != own) {
        remove_loose(relay, name)?;
    }
    Ok(())
}

/// Writes where the mirror's history is cut off, so that git does not look for what is not there.
fn write_shallow(mirror: &Mirror, relay: &Path) -> Result<(), FileError> {
    let path = relay.join("shallow");
    match mirror.shallow() {
        Some(shallow) => replace(&path, &shallow),
        // Nothing is cut off any more, or nothing was.
        None if path.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) => {
            std::fs::remove_file(&path).context("remove", &path)
        }
        None => Ok(()),
    }
}

/// A loose ref would win over the packed one. No link is followed on the way to it.
fn remove_loose(relay: &Path, name: &[u8]) -> Result<(), FileError> {
    let mut path = relay.to_owned();
    for part in name.split(|byte| *byte == b'/') {
        if !is_real_dir(&path) {
            return Ok(());
        }
        path = crate::files::access::below(&path, part);
    }
    match path.symlink_metadata() {
        Ok(meta) if !meta.is_dir() => std::fs::remove_file(&path).context("remove", &path),
        _ => Ok(()),
    }
}

//! The relay: a bare repository per issue that is the `origin` of its worktree.
//!
//! It has the server's branches, so fetching and rebasing work as against the server, and takes what the agent pushes.
//! It forwards nothing; the host pushes. The agent can write it, so once it is created it is read as files.

use std::collections::BTreeMap;
use std::path::Path;

use crate::command::runner::GitError;
use crate::files::access::{FileError, IoContext, is_real_dir, join_bytes, write_atomic};
use crate::git_dir::layout::{bare_config, create_git_dir, format_packed_refs, write_alternates};
use crate::mirror::repo::Mirror;
use crate::names::{BranchName, Oid};
use crate::untrusted::reader::UntrustedRepo;

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
    let mut config = bare_config(mirror.format(), mirror.promisor().is_some());
    if let Some(promisor) = mirror.promisor() {
        promisor.write(&mut config);
    }
    config.section("receive", None).set("autogc", "false");
    config.section("uploadpack", None).set("allowAnySHA1InWant", "true");
    create_git_dir(dir, &format!("ref: {}", head.full_ref()), &config)?;
    write_alternates(&dir.join("objects"), [mirror.objects().as_path()])?;
    if let Some(shallow) = mirror.shallow()? {
        write_atomic(&dir.join("shallow"), &shallow)?;
    }
    write_atomic(&dir.join("packed-refs"), &packed(refs))
}

fn packed(refs: &BTreeMap<Vec<u8>, Oid>) -> Vec<u8> {
    format_packed_refs(refs.iter().map(|(name, oid)| (name.as_slice(), oid)))
}

/// Updates the server's branches and the cut-off of their history. The issue's own branch stays, and so do branches that
/// only the agent made.
pub(crate) fn refresh(
    mirror: &Mirror,
    relay: &Path,
    server: &BTreeMap<Vec<u8>, Oid>,
    own: &BranchName,
) -> Result<(), FileError> {
    let own = own.full_ref().into_bytes();
    write_shallow(mirror, relay)?;
    let mut refs = UntrustedRepo::read(relay).refs;
    for (name, oid) in server.iter().filter(|(name, _)| **name != own) {
        refs.insert(name.clone(), oid.clone());
    }
    write_atomic(&relay.join("packed-refs"), &packed(&refs))?;
    for name in server.keys().filter(|name| **name != own) {
        remove_loose(relay, name)?;
    }
    Ok(())
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

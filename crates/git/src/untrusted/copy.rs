//! Copies files of an untrusted directory into a directory of the host: files byte for byte, links as links. Nothing is followed or run.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::files::access::{FileError, IoContext, blocking, create_dir_all, is_real_dir, join_bytes};
use crate::printable::printable;
use crate::untrusted::changes::Changes;

/// Maximum directory depth.
const DEPTH_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Links {
    Copied,
    Skipped,
}

/// The files in a git directory that hold an unfinished operation, the logs and the ignored files.
const STATE: [&str; 15] = [
    "logs",
    "info/exclude",
    "MERGE_HEAD",
    "MERGE_MSG",
    "MERGE_MODE",
    "AUTO_MERGE",
    "SQUASH_MSG",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    "ORIG_HEAD",
    "COMMIT_EDITMSG",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
];

/// Copies the [`STATE`] of a git directory. Links are skipped, since git creates none of these files as a link. Returns
/// the paths that were skipped, escaped, as do the other functions here.
pub(crate) async fn copy_state(from: &Path, to: &Path) -> Result<Vec<String>, FileError> {
    let (from, to) = (from.to_owned(), to.to_owned());
    blocking(&to.clone(), move || {
        let mut skipped = Vec::new();
        for name in STATE {
            let (from, to) = (from.join(name), to.join(name));
            if from.parent().is_some_and(is_real_dir) && from.symlink_metadata().is_ok() {
                copy(&from, &to, 0, Links::Skipped, &mut skipped)?;
            }
        }
        Ok(skipped)
    })
    .await
}

/// Copies a directory, if it exists.
pub(crate) async fn copy_directory(from: &Path, to: &Path) -> Result<Vec<String>, FileError> {
    let (from, to) = (from.to_owned(), to.to_owned());
    blocking(&to.clone(), move || {
        let mut skipped = Vec::new();
        if is_real_dir(&from) {
            copy(&from, &to, 0, Links::Copied, &mut skipped)?;
        }
        Ok(skipped)
    })
    .await
}

/// Applies uncommitted changes: `to`, which has the files of HEAD, gets the changed files of `from`.
pub(crate) async fn copy_changes(from: &Path, to: &Path, changes: &Changes) -> Result<Vec<String>, FileError> {
    let paths: Vec<Vec<u8>> = changes.files.iter().map(|change| &change.path).chain(&changes.nested).cloned().collect();
    let (from, to) = (from.to_owned(), to.to_owned());
    blocking(&to.clone(), move || {
        let mut skipped = Vec::new();
        for path in paths {
            if exists_without_links(&from, &path) {
                create_parents(&to, &path)?;
                remove(&join_bytes(&to, &path))?;
                copy(&join_bytes(&from, &path), &join_bytes(&to, &path), 0, Links::Copied, &mut skipped)?;
            } else if exists_without_links(&to, &path) {
                remove(&join_bytes(&to, &path))?;
            }
        }
        Ok(skipped)
    })
    .await
}

/// Whether the path exists, and no directory of it is a link.
fn exists_without_links(dir: &Path, path: &[u8]) -> bool {
    let mut current = dir.to_owned();
    let mut parts = path.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        current = join_bytes(&current, part);
        if parts.peek().is_some() && !is_real_dir(&current) {
            return false;
        }
    }
    current.symlink_metadata().is_ok()
}

/// Creates the directories above a path. A file or link of HEAD in their place is removed.
fn create_parents(dir: &Path, path: &[u8]) -> Result<(), FileError> {
    let mut current = dir.to_owned();
    let mut parts = path.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            break;
        }
        current = join_bytes(&current, part);
        if !is_real_dir(&current) {
            remove(&current)?;
            create_dir_all(&current)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), FileError> {
    match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path).context("remove", path),
        Ok(_) => std::fs::remove_file(path).context("remove", path),
    }
}

/// Copies a file, a directory or a link. Everything else, such as a FIFO or a socket, is added to `skipped`.
fn copy(from: &Path, to: &Path, depth: usize, links: Links, skipped: &mut Vec<String>) -> Result<(), FileError> {
    let meta = from.symlink_metadata().context("read", from)?;
    if meta.is_dir() && depth < DEPTH_MAX {
        create_dir_all(to)?;
        for entry in std::fs::read_dir(from).context("read", from)? {
            let name = entry.context("read", from)?.file_name();
            copy(&from.join(&name), &to.join(&name), depth + 1, links, skipped)?;
        }
        return Ok(());
    }
    if meta.is_symlink() && links == Links::Copied {
        let target = std::fs::read_link(from).context("read", from)?;
        return symlink(target, to).context("create the link", to);
    }
    if meta.is_file() {
        if let Some(parent) = to.parent() {
            create_dir_all(parent)?;
        }
        return std::fs::copy(from, to).context("copy", from).map(drop);
    }
    skipped.push(printable(from.as_os_str().as_encoded_bytes()));
    Ok(())
}

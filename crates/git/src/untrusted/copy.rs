//! Carries what lies in a directory that others wrote over into one of ours: files as bytes, links as links, nothing
//! followed and nothing run.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::files::access::{FileError, IoContext, below, is_real_dir, make_dir, off_thread};
use crate::shown::shown;
use crate::untrusted::changes::Changes;

/// Directories inside directories, so deep.
const DEPTH_MAX: usize = 100;
/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Links {
    /// They lead where they led.
    Kept,
    /// They are not carried over: git makes none of them itself.
    Left,
}

/// What a git directory holds of an operation that is going on, of its logs, and of what is ignored.
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

/// Carries the state of a git directory over, beside its refs, objects and index. Settings and hooks are not state.
pub(crate) async fn copy_state(from: &Path, to: &Path) -> Result<Vec<String>, FileError> {
    let (from, to) = (from.to_owned(), to.to_owned());
    off_thread(&to.clone(), move || {
        let mut left = Vec::new();
        for name in STATE {
            let (from, to) = (from.join(name), to.join(name));
            if from.parent().is_some_and(is_real_dir) && from.symlink_metadata().is_ok() {
                copy(&from, &to, 0, Links::Left, &mut left)?;
            }
        }
        Ok(left)
    })
    .await
}

/// Carries a whole directory over, if there is one.
pub(crate) async fn copy_directory(from: &Path, to: &Path) -> Result<Vec<String>, FileError> {
    let (from, to) = (from.to_owned(), to.to_owned());
    off_thread(&to.clone(), move || {
        let mut left = Vec::new();
        if is_real_dir(&from) {
            copy(&from, &to, 0, Links::Kept, &mut left)?;
        }
        Ok(left)
    })
    .await
}

/// Makes the files in `to`, which are those of a commit, what they are in `from`. What was not carried over, fit to be
/// shown: what is neither a file, nor a directory, nor a link.
pub(crate) async fn copy_changes(from: &Path, to: &Path, changes: &Changes) -> Result<Vec<String>, FileError> {
    let paths: Vec<Vec<u8>> = changes.files.iter().map(|change| &change.path).chain(&changes.nested).cloned().collect();
    let (from, to) = (from.to_owned(), to.to_owned());
    off_thread(&to.clone(), move || {
        let mut left = Vec::new();
        for path in paths {
            if is_inside(&from, &path) {
                make_way(&to, &path)?;
                remove(&below(&to, &path))?;
                copy(&below(&from, &path), &below(&to, &path), 0, Links::Kept, &mut left)?;
            } else if is_inside(&to, &path) {
                remove(&below(&to, &path))?;
            }
        }
        Ok(left)
    })
    .await
}

/// Whether something is there, on a way that no link is part of.
fn is_inside(dir: &Path, path: &[u8]) -> bool {
    let mut place = dir.to_owned();
    let mut parts = path.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        place = below(&place, part);
        if parts.peek().is_some() && !is_real_dir(&place) {
            return false;
        }
    }
    place.symlink_metadata().is_ok()
}

/// Makes the directories on the way to a path; a file or a link of the commit's gives way.
fn make_way(dir: &Path, path: &[u8]) -> Result<(), FileError> {
    let mut place = dir.to_owned();
    let mut parts = path.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            break;
        }
        place = below(&place, part);
        if !is_real_dir(&place) {
            remove(&place)?;
            make_dir(&place)?;
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

fn copy(from: &Path, to: &Path, depth: usize, links: Links, left: &mut Vec<String>) -> Result<(), FileError> {
    let meta = from.symlink_metadata().context("read", from)?;
    if meta.is_dir() && depth < DEPTH_MAX {
        make_dir(to)?;
        for entry in std::fs::read_dir(from).context("read", from)? {
            let name = entry.context("read", from)?.file_name();
            copy(&from.join(&name), &to.join(&name), depth + 1, links, left)?;
        }
        return Ok(());
    }
    if meta.is_symlink() && links == Links::Kept {
        let leads = std::fs::read_link(from).context("read", from)?;
        return symlink(leads, to).context("make the link", to);
    }
    if meta.is_file() {
        if let Some(parent) = to.parent() {
            make_dir(parent)?;
        }
        return std::fs::copy(from, to).context("copy", from).map(drop);
    }
    left.push(shown(from.as_os_str().as_encoded_bytes()));
    Ok(())
}

//! Removal of directories that an agent worked in, and of what killed processes left half made.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::files::access::{FileError, IoContext, blocking, is_real_dir, join_bytes, unique_suffix};

/// Attempts at removing a directory. A process of the agent that is just ending may still write a file or two.
const ATTEMPTS: usize = 3;
/// Marks the name of a directory that is being made beside its final path.
pub(crate) const STAGING_MARK: &str = ".new-";

/// A unique path beside `path`, for a directory that is renamed to `path` once it is complete.
pub(crate) fn staging_path(path: &Path) -> PathBuf {
    path.with_file_name(name_with(path, &format!("{STAGING_MARK}{}", unique_suffix())))
}

fn name_with(path: &Path, suffix: &str) -> OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    name
}

/// Removes a file or a directory with its contents, including those that the agent made read-only. Links are removed, not
/// followed. A missing path is no error.
pub(crate) async fn remove_tree(path: &Path) -> Result<(), FileError> {
    let path = path.to_owned();
    blocking(&path.clone(), move || remove_blocking(&path)).await
}

/// Removes the staging directories that killed processes left beside `path`. The caller holds the lock of `path`.
pub(crate) async fn remove_staging(path: &Path) -> Result<(), FileError> {
    let path = path.to_owned();
    blocking(&path.clone(), move || {
        let (Some(parent), prefix) = (path.parent(), name_with(&path, STAGING_MARK)) else { return Ok(()) };
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
                remove_blocking(&entry.path())?;
            }
        }
        Ok(())
    })
    .await
}

/// Removes a file below `dir`, and the directories that are empty then.
pub(crate) fn remove_with_empty_parents(dir: &Path, path: &[u8]) -> Result<(), FileError> {
    let file = join_bytes(dir, path);
    let Ok(meta) = file.symlink_metadata() else { return Ok(()) };
    let removed = if meta.is_dir() { std::fs::remove_dir_all(&file) } else { std::fs::remove_file(&file) };
    removed.context("remove", &file)?;
    let mut parent = file.parent();
    while let Some(empty) = parent.filter(|parent| *parent != dir) {
        if std::fs::remove_dir(empty).is_err() {
            break;
        }
        parent = empty.parent();
    }
    Ok(())
}

fn remove_blocking(path: &Path) -> Result<(), FileError> {
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let removed = match path.symlink_metadata() {
            Err(error) => Err(error),
            Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
            Ok(_) => std::fs::remove_file(path),
        };
        match removed {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => return Ok(()),
            Err(error) => {
                attempts.next();
                if attempts.is_empty() {
                    return Err(error).context("remove", path);
                }
                grant_access(path);
            }
        }
    }
}

/// Gives the owner access to a directory and all below it. Errors show again when the removal is repeated.
fn grant_access(dir: &Path) {
    if !is_real_dir(dir) {
        return;
    }
    let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        grant_access(&entry.path());
    }
}

//! Takes directories away that an agent worked in: links are not followed, and what it made read-only goes too.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::files::access::{FileError, IoContext, is_real_dir, off_thread, unique};

/// A process of the agent's that is just ending may still write a file or two.
const TRIES: usize = 3;
const MAKING: &str = ".new-";

/// A name beside `path` for something that is being made there.
pub(crate) fn being_made(path: &Path) -> PathBuf {
    path.with_file_name(with(path, &format!("{MAKING}{}", unique())))
}

fn with(path: &Path, ending: &str) -> OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    name
}

/// Removes a directory with all that is in it; nothing there is no error.
pub(crate) async fn remove(path: &Path) -> Result<(), FileError> {
    let path = path.to_owned();
    off_thread(&path.clone(), move || remove_now(&path)).await
}

/// Removes what killed creations left beside `path`; the caller holds its lock.
pub(crate) async fn remove_half_made(path: &Path) -> Result<(), FileError> {
    let path = path.to_owned();
    off_thread(&path.clone(), move || {
        let (Some(parent), prefix) = (path.parent(), with(&path, MAKING)) else { return Ok(()) };
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
                remove_now(&entry.path())?;
            }
        }
        Ok(())
    })
    .await
}

fn remove_now(path: &Path) -> Result<(), FileError> {
    let mut tries = 1..=TRIES;
    loop {
        let gone = match path.symlink_metadata() {
            Err(error) => Err(error),
            Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
            Ok(_) => std::fs::remove_file(path),
        };
        match gone {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => return Ok(()),
            Err(error) => {
                tries.next();
                if tries.is_empty() {
                    return Err(error).context("remove", path);
                }
                permit(path);
            }
        }
    }
}

/// Gives the owner access to a directory and those below it; what refuses is met again by the removal.
fn permit(dir: &Path) {
    if !is_real_dir(dir) {
        return;
    }
    let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        permit(&entry.path());
    }
}

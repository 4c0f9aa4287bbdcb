//! Removes directories that agents have filled.
//!
//! An agent's files may be protected against it: a Go module cache is, so that nobody changes it by mistake. They are this
//! user's all the same, and go.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};

use crate::home::RunHome;

/// Removes the directory with everything in it, on a thread that may wait for the disk. One that is not there is removed.
///
/// # Errors
/// As the file system says; part of it may be gone then.
pub async fn discard(directory: PathBuf) -> io::Result<()> {
    tokio::task::spawn_blocking(move || remove(&directory)).await?
}

/// Removes a run's temporary directory, wherever it lies.
///
/// # Errors
/// As [`discard`].
pub async fn discard_temporary(run: &RunHome) -> io::Result<()> {
    discard(run.temporary()).await?;
    // The link to one that lay elsewhere.
    discard(run.temporary_here()).await
}

/// Removes everything of a run that is not stored any more.
///
/// # Errors
/// As the file system says; part of it may be gone then.
pub async fn discard_run(run: &RunHome) -> io::Result<()> {
    discard_temporary(run).await?;
    discard(run.path().to_owned()).await
}

fn remove(directory: &Path) -> io::Result<()> {
    let removed = match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(directory)?;
            fs::remove_dir_all(directory)
        }
        other => other,
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Gives the owner every right to the directories, so that what is in them can be removed. Never follows a link.
fn open_up(directory: &Path) -> io::Result<()> {
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        let mode = fs::symlink_metadata(&directory)?.permissions().mode();
        if mode & 0o700 != 0o700 {
            fchmodat(AT_FDCWD, &directory, Mode::S_IRWXU, FchmodatFlags::NoFollowSymlink)?;
        }
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn protect(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A cache as `go` makes it: files and directories that nobody may write.
    fn protected(below: &Path) -> PathBuf {
        let cache = below.join("tmp/cache/module/inner");
        fs::create_dir_all(&cache).unwrap();
        fs::write(cache.join("file.go"), "package x").unwrap();
        protect(&cache.join("file.go"), 0o444);
        for directory in [cache.as_path(), cache.parent().unwrap()] {
            protect(directory, 0o555);
        }
        cache
    }

    #[tokio::test]
    async fn protected_directories_go_too_and_one_that_is_not_there_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        protected(dir.path());
        discard(dir.path().join("tmp")).await.unwrap();
        assert!(!dir.path().join("tmp").exists());
        discard(dir.path().join("tmp")).await.unwrap();
    }

    #[test]
    fn rights_are_given_to_directories_and_not_through_links() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = protected(dir.path());
        let outside = elsewhere.path().join("outside");
        fs::create_dir(&outside).unwrap();
        protect(&outside, 0o500);
        std::os::unix::fs::symlink(&outside, dir.path().join("tmp/link")).unwrap();
        open_up(&dir.path().join("tmp")).unwrap();
        assert_eq!((mode(&cache), mode(cache.parent().unwrap())), (0o700, 0o700));
        assert_eq!(mode(&outside), 0o500, "what a link leads to is not touched");
    }
}

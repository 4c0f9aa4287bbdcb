//! Removes directories with files of agents, some of which are write-protected, such as Go's module cache.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};

use crate::home::RunHome;

/// Removes a directory, which may be missing, with everything in it, on a thread that may block. A failure may leave a part
/// of it.
pub async fn discard(directory: PathBuf) -> io::Result<()> {
    tokio::task::spawn_blocking(move || remove(&directory)).await?
}

/// Removes a run's temporary directory, wherever it is.
pub async fn discard_temporary(run: &RunHome) -> io::Result<()> {
    discard(run.temporary()).await?;
    // The link to a directory elsewhere.
    discard(run.temporary_here()).await
}

/// Removes all files of a run that is no longer stored. A failure may leave a part of them.
pub async fn discard_run(run: &RunHome) -> io::Result<()> {
    discard_temporary(run).await?;
    discard(run.path().to_owned()).await
}

fn remove(directory: &Path) -> io::Result<()> {
    let removed = match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(directory)?;
            fs::remove_dir_all(directory)
        }
        other => other,
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes directories writable for their owner, so that their contents can be removed. Never follows a link.
fn make_writable(directory: &Path) -> io::Result<()> {
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

    /// A cache as `go` creates it: read-only files and directories.
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
    async fn discard_removes_protected_and_ignores_missing_directories() {
        let dir = tempfile::tempdir().unwrap();
        protected(dir.path());
        discard(dir.path().join("tmp")).await.unwrap();
        assert!(!dir.path().join("tmp").exists());
        discard(dir.path().join("tmp")).await.unwrap();
    }

    #[test]
    fn permissions_behind_links_stay_unchanged() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = protected(dir.path());
        let outside = elsewhere.path().join("outside");
        fs::create_dir(&outside).unwrap();
        protect(&outside, 0o500);
        std::os::unix::fs::symlink(&outside, dir.path().join("tmp/link")).unwrap();
        make_writable(&dir.path().join("tmp")).unwrap();
        assert_eq!((mode(&cache), mode(cache.parent().unwrap())), (0o700, 0o700));
        assert_eq!(mode(&outside), 0o500, "the target of a link is unchanged");
    }
}

//! Lock files that a killed git left behind. Git never removes them itself, and every later command that needs the lock
//! fails.
//!
//! A lock file does not name its holder. The holder is gone if no git that worked in the repository when the file was seen
//! is still alive: one that started later did not create it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use kugetsu_process::{Worker, working_in};

/// The longest that the living git processes of a repository are waited for.
const WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// A lock file of this age is stale where processes cannot be listed: no command of kugetsu's runs longer.
const OLD: Duration = Duration::from_secs(3 * 60 * 60);
/// Maximum depth of directories searched. Ref names have fewer parts.
const DEPTH_MAX: usize = 32;
/// The parts of a git directory in which git creates no locks that outlive a command.
const NO_LOCKS: [&str; 4] = ["objects", "hooks", "lfs", "scratch"];
/// kugetsu's own lock in a mirror. It is no lock of git's, and exists between uses.
const RESCUE_LOCK: &str = "rescue.lock";
/// A helper that stays in the background for minutes and works on no repository.
const CREDENTIAL_HELPERS: &str = "git-credential-";

#[derive(Clone, Debug, PartialEq, Eq)]
struct LockFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    modified: Option<SystemTime>,
}

/// Removes the stale lock files in a git directory, and returns their paths. Git processes that work in `directory` (the
/// files of the repository, or its git directory) may hold one, so they are waited for.
///
/// Follows no link, so it may be used in an agent's repository. Files that cannot be removed are left out: the git command
/// that needs the lock says why.
pub(crate) async fn clear(git_dir: &Path, directory: &Path) -> Vec<PathBuf> {
    clear_within(git_dir, directory, WAIT).await
}

/// As [`clear`], but leaves all locks alone if a git works there now.
pub(crate) async fn clear_now(git_dir: &Path, directory: &Path) -> Vec<PathBuf> {
    clear_within(git_dir, directory, Duration::ZERO).await
}

async fn clear_within(git_dir: &Path, directory: &Path, wait: Duration) -> Vec<PathBuf> {
    let root = git_dir.to_owned();
    let found = tokio::task::spawn_blocking(move || find(&root)).await.unwrap_or_default();
    if found.is_empty() {
        return Vec::new();
    }
    let Some(suspects) = holders(directory) else {
        let is_old =
            |lock: &LockFile| lock.modified.and_then(|modified| modified.elapsed().ok()).is_some_and(|age| age > OLD);
        return remove(found.into_iter().filter(is_old));
    };
    let since = Instant::now();
    while !suspects.is_empty() {
        let alive = holders(directory).unwrap_or_else(|| suspects.clone());
        if !suspects.iter().any(|suspect| alive.contains(suspect)) {
            break;
        }
        if since.elapsed() >= wait {
            return Vec::new();
        }
        tokio::time::sleep(POLL).await;
    }
    remove(found.into_iter())
}

/// The git processes that work in a directory; `None` if they cannot be listed.
fn holders(directory: &Path) -> Option<Vec<Worker>> {
    let (all, helpers) = (working_in(directory, "git").ok()?, working_in(directory, CREDENTIAL_HELPERS).ok()?);
    Some(all.into_iter().filter(|worker| !helpers.contains(worker)).collect())
}

/// Removes those files that are still the same.
fn remove(locks: impl Iterator<Item = LockFile>) -> Vec<PathBuf> {
    let is_same = |lock: &LockFile| LockFile::at(lock.path.clone()).as_ref() == Some(lock);
    let removed = locks.filter(is_same).filter(|lock| std::fs::remove_file(&lock.path).is_ok());
    let removed: Vec<PathBuf> = removed.map(|lock| lock.path).collect();
    for path in &removed {
        tracing::warn!(path = %path.display(), "a lock whose holder is gone is removed");
    }
    removed
}

impl LockFile {
    /// `None` unless it is a regular file.
    fn at(path: PathBuf) -> Option<Self> {
        let meta = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
        let (device, inode, modified) = (meta.dev(), meta.ino(), meta.modified().ok());
        Some(Self { path, device, inode, modified })
    }
}

fn find(git_dir: &Path) -> Vec<LockFile> {
    let mut found = Vec::new();
    find_in(git_dir, 0, &mut found);
    // Written by `git commit-graph` and `git multi-pack-index`, and by a fetch into a partial clone.
    for part in ["objects/info", "objects/pack"] {
        find_in(&git_dir.join(part), DEPTH_MAX, &mut found);
    }
    found
}

fn find_in(dir: &Path, depth: usize, found: &mut Vec<LockFile>) {
    if !dir.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        return;
    }
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if name.as_encoded_bytes().ends_with(b".lock") && !(depth == 0 && name == RESCUE_LOCK) {
            found.extend(LockFile::at(path));
        } else if depth < DEPTH_MAX && !(depth == 0 && NO_LOCKS.iter().any(|part| name == *part)) {
            find_in(&path, depth + 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn locks_are_removed_when_their_holder_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| Command::new("git").args(args).current_dir(dir.path()).output().unwrap();
        assert!(git(&["init", "--quiet", "--bare"]).status.success());
        let locks = ["index.lock", "refs/kugetsu/head.lock", "packed-refs.lock", "refs/kugetsu/pushed/a/b.lock"];
        let make = || {
            for lock in locks {
                std::fs::create_dir_all(dir.path().join(lock).parent().unwrap()).unwrap();
                std::fs::write(dir.path().join(lock), "").unwrap();
            }
        };
        make();
        std::os::unix::fs::symlink("/", dir.path().join("refs/root")).unwrap();
        // A git that works there, and may hold them.
        let mut holder = Command::new("git")
            .args(["cat-file", "--batch"])
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while holders(dir.path()).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(clear_now(dir.path(), dir.path()).await, Vec::<PathBuf>::new());
        let clearing = tokio::spawn({
            let dir = dir.path().to_owned();
            async move { clear(&dir, &dir).await }
        });
        tokio::task::yield_now().await;
        drop(holder.stdin.take());
        tokio::task::spawn_blocking(move || holder.wait().unwrap()).await.unwrap();
        assert_eq!(clearing.await.unwrap().len(), locks.len());
        make();
        assert_eq!(clear_now(dir.path(), dir.path()).await.len(), locks.len());
        assert_eq!(clear_now(dir.path(), dir.path()).await.len(), 0);
    }
}

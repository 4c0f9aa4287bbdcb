//! By how much the files of a run have grown on the disk.
//!
//! A large worktree has hundreds of thousands of files, so it is not walked often: when the free space of its file system has
//! become so much less that the limit may be near, and at growing intervals, because others may have freed space meanwhile.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;
use tokio::time::sleep;

use super::exceeded::Exceeded;

/// How often the free space is looked at, which takes microseconds.
const TICK: Duration = Duration::from_secs(2);
/// The time until the second walk. Each further one is twice as long.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// A walk may take this part of the time.
const WALK_PART: u32 = 20;
/// Less than this part of the limit is no reason for a walk.
const LEAST_PART: u64 = 16;

/// Waits until the files in these directories have grown by more than `limit` bytes.
pub(crate) async fn exceeded(directories: Vec<PathBuf>, limit: u64) -> Exceeded {
    let free_at_start = free(&directories);
    let mut walk = Walk::take(&directories).await;
    let start = walk.bytes;
    let mut interval = FIRST;
    loop {
        sleep(TICK).await;
        let used = walk.bytes.saturating_sub(start);
        let taken = taken(&walk.free, &free(&directories));
        let may_be_near = taken >= (limit.saturating_sub(used) / 2).max(limit / LEAST_PART);
        let passed = walk.at.elapsed();
        if passed < walk.took * WALK_PART || !(may_be_near || passed >= interval) {
            continue;
        }
        interval = (interval * 2).min(LONGEST);
        walk = Walk::take(&directories).await;
        let used = walk.bytes.saturating_sub(start);
        // Copies of files share their blocks on some file systems, and then take no space.
        let is_shared = || may_share_blocks(&directories) && self::taken(&free_at_start, &walk.free) < limit;
        if used > limit && !is_shared() {
            return Exceeded::Growth { used, limit };
        }
    }
}

/// A measurement.
struct Walk {
    bytes: u64,
    /// Free bytes where each of the directories is.
    free: Vec<u64>,
    took: Duration,
    at: Instant,
}

impl Walk {
    async fn take(directories: &[PathBuf]) -> Self {
        let begin = Instant::now();
        let free = free(directories);
        let walked = directories.to_vec();
        let bytes = tokio::task::spawn_blocking(move || size(&walked)).await;
        Self { bytes: bytes.unwrap_or(0), free, took: begin.elapsed(), at: Instant::now() }
    }
}

/// The space that directories take on the disk, in bytes. A file with several names counts once. What cannot be read does not
/// count, and links are not followed.
fn size(directories: &[PathBuf]) -> u64 {
    let mut waiting: Vec<PathBuf> = directories.to_vec();
    let mut known = HashSet::new();
    let mut bytes = 0;
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else if metadata.nlink() > 1 && !known.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            bytes += metadata.blocks() * 512;
        }
    }
    bytes
}

fn free(directories: &[PathBuf]) -> Vec<u64> {
    directories.iter().map(|directory| free_at(directory)).collect()
}

fn free_at(directory: &Path) -> u64 {
    let Ok(disk) = statvfs(directory) else { return 0 };
    #[allow(clippy::useless_conversion, reason = "these types differ on macOS")]
    u64::from(disk.blocks_free()).saturating_mul(u64::from(disk.fragment_size()))
}

/// By how much the free space has become less where that is most.
fn taken(before: &[u64], now: &[u64]) -> u64 {
    before.iter().zip(now).map(|(before, now)| before.saturating_sub(*now)).max().unwrap_or(0)
}

#[cfg(target_os = "linux")]
fn may_share_blocks(directories: &[PathBuf]) -> bool {
    use nix::sys::statfs::{BTRFS_SUPER_MAGIC, FsType, XFS_SUPER_MAGIC, statfs};
    const ZFS: FsType = FsType(0x2fc1_2fc1);
    const BCACHEFS: FsType = FsType(0xca45_1a4e);
    let sharing = [BTRFS_SUPER_MAGIC, XFS_SUPER_MAGIC, ZFS, BCACHEFS];
    directories
        .iter()
        .filter_map(|directory| statfs(directory).ok())
        .any(|found| sharing.contains(&found.filesystem_type()))
}

#[cfg(not(target_os = "linux"))]
fn may_share_blocks(_: &[PathBuf]) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_file_count_once_and_links_not_at_all() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("big"), vec![1; 4 << 20]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join("file"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(below.join("file"), directory.path().join("again")).unwrap();
        std::os::unix::fs::symlink(outside.path(), directory.path().join("link")).unwrap();
        let sparse = fs::File::create(directory.path().join("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let found = size(&[directory.path().to_owned()]);
        assert!(((1 << 20)..(3 << 19)).contains(&found), "{found}");
        assert_eq!(size(&[directory.path().join("gone")]), 0);
    }

    #[test]
    fn most_of_what_was_taken_counts() {
        assert_eq!(taken(&[100, 50], &[90, 20]), 30);
        assert_eq!(taken(&[100], &[200]), 0);
    }

    #[tokio::test]
    async fn growth_is_noticed_and_what_was_there_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let (path, roots) = (directory.path(), vec![directory.path().to_owned()]);
        fs::write(path.join("before"), vec![1; 8 << 20]).unwrap();
        let mut watching = std::pin::pin!(exceeded(roots, 4 << 20));
        // The first walk and some looks.
        assert!(tokio::time::timeout(TICK * 2, &mut watching).await.is_err());
        fs::write(path.join("more"), vec![1; 5 << 20]).unwrap();
        let found = tokio::time::timeout(Duration::from_secs(60), watching).await.unwrap();
        assert!(matches!(found, Exceeded::Growth { used, limit: 4_194_304 } if used >= 5 << 20), "{found:?}");
    }
}

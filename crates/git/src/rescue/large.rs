//! Files that are too large for git. They are copied beside the rescue, without the holes of sparse files, to
//! `<mirror>/rescue-files/<name>/<number>`.
//!
//! The rescue has a list of them: path, size, modification time, and what changes whenever the content does: the time of the
//! last change of the inode, which programs cannot set, and its number. The directory's name is the hash of that list, so that
//! an unchanged file is copied once.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::files::access::{FileError, IoContext, blocking, create_dir_all, join_bytes};
use crate::files::copying::{Cancel, copy_file, copy_file_until};
use crate::files::removal::{remove_staging, remove_tree, staging_path};
use crate::mirror::repo::Mirror;

const DIRECTORY: &str = "rescue-files";
/// Longest time between two ticks of the clock that file systems use for inodes.
const TICK: Duration = Duration::from_millis(20);

/// Copies files of a worktree. Returns their list, and the files that could not be copied, with the reason.
///
/// Copying ends when the future is dropped.
pub(super) async fn save_large(
    mirror: &Mirror,
    files: &Path,
    paths: &[Vec<u8>],
) -> Result<(Vec<u8>, Vec<(Vec<u8>, FileError)>), FileError> {
    let (mut list, mut unsaved, mut copied) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let file = join_bytes(files, path);
        match file.symlink_metadata().context("read", &file) {
            Ok(meta) => {
                // A change in the same tick would have the same time.
                if SystemTime::now().duration_since(changed_at(&meta)).is_ok_and(|age| age < TICK) {
                    tokio::time::sleep(TICK).await;
                }
                let modified = format!("{}.{}", meta.mtime(), meta.mtime_nsec());
                let changed = format!("{}.{}", meta.ctime(), meta.ctime_nsec());
                let entry = format!("{} {modified}:{changed}:{} ", meta.len(), meta.ino());
                list.extend_from_slice(entry.as_bytes());
                list.extend_from_slice(path);
                list.push(0);
                copied.push((path.clone(), file));
            }
            Err(error) => unsaved.push((path.clone(), error)),
        }
    }
    if list.is_empty() {
        return Ok((list, unsaved));
    }
    let target = directory(mirror, &list);
    if target.symlink_metadata().is_ok() {
        return Ok((list, unsaved));
    }
    create_dir_all(target.parent().unwrap_or(&target))?;
    remove_staging(&target).await?;
    let new = staging_path(&target);
    create_dir_all(&new)?;
    let cancel = Cancel::default();
    let watched = cancel.watched();
    let staging = new.clone();
    let results = blocking(&new, move || {
        let copy = |(number, (path, file)): (usize, (Vec<u8>, PathBuf))| {
            copy_file_until(&file, &staging.join(number.to_string()), &watched).map_err(|error| (path, error))
        };
        Ok(copied.into_iter().enumerate().map(copy).collect::<Vec<_>>())
    })
    .await?;
    drop(cancel);
    let failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    if failed.is_empty() {
        std::fs::rename(&new, &target).context("create", &target)?;
    } else {
        // All or nothing: a directory that exists is complete.
        remove_tree(&new).await?;
    }
    unsaved.extend(failed);
    Ok((list, unsaved))
}

fn changed_at(meta: &Metadata) -> SystemTime {
    let seconds = Duration::from_secs(meta.ctime().max(0).unsigned_abs());
    SystemTime::UNIX_EPOCH + seconds + Duration::from_nanos(meta.ctime_nsec().max(0).unsigned_abs())
}

/// Copies the files of a list into a restored worktree. Returns the paths of those that are missing.
pub(super) async fn restore_large(mirror: &Mirror, list: &[u8], to: &Path) -> Result<Vec<Vec<u8>>, FileError> {
    let (from, to, list) = (directory(mirror, list), to.to_owned(), list.to_vec());
    blocking(&to.clone(), move || {
        let mut missing = Vec::new();
        for (number, path) in paths(&list).enumerate() {
            let (source, target) = (from.join(number.to_string()), join_bytes(&to, path));
            if source.symlink_metadata().is_err() {
                missing.push(path.to_vec());
                continue;
            }
            create_dir_all(target.parent().unwrap_or(&to))?;
            match std::fs::remove_file(&target) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).context("replace", &target);
                }
                _ => copy_file(&source, &target)?,
            }
        }
        Ok(missing)
    })
    .await
}

fn paths(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == 0).filter_map(|entry| {
        let mut fields = entry.splitn(3, |byte| *byte == b' ');
        fields.nth(2)
    })
}

/// The directory of the files of a list.
pub(super) fn directory(mirror: &Mirror, list: &[u8]) -> PathBuf {
    let hash: String = Sha256::digest(list).iter().map(|byte| format!("{byte:02x}")).collect();
    mirror.dir().join(DIRECTORY).join(hash)
}

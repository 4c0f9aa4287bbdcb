//! Sizes of files and directories on the disk, and the last measurement of the home: `state/sizes.json` holds it with the time of
//! the last daily gc, so that a daemon that is restarted walks through the home only if it is time.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_api::atomic_file::write_atomic;
use kugetsu_api::gc::StorageObject;
use kugetsu_api::home::Home;
use kugetsu_api::regular_file;
use serde::{Deserialize, Serialize};

/// The space that a file or directory takes on the disk, in bytes. What cannot be read is not counted; links are not followed.
pub(crate) fn size(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let mut bytes = blocks(&metadata);
    let mut waiting = if metadata.is_dir() { vec![path.to_owned()] } else { vec![] };
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += blocks(&metadata);
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    bytes
}

/// In blocks of 512 bytes, whatever the file system has.
fn blocks(metadata: &Metadata) -> u64 {
    metadata.blocks() * 512
}

/// When the entry at a path was created, moved or changed; now if that cannot be found out.
pub(crate) fn moved(path: &Path) -> Timestamp {
    let changed = fs::symlink_metadata(path).ok().and_then(|metadata| Timestamp::from_second(metadata.ctime()).ok());
    changed.unwrap_or_else(Timestamp::now)
}

/// When a file or directory was modified; now if that cannot be found out, and `None` if nothing is at the path.
pub(crate) fn modified_if_there(path: &Path) -> Option<Timestamp> {
    match fs::symlink_metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(time) => Some(Timestamp::try_from(time).unwrap_or(Timestamp::MAX)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(Timestamp::now()),
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sizes {
    pub(crate) storage: Option<StorageObject>,
    /// How long the measurement took.
    pub(crate) took: Duration,
    /// When the daily gc ran last; RFC 3339.
    pub(crate) collected_at: Option<String>,
}

/// Returns what was stored. A missing or damaged file is empty: the home is measured again.
pub(crate) fn read(home: &Home) -> Sizes {
    let text = regular_file::read(&home.sizes()).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

pub(crate) fn write(home: &Home, sizes: &Sizes) -> io::Result<()> {
    write_atomic(&home.sizes(), &serde_json::to_vec(sizes)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_missing_file_has_no_time_and_one_that_cannot_be_read_was_just_changed() {
        let directory = tempfile::tempdir().unwrap();
        let before = Timestamp::now();
        assert_eq!(modified_if_there(&directory.path().join("gone")), None);
        // Also root cannot follow it.
        let endless = directory.path().join("endless");
        symlink("endless", &endless).unwrap();
        assert!(modified_if_there(&endless.join("HEAD")) >= Some(before));
    }
}

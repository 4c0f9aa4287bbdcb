//! Sizes of files and directories on the disk, and the last measurement of the home: `state/sizes.json` holds it with the time of
//! the last daily gc, so that a daemon that is restarted walks through the home only if it is time.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use kugetsu_api::gc::StorageObject;
use kugetsu_api::home::Home;
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

/// The time of the last change of a file, or of the entries of a directory. One that cannot be read was just changed.
pub(crate) fn modified(path: &Path) -> Timestamp {
    let time =
        fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).unwrap_or_else(|_| SystemTime::now());
    Timestamp::try_from(time).unwrap_or(Timestamp::MAX)
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sizes {
    pub(crate) storage: Option<StorageObject>,
    /// How long the measurement took.
    pub(crate) took: Duration,
    /// When the daily gc ran last; RFC 3339.
    pub(crate) collected_at: Option<String>,
}

fn path(home: &Home) -> PathBuf {
    home.database().with_file_name("sizes.json")
}

/// Returns what was stored. A missing or damaged file is empty: the home is measured again.
pub(crate) fn read(home: &Home) -> Sizes {
    let text = fs::read(path(home)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

pub(crate) fn write(home: &Home, sizes: &Sizes) -> io::Result<()> {
    let path = path(home);
    let new = path.with_extension("json.new");
    fs::write(&new, serde_json::to_vec(sizes)?)?;
    fs::rename(new, path)
}

//! Copies of git's index file.

use std::path::Path;

use crate::files::access::{
    FileError, is_dir_there, read_dir_if_there, read_if_there, read_with_time, write_atomic, write_atomic_with_time,
};

/// Maximum size in bytes. An index of millions of files is smaller.
const INDEX_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Copies an index with its modification time; `false` if there is no index, or if the directory it is in is a link, which may lead
/// to the index of another repository.
///
/// The time matters. Git takes a file for unchanged if it has the size and the times that the index has recorded, in whole
/// seconds. A file that is as new as the index is the exception: its content is compared, because it can have changed within
/// the second in which the index was written. A copy with a later time would end that exception, and a change of the same
/// size and second would be overlooked.
pub(crate) fn copy_index(from: &Path, to: &Path) -> Result<bool, FileError> {
    let is_own = match from.parent() {
        Some(parent) => is_dir_there(parent)?,
        None => false,
    };
    if !is_own {
        return Ok(false);
    }
    let Some((bytes, modified)) = read_with_time(from, INDEX_MAX)? else { return Ok(false) };
    copy_shared_indexes(from, to)?;
    write_atomic_with_time(to, &bytes, Some(modified)).map(|()| true)
}

/// Copies the files beside a split index that hold most of its entries.
fn copy_shared_indexes(index: &Path, to: &Path) -> Result<(), FileError> {
    let Some(dir) = index.parent() else { return Ok(()) };
    for file in read_dir_if_there(dir)?.unwrap_or_default() {
        let Some(name) = file.file_name().filter(|name| name.as_encoded_bytes().starts_with(b"sharedindex.")) else {
            continue;
        };
        let target = to.with_file_name(name);
        if target == file {
            continue;
        }
        if let Some(bytes) = read_if_there(&file, INDEX_MAX)? {
            write_atomic(&target, &bytes)?;
        }
    }
    Ok(())
}

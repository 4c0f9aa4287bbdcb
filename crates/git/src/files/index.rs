//! Copies of git's index file.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use crate::files::access::{FileError, IoContext, is_real_dir, unique_suffix, write_new};

/// Maximum size in bytes. An index of millions of files is smaller.
const INDEX_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Copies an index with its modification time; `false` if it cannot be read, or if the directory it is in is a link, which
/// may lead to the index of another repository.
///
/// The time matters. Git takes a file for unchanged if it has the size and the times that the index has recorded, in whole
/// seconds. A file that is as new as the index is the exception: its content is compared, because it can have changed within
/// the second in which the index was written. A copy with a later time would end that exception, and a change of the same
/// size and second would be overlooked.
pub(crate) fn copy_index(from: &Path, to: &Path) -> Result<bool, FileError> {
    let Some((bytes, modified)) = read_index(from) else { return Ok(false) };
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", unique_suffix()));
    let temporary = to.with_file_name(name);
    write_new(&temporary, &bytes)?;
    let opened = OpenOptions::new().write(true).open(&temporary);
    opened.and_then(|file: File| file.set_modified(modified)).context("set the time of", &temporary)?;
    std::fs::rename(&temporary, to).context("replace", to)?;
    Ok(true)
}

fn read_index(path: &Path) -> Option<(Vec<u8>, SystemTime)> {
    if !is_real_dir(path.parent()?) {
        return None;
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > INDEX_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(INDEX_MAX).read_to_end(&mut bytes).ok()?;
    Some((bytes, meta.modified().ok()?))
}

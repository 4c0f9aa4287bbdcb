//! Copies of the database.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::Connection;

use super::file_identity::FileIdentity;
use crate::error::StoreError;

/// Writes a copy of the database to `path`, which must not exist: as of now, in one file, readable by its owner only, and on
/// the disk when this returns. A failure leaves nothing.
pub(super) fn copy_to(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull => StoreError::DiskFull,
        _ => StoreError::Database(format!("could not write {}: {error}", path.display())),
    };
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".part-{}", std::process::id()));
    let part = Path::new(&part);
    // SQLite writes into an empty file, but creates one that others can read.
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(part).map_err(failed)?;
    let copied = connection
        .execute("VACUUM INTO ?", [part.to_string_lossy()])
        .map_err(StoreError::from)
        .and_then(|_| File::open(part).and_then(|copy| copy.sync_all()).map_err(failed))
        // Unlike `rename`, this never replaces a file.
        .and_then(|()| fs::hard_link(part, path).or_else(|_| rename_new(part, path)).map_err(failed))
        .and_then(|()| path.parent().map_or(Ok(()), sync_directory).map_err(failed));
    let _ = fs::remove_file(part);
    copied
}

/// Saves what the open file holds if it is no longer the one at its path, once. Returns whether it was saved now.
pub(super) fn save_lost(connection: &Connection, file: &FileIdentity) -> bool {
    // One that was overwritten holds nothing of use.
    if file.check().is_ok() {
        return false;
    }
    let Some(copy) = file.start_saving(Timestamp::now().as_millisecond()) else { return false };
    match copy_to(connection, &copy) {
        Ok(()) => tracing::error!(copy = %copy.display(), "the database file was lost; its contents were saved"),
        Err(error) => tracing::error!(%error, "the database file was lost, and its contents could not be saved"),
    }
    true
}

/// For file systems without hard links.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match to.symlink_metadata() {
        Ok(_) => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
        Err(error) => Err(error),
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory)?.sync_all()
}

//! What SQLite's errors mean.

use crate::error::StoreError;

/// <https://www.sqlite.org/rescode.html>: attempt to write a read-only database.
pub(crate) const SQLITE_READONLY: u32 = 8;
/// Some kind of disk I/O error.
pub(crate) const SQLITE_IOERR: u32 = 10;
/// The disk is full.
pub(crate) const SQLITE_FULL: u32 = 13;
/// Unable to open the file.
pub(crate) const SQLITE_CANTOPEN: u32 = 14;

/// SQLite's primary result code, where the error has one.
pub(crate) fn code(error: &sqlx::Error) -> Option<u32> {
    let extended: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// The error for a caller of the store.
pub(crate) fn explain(error: &sqlx::Error) -> StoreError {
    match code(error) {
        Some(SQLITE_FULL) => StoreError::DiskFull,
        _ => StoreError::Database(error.to_string()),
    }
}

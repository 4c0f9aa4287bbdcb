//! SQLite's errors as errors of the store.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::{OpenError, StoreError};

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        if matches!(error, rusqlite::Error::ToSqlConversionFailure(_)) {
            return Self::Unstorable(error.to_string());
        }
        match error.sqlite_error_code() {
            _ if is_full(&error) => Self::DiskFull,
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
                Self::Unstorable(error.to_string())
            }
            _ => Self::Database(error.to_string()),
        }
    }
}

/// Whether the disk is full. The index of the log in shared memory has a separate error.
fn is_full(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// A failure to open a database for writing.
pub(super) fn unwritable(path: &Path, error: &rusqlite::Error) -> OpenError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        _ if is_full(error) => OpenError::DiskFull { path },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure) => {
            OpenError::Unwritable { path, reason }
        }
        _ => OpenError::Invalid { path, reason },
    }
}

/// A failure to open a database read-only.
pub(super) fn unreadable(path: &Path, error: &rusqlite::Error) -> OpenError {
    match unwritable(path, error) {
        OpenError::Unwritable { path, reason } => OpenError::Unreadable { path, reason },
        other => other,
    }
}

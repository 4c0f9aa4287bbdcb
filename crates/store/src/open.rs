//! Opens the store.

use std::path::Path;

use tokio::sync::oneshot;

use crate::error::OpenError;
use crate::sqlite;
use crate::store::Store;

/// An open store.
#[derive(Debug)]
pub struct Opened {
    pub store: Store,
    /// Resolves, with everything committed, once every clone of `store` is dropped; to an error if the writer has panicked.
    pub closed: oneshot::Receiver<()>,
}

/// Opens the SQLite database at `path`. Creates and migrates it where needed.
pub fn open(path: &Path) -> Result<Opened, OpenError> {
    let (driver, closed) = sqlite::open(path)?;
    Ok(Opened { store: Store::new(driver), closed })
}

/// Opens the database at `path` without writing to it, also while a daemon uses it. Writes fail with
/// [`StoreError::Closed`](crate::error::StoreError::Closed).
pub fn open_read_only(path: &Path) -> Result<Store, OpenError> {
    Ok(Store::new(sqlite::open_read_only(path)?))
}

/// As [`open_read_only`], for a database that no process uses. Leaves no file beside one without a log.
pub fn open_unused(path: &Path) -> Result<Store, OpenError> {
    Ok(Store::new(sqlite::open_unused(path)?))
}

//! Opens the database.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::task::JoinHandle;

use crate::error::OpenError;
use crate::sqlite::schema;
use crate::sqlite::writer::Writer;
use crate::store::Store;

/// Connections for reading. Two suffice because a read takes well under a millisecond.
const READERS: u32 = 2;

/// An open store.
#[derive(Debug)]
pub struct Opened {
    pub store: Store,
    /// Finishes, with everything committed, once every clone of `store` is dropped.
    pub writer: JoinHandle<()>,
}

/// Opens the SQLite database at `path`. Creates and migrates it where needed.
pub async fn open(path: &Path) -> Result<Opened, OpenError> {
    make_private(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A task that `start` has confirmed survives a power cut. Group commit makes that cheap.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // Logging a statement costs more than executing many of them.
        .disable_statement_logging()
        // Only the daemon writes, but the user may have the file open in a shell.
        .busy_timeout(Duration::from_secs(2));
    let mut connection =
        SqliteConnection::connect_with(&options).await.map_err(|error| schema::explain(path, &error))?;
    schema::migrate(path, &mut connection).await?;
    let reads = SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(0)
        // No reaping by age or idleness: an idle daemon must not wake up.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(options.read_only(true).create_if_missing(false));
    let (store, requests) = Store::new(reads);
    let writer = Writer::new(connection, store.live_events())
        .await
        .map_err(|error| OpenError::Invalid { path: path.to_owned(), reason: error.to_string() })?;
    Ok(Opened { store, writer: tokio::spawn(writer.run(requests)) })
}

/// Opens the database at `path` without writing to it, also while a daemon uses it. Writes fail with
/// [`StoreError::Closed`](crate::error::StoreError::Closed).
pub async fn open_read_only(path: &Path) -> Result<Store, OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .disable_statement_logging()
        .busy_timeout(Duration::from_secs(2));
    let mut connection =
        SqliteConnection::connect_with(&options).await.map_err(|error| schema::unreadable(path, &error))?;
    schema::compare(path, &mut connection).await?;
    // Nothing was written, so a failure to close has no consequences.
    let _ = connection.close().await;
    let reads = SqlitePoolOptions::new().max_connections(1).min_connections(0).connect_lazy_with(options);
    let (store, _) = Store::new(reads);
    Ok(store)
}

/// Creates the file with access for its owner only. SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::Unwritable { path: path.to_owned(), reason: error.to_string() }),
    }
}

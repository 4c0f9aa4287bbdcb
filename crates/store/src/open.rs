//! Opens the store that a setting names.

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

/// Connections that read. They are few because a read takes well under a millisecond.
const READERS: u32 = 2;

/// An open store, and the task that writes for it.
#[derive(Debug)]
pub struct Opened {
    /// The handle.
    pub store: Store,
    /// Ends, with everything committed, once every clone of the handle is dropped.
    pub writer: JoinHandle<()>,
}

/// Opens the SQLite database in `path`, making it and bringing its schema up to date.
///
/// # Errors
/// [`OpenError`]: it is from a newer version, is not a database of ours, or cannot be written.
pub async fn open(path: &Path) -> Result<Opened, OpenError> {
    make_private(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Full: a task that `start` has confirmed survives a power cut. Group commit makes that cheap.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // Statements are ours and always the same; writing each down would cost more than many of them.
        .disable_statement_logging()
        // Only the daemon writes; a person with a shell on the file may for a moment.
        .busy_timeout(Duration::from_secs(2));
    let mut connection =
        SqliteConnection::connect_with(&options).await.map_err(|error| schema::explain(path, &error))?;
    schema::migrate(path, &mut connection).await?;
    let reads = SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(0)
        // An idle pool must not wake up: no reaping by age or idleness.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(options.read_only(true).create_if_missing(false));
    let (store, requests) = Store::new(reads);
    let writer = Writer::new(connection, store.live_events())
        .await
        .map_err(|error| OpenError::Unreadable { path: path.to_owned(), why: error.to_string() })?;
    Ok(Opened { store, writer: tokio::spawn(writer.run(requests)) })
}

/// Opens the database in `path` to look at it: nothing is made, brought up to date or written, and a daemon that works
/// with it meanwhile is not disturbed. What is asked to be written is refused as by a store that was closed.
///
/// # Errors
/// [`OpenError`]: it is not there, of another version, not a database of ours, or cannot be read.
pub async fn look(path: &Path) -> Result<Store, OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .disable_statement_logging()
        .busy_timeout(Duration::from_secs(2));
    let mut connection =
        SqliteConnection::connect_with(&options).await.map_err(|error| schema::unreadable(path, &error))?;
    schema::compare(path, &mut connection).await?;
    // It would only say that it could not be closed in order; nothing was written.
    let _ = connection.close().await;
    let reads = SqlitePoolOptions::new().max_connections(1).min_connections(0).connect_lazy_with(options);
    let (store, _) = Store::new(reads);
    Ok(store)
}

/// The file is its owner's only, from its first moment; SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::NotWritable { path: path.to_owned(), why: error.to_string() }),
    }
}

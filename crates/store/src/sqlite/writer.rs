//! The thread that writes: takes the writes that wait, commits them together, answers.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::backup::save_lost;
use super::clean::{clean, has_much_free};
use super::connection::BUSY_TIMEOUT;
use super::file_identity::FileIdentity;
use super::load::{Memory, load};
use super::save::save;
use crate::effect::Commits;
use crate::error::StoreError;
use crate::transaction::{Plan, apply};
use crate::view::StoredEvent;
use crate::write::{Answer, Cleaned, Write};

/// Most writes in one commit: enough to make the wait for the disk small, few enough to keep each caller's wait short.
const BATCH: usize = 64;
/// How often the thread yields to callers that are about to write. Waiting for a time instead was tried: it took the
/// processor from those callers, and halved the throughput.
const PATIENCE: usize = 64;

/// Length of the log from which on it is merged into the database, in bytes. SQLite itself does that at 4 MiB, but not while
/// something reads, and it never shortens the file.
const LOG_MAX: u64 = 16 * 1024 * 1024;

pub(super) type Change = dyn FnOnce(&Connection) -> Result<(), StoreError> + Send;

pub(super) enum Request {
    Write(Write, oneshot::Sender<Result<Answer, StoreError>>),
    /// See [`Store::clean`](crate::store::Store::clean).
    Clean(Timestamp, oneshot::Sender<Result<Cleaned, StoreError>>),
    /// A change that is not one of an issue.
    Change(Box<Change>, oneshot::Sender<Result<(), StoreError>>),
    /// See [`Store::close`](crate::store::Store::close).
    Close(oneshot::Sender<Result<(), StoreError>>),
}

pub(super) struct Writer {
    connection: Connection,
    file: Arc<FileIdentity>,
    /// Length of the log at which it is merged into the database, in bytes.
    merge_at: u64,
    memory: Memory,
    events: broadcast::Sender<Arc<StoredEvent>>,
    commits: Commits,
}

impl Writer {
    pub(super) fn new(
        path: &Path,
        connection: Connection,
        events: broadcast::Sender<Arc<StoredEvent>>,
        commits: Commits,
    ) -> Result<Self, StoreError> {
        let memory = Memory::new(&connection)?;
        let file = FileIdentity::of(path).map_err(|error| StoreError::Database(error.to_string()))?;
        Ok(Self { connection, file: Arc::new(file), merge_at: LOG_MAX, memory, events, commits })
    }

    /// The files that are compared before each write.
    pub(super) fn file(&self) -> Arc<FileIdentity> {
        Arc::clone(&self.file)
    }

    /// Starts the thread. It ends when every sender of requests is dropped, and then closes the file once the readers have
    /// ended: the last connection merges the log into the database.
    pub(super) fn start(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        readers: Vec<JoinHandle<()>>,
    ) -> oneshot::Receiver<()> {
        let (closed, is_closed) = oneshot::channel();
        thread::spawn(move || {
            self.run(&mut requests);
            for reader in readers {
                // It panicked; what it read has no consequences here.
                let _ = reader.join();
            }
            self.close();
            // The daemon may have stopped waiting.
            let _ = closed.send(());
        });
        is_closed
    }

    fn run(&mut self, requests: &mut mpsc::Receiver<Request>) {
        let mut usual = 1;
        let mut is_closing = false;
        while !is_closing && let Some(first) = requests.blocking_recv() {
            let batch = gather(first, requests, usual);
            usual = batch.len();
            let (mut writes, mut replies, mut cleans, mut others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for request in batch {
                match request {
                    Request::Write(write, reply) => {
                        writes.push(write);
                        replies.push(reply);
                    }
                    Request::Clean(before, reply) => cleans.push((before, reply)),
                    Request::Change(change, reply) => others.push((change, reply)),
                    Request::Close(reply) => {
                        is_closing = true;
                        // Senders fail from now on; what they have sent is stored first.
                        requests.close();
                        let _ = reply.send(Ok(()));
                    }
                }
            }
            // The caller may have gone away; its write is stored all the same.
            let answers = match self.check_file() {
                Ok(()) => self.commit_together(&writes),
                Err(error) => writes.iter().map(|_| Err(error.clone())).collect(),
            };
            for (reply, answer) in replies.into_iter().zip(answers) {
                let _ = reply.send(answer);
            }
            for (before, reply) in cleans {
                let _ = reply.send(self.clean(before));
            }
            for (change, reply) in others {
                let changed = self.check_file().and_then(|()| transaction(&self.connection, change));
                self.file.written();
                // It may have changed a repository.
                self.memory.repos.clear();
                let _ = reply.send(changed);
            }
            if self.file.log_length() >= self.merge_at {
                self.merge_log();
            }
        }
    }

    /// Merges the log into the database file and empties it, so that the file alone holds everything. Does not wait: while
    /// something reads an older state, it is tried again when the log has doubled.
    fn merge_log(&mut self) {
        let merged = self.connection.busy_timeout(Duration::ZERO).and_then(|()| merge(&self.connection));
        let restored = self.connection.busy_timeout(BUSY_TIMEOUT);
        self.file.written();
        self.merge_at = match merged.and_then(|merged| restored.map(|()| merged)) {
            Ok(true) => LOG_MAX,
            Ok(false) => self.file.log_length().saturating_mul(2).max(LOG_MAX),
            Err(error) => {
                tracing::warn!(%error, "the log of the database could not be merged into it");
                self.file.log_length().saturating_mul(2).max(LOG_MAX)
            }
        };
    }

    /// Merges the log and closes the file, unless it is no longer the one at its path: SQLite would then remove the log of
    /// the new file.
    fn close(self) {
        if let Err(error) = self.file.check_contents() {
            tracing::error!(%error, "the database is left unchanged");
            std::mem::forget(self.connection);
            return;
        }
        match merge(&self.connection) {
            Ok(true) => {}
            Ok(false) => tracing::warn!("another program reads the database; its log is merged at the next start"),
            Err(error) => tracing::warn!(%error, "the log of the database could not be merged into it"),
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the database was not closed cleanly; its log is read again at the next start");
        }
    }

    /// Checks that a write will reach the file at the database's path. If that was deleted or replaced, saves what the open
    /// one holds.
    fn check_file(&self) -> Result<(), StoreError> {
        match self.file.check_contents() {
            // The message names the copy.
            Err(StoreError::Lost { .. }) if save_lost(&self.connection, &self.file) => self.file.check_contents(),
            checked => checked,
        }
    }

    /// Commits all writes at once. If the database refuses that, commits each by itself: one that does not fit on the disk
    /// must not take the others with it.
    fn commit_together(&mut self, writes: &[Write]) -> Vec<Result<Answer, StoreError>> {
        match self.commit(writes) {
            Ok(answers) => answers,
            Err(error) if writes.len() == 1 => vec![Err(error)],
            Err(error) => {
                tracing::debug!(%error, "a batch was refused; committing its writes one by one");
                let alone = |write| self.commit(std::slice::from_ref(write)).and_then(|mut answers| answers.remove(0));
                writes.iter().map(alone).collect()
            }
        }
    }

    /// Applies the writes in one transaction.
    ///
    /// # Errors
    /// The database refused it as a whole; nothing was stored. Why a single write was refused is in its answer.
    fn commit(&mut self, writes: &[Write]) -> Result<Vec<Result<Answer, StoreError>>, StoreError> {
        let loaded = load(&self.connection, &mut self.memory, Plan::of(writes))?;
        let (answers, changes) = apply(loaded, writes);
        if changes.is_empty() {
            return Ok(answers);
        }
        let repos = transaction(&self.connection, |connection| save(connection, &self.memory, &changes))?;
        self.file.written();
        self.memory.repos.extend(repos);
        self.memory.numbers = changes.numbers;
        for event in changes.events {
            // Without listeners, the event is in the log all the same.
            let _ = self.events.send(Arc::new(event));
        }
        self.commits.notify(changes.wakes);
        Ok(answers)
    }

    fn clean(&mut self, before: Timestamp) -> Result<Cleaned, StoreError> {
        self.check_file()?;
        let cleaned = transaction(&self.connection, |connection| clean(connection, before))?;
        self.file.written();
        self.shrink();
        Ok(cleaned)
    }

    /// Rewrites the file if much of it is free. It stays unchanged if that fails, for example on a full disk.
    fn shrink(&mut self) {
        let shrunk = has_much_free(&self.connection).and_then(|has_much| match has_much {
            true => self.connection.execute_batch("VACUUM").map(|()| true),
            false => Ok(false),
        });
        match shrunk {
            Ok(false) => {}
            Ok(true) => self.merge_log(),
            Err(error) => tracing::warn!(%error, "the database could not be made smaller"),
        }
        self.file.written();
    }
}

/// Merges the log into the database file and empties it. Returns false if something still reads an older state.
fn merge(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).map(|busy| busy == 0)
}

/// Executes statements in a transaction of their own.
fn transaction<T>(
    connection: &Connection,
    statements: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let done =
        statements(connection).and_then(|done| Ok(connection.prepare_cached("COMMIT")?.execute([]).map(|_| done)?));
    // SQLite rolls back by itself when the disk is full.
    if done.is_err()
        && !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "could not roll back a transaction");
    }
    done
}

/// Collects a batch. Callers that were answered together come back together, but not at the very same moment: the writer
/// yields until there are as many as the last time, so that they share one commit. A single caller waits for no other.
fn gather(first: Request, requests: &mut mpsc::Receiver<Request>, usual: usize) -> Vec<Request> {
    let mut batch = vec![first];
    for _ in 0..PATIENCE {
        while batch.len() < BATCH {
            match requests.try_recv() {
                Ok(request) => batch.push(request),
                Err(_) => break,
            }
        }
        if batch.len() >= usual.min(BATCH) {
            break;
        }
        thread::yield_now();
    }
    batch
}

//! The thread that writes: takes the writes that wait, commits them together, answers.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::clean::clean;
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

pub(super) enum Request {
    Write(Write, oneshot::Sender<Result<Answer, StoreError>>),
    /// See [`Store::clean`](crate::store::Store::clean).
    Clean(Timestamp, oneshot::Sender<Result<Cleaned, StoreError>>),
}

pub(super) struct Writer {
    connection: Connection,
    memory: Memory,
    events: broadcast::Sender<Arc<StoredEvent>>,
    commits: Commits,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        events: broadcast::Sender<Arc<StoredEvent>>,
        commits: Commits,
    ) -> Result<Self, StoreError> {
        let memory = Memory::new(&connection)?;
        Ok(Self { connection, memory, events, commits })
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
            if let Err((_, error)) = self.connection.close() {
                tracing::warn!(%error, "the database was not closed cleanly; its log is read again at the next start");
            }
            // The daemon may have stopped waiting.
            let _ = closed.send(());
        });
        is_closed
    }

    fn run(&mut self, requests: &mut mpsc::Receiver<Request>) {
        let mut usual = 1;
        while let Some(first) = requests.blocking_recv() {
            let batch = gather(first, requests, usual);
            usual = batch.len();
            let (mut writes, mut replies, mut cleans) = (Vec::new(), Vec::new(), Vec::new());
            for request in batch {
                match request {
                    Request::Write(write, reply) => {
                        writes.push(write);
                        replies.push(reply);
                    }
                    Request::Clean(before, reply) => cleans.push((before, reply)),
                }
            }
            // The caller may have gone away; its write is stored all the same.
            for (reply, answer) in replies.into_iter().zip(self.commit_together(&writes)) {
                let _ = reply.send(answer);
            }
            for (before, reply) in cleans {
                let _ = reply.send(self.clean(before));
            }
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
        self.memory.repos.extend(repos);
        self.memory.numbers = changes.numbers;
        for event in changes.events {
            // Without listeners, the event is in the log all the same.
            let _ = self.events.send(Arc::new(event));
        }
        self.commits.notify(changes.wakes);
        Ok(answers)
    }

    fn clean(&self, before: Timestamp) -> Result<Cleaned, StoreError> {
        transaction(&self.connection, |connection| clean(connection, before))
    }
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

//! The threads that read.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::backup::save_lost;
use super::file_identity::FileIdentity;
use crate::driver::Reply;
use crate::error::StoreError;

type Query = Box<dyn FnOnce(&Connection) + Send>;

/// Sends queries to the threads, which end when it is closed or dropped.
#[derive(Debug)]
pub(super) struct Readers {
    /// None once it is closed.
    queries: Mutex<Option<mpsc::Sender<Query>>>,
    /// Checked before each query. None for a database that is only read, which another program may replace.
    file: Option<Arc<FileIdentity>>,
}

impl Readers {
    /// Starts `count` threads with a connection each.
    pub(super) fn start(
        path: &Path,
        connect: fn(&Path) -> rusqlite::Result<Connection>,
        count: usize,
    ) -> rusqlite::Result<(Self, Vec<JoinHandle<()>>)> {
        let (sender, queries) = mpsc::channel();
        let queries = Arc::new(Mutex::new(queries));
        let mut threads = Vec::new();
        for _ in 0..count {
            let connection = connect(path)?;
            let queries = Arc::clone(&queries);
            threads.push(thread::spawn(move || read(&connection, &queries)));
        }
        Ok((Self { queries: Mutex::new(Some(sender)), file: None }, threads))
    }

    #[must_use]
    pub(super) fn checking(self, file: Arc<FileIdentity>) -> Self {
        Self { file: Some(file), ..self }
    }

    /// Lets the threads end after the queries that were sent.
    pub(super) fn close(&self) {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Reply<'static, T> {
        let (reply, answer) = oneshot::channel();
        let file = self.file.clone();
        let query = Box::new(move |connection: &Connection| {
            let checked = file.map_or(Ok(()), |file| match file.check() {
                Err(StoreError::Lost { .. }) if save_lost(connection, &file) => file.check(),
                checked => checked,
            });
            // A caller that has gone needs no answer.
            drop(reply.send(checked.and_then(|()| query(connection))));
        });
        if let Some(queries) = self.queries.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            // A failure drops the sender of the answer.
            let _ = queries.send(query);
        }
        Box::pin(async move { answer.await.map_err(|_| StoreError::Closed)? })
    }
}

/// Answers queries until the sender is dropped.
fn read(connection: &Connection, queries: &Mutex<mpsc::Receiver<Query>>) {
    loop {
        // One thread waits for the next query, and the others for the lock.
        let next = queries.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(query) => query(connection),
            Err(mpsc::RecvError) => return,
        }
    }
}

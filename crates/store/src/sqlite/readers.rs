//! The threads that read.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::connection;
use crate::driver::Reply;
use crate::error::StoreError;

type Query = Box<dyn FnOnce(&Connection) + Send>;

/// Sends queries to the threads, which end when it is dropped.
#[derive(Debug)]
pub(super) struct Readers(mpsc::Sender<Query>);

impl Readers {
    /// Starts `count` threads with a connection each.
    pub(super) fn start(path: &Path, count: usize) -> rusqlite::Result<(Self, Vec<JoinHandle<()>>)> {
        let (sender, queries) = mpsc::channel();
        let queries = Arc::new(Mutex::new(queries));
        let mut threads = Vec::new();
        for _ in 0..count {
            let connection = connection::read_only(path)?;
            let queries = Arc::clone(&queries);
            threads.push(thread::spawn(move || read(&connection, &queries)));
        }
        Ok((Self(sender), threads))
    }

    pub(super) fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Reply<'static, T> {
        let (reply, answer) = oneshot::channel();
        // A failure drops the sender of the answer. A caller that has gone needs no answer.
        let _ = self.0.send(Box::new(move |connection| drop(reply.send(query(connection)))));
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

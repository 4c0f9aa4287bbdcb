//! The only writer: takes what waits, commits it together, answers.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::batch::{self, Memory};
use super::{clean, result_code};
use crate::error::StoreError;
use crate::transaction::Numbers;
use crate::view::StoredEvent;
use crate::write::{Applied, Cleaned, Write};

/// Most writes in one commit: enough to make the disk's wait small, few enough to keep each caller's wait short.
const BATCH: usize = 64;

/// How often others are given a chance to hand over a write before the commit begins. Waiting for a time instead was
/// tried: it took the processor from those who were waited for, and halved the throughput.
const PATIENCE: usize = 64;

pub(crate) enum Request {
    Change(Write, oneshot::Sender<Result<Applied, StoreError>>),
    /// See [`Store::clean`](crate::store::Store::clean).
    Clean(Timestamp, oneshot::Sender<Result<Cleaned, StoreError>>),
}

/// The writing side of the store.
pub(crate) struct Writer {
    connection: SqliteConnection,
    memory: Memory,
    events: broadcast::Sender<Arc<StoredEvent>>,
}

impl Writer {
    /// Takes the one connection that writes.
    pub(crate) async fn new(
        mut connection: SqliteConnection,
        events: broadcast::Sender<Arc<StoredEvent>>,
    ) -> Result<Self, StoreError> {
        let numbers = sqlx::query(
            "SELECT (SELECT coalesce(max(seq), 0) FROM events) AS event, (SELECT coalesce(max(seq), 0) FROM tasks) AS task",
        )
        .fetch_one(&mut connection)
        .await
        .and_then(|row| Ok(Numbers { event: row.try_get("event")?, task: row.try_get("task")? }))
        .map_err(|error| result_code::explain(&error))?;
        Ok(Self { connection, memory: Memory { numbers, ..Memory::default() }, events })
    }

    /// Writes until every handle is dropped.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut waiting = Vec::with_capacity(BATCH);
        let mut usual = 1;
        while requests.recv_many(&mut waiting, BATCH).await > 0 {
            gather(&mut waiting, &mut requests, usual).await;
            usual = waiting.len();
            let (mut writes, mut replies, mut cleans) = (Vec::new(), Vec::new(), Vec::new());
            for request in waiting.drain(..) {
                match request {
                    Request::Change(write, reply) => {
                        writes.push(write);
                        replies.push(reply);
                    }
                    Request::Clean(before, reply) => cleans.push((before, reply)),
                }
            }
            if !writes.is_empty() {
                let answers = self.commit_together(writes).await;
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // A caller that has gone away still has its write stored; there is nobody to tell.
                    let _ = reply.send(answer);
                }
            }
            for (before, reply) in cleans {
                // As above.
                let _ = reply.send(clean::clean(&mut self.connection, before).await);
            }
        }
        if let Err(error) = sqlx::Connection::close(self.connection).await {
            tracing::warn!(%error, "the database did not close cleanly; its log is read again at the next start");
        }
    }

    /// Commits all writes at once; where the database refuses the lot, each by itself, so that one bad write does not
    /// take the others with it.
    async fn commit_together(&mut self, writes: Vec<Write>) -> Vec<Result<Applied, StoreError>> {
        match self.commit(&writes).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::debug!(%error, "a batch was refused; writing its parts one by one");
                let mut answers = Vec::with_capacity(writes.len());
                for write in writes {
                    answers.push(self.commit_alone(write).await);
                }
                answers
            }
        }
    }

    async fn commit_alone(&mut self, write: Write) -> Result<Applied, StoreError> {
        let mut answers = self.commit(std::slice::from_ref(&write)).await?;
        answers.pop().unwrap_or_else(|| Err(StoreError::Database("the write was not answered".to_owned())))
    }

    async fn commit(&mut self, writes: &[Write]) -> Result<Vec<Result<Applied, StoreError>>, StoreError> {
        let committed = batch::commit(&mut self.connection, &mut self.memory, writes).await?;
        for event in committed.events {
            // Without listeners, the event is in the log all the same.
            let _ = self.events.send(Arc::new(event));
        }
        Ok(committed.answers)
    }
}

/// Callers that were answered together come back together, but not at the very same moment: those that are as good as
/// there are waited for, so that they share one commit. A caller who is alone waits for nobody.
async fn gather(waiting: &mut Vec<Request>, requests: &mut mpsc::Receiver<Request>, usual: usize) {
    for _ in 0..PATIENCE {
        while waiting.len() < BATCH {
            match requests.try_recv() {
                Ok(request) => waiting.push(request),
                Err(_) => break,
            }
        }
        if waiting.len() >= usual.min(BATCH) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use kugetsu_domain::ids::{IssueId, TaskId};
    use kugetsu_domain::reference::{ProjectPath, RepoRef, ServerBase};
    use kugetsu_domain::task::{Task, TaskKind};
    use sqlx::Connection;
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
    use uuid::Uuid;

    use super::*;
    use crate::sqlite::schema;
    use crate::store::Store;
    use crate::view::Repo;
    use crate::write::{Enqueue, Precondition};

    fn start(number: u64, message: String) -> Enqueue {
        let base = ServerBase::new("https://h").unwrap();
        Enqueue {
            repo: Repo {
                name: RepoRef { base, project: ProjectPath::new("a/b").unwrap() },
                kind: None,
                source: "https://h/a/b".to_owned(),
            },
            number: Some(number),
            new_issue: IssueId::new(Uuid::now_v7()),
            title: String::new(),
            pr_url: None,
            task: Task::queued(
                TaskId::new(Uuid::now_v7()),
                TaskKind::Start,
                "a".to_owned(),
                message,
                Timestamp::UNIX_EPOCH,
            ),
            precondition: Precondition::Idle,
        }
    }

    /// A store whose disk has room for `pages` more pages.
    async fn small(directory: &tempfile::TempDir, pages: i64) -> (Store, tokio::task::JoinHandle<()>) {
        let options = SqliteConnectOptions::new().filename(directory.path().join("small.db")).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        schema::migrate(directory.path(), &mut connection).await.unwrap();
        let row = sqlx::query("PRAGMA page_count").fetch_one(&mut connection).await.unwrap();
        let limit = row.try_get::<i64, _>("page_count").unwrap() + pages;
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {limit}"));
        sqlx::raw_sql(limit).execute(&mut connection).await.unwrap();
        let (store, requests) = Store::new(SqlitePoolOptions::new().connect_lazy_with(options));
        let writer = Writer::new(connection, store.live_events()).await.unwrap();
        (store, tokio::spawn(writer.run(requests)))
    }

    #[tokio::test]
    async fn a_full_disk_refuses_only_the_writes_that_do_not_fit() {
        let directory = tempfile::tempdir().unwrap();
        let (store, writer) = small(&directory, 20).await;
        let now = Timestamp::UNIX_EPOCH;
        let much = "x".repeat(200_000);
        // In one batch: what does not fit must not take the other with it.
        let (little, large) =
            tokio::join!(store.enqueue(start(1, String::new()), now), store.enqueue(start(2, much.clone()), now));
        assert!(!little.unwrap().repeated);
        let refused = large.unwrap_err();
        assert!(matches!(refused, StoreError::DiskFull), "{refused}");
        assert!(refused.hint().is_some_and(|hint| hint.contains("free some space")), "{refused}");

        assert!(store.enqueue(start(3, much), now).await.is_err());
        store.enqueue(start(4, String::new()), now).await.unwrap();
        assert_eq!(store.queued().await.unwrap(), 2);
        let numbers: Vec<_> = store.events_after(None, 0, 9).await.unwrap().iter().map(|event| event.seq).collect();
        assert_eq!(numbers, [1, 2], "what was refused left no trace");
        assert_eq!(store.check().await.unwrap(), Vec::<String>::new());

        drop(store);
        writer.await.unwrap();
    }
}

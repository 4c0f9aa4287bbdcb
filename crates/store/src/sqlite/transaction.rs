//! The connection while a batch is written.

use futures::TryStreamExt;
use serde_json::Value;
use sqlx::sqlite::{SqliteConnection, SqliteQueryResult};
use sqlx::{AssertSqlSafe, Executor};

const BEGIN: &str = "BEGIN IMMEDIATE";

/// One transaction, which begins together with its first write: every turn between this thread and the database's costs
/// more than most statements.
pub(crate) struct Transaction<'c> {
    pub(crate) connection: &'c mut SqliteConnection,
    begun: bool,
}

impl<'c> Transaction<'c> {
    /// Nothing is begun yet.
    pub(crate) const fn new(connection: &'c mut SqliteConnection) -> Self {
        Self { connection, begun: false }
    }

    /// Begins the transaction, for a write of one's own.
    pub(crate) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        if !self.begun {
            self.begun = true;
            sqlx::query(BEGIN).execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    /// Runs statements that each take their rows as one JSON array, all in one go. Each row must change exactly one.
    pub(crate) async fn put_all<const N: usize>(
        &mut self,
        all: [(&'static str, Vec<Value>); N],
    ) -> Result<(), sqlx::Error> {
        let all: Vec<_> = all.into_iter().filter(|(_, rows)| !rows.is_empty()).collect();
        if all.is_empty() {
            return Ok(());
        }
        let expected: usize = all.iter().map(|(_, rows)| rows.len()).sum();
        let begin = (!self.begun).then_some(BEGIN);
        self.begun = true;
        let text = begin.into_iter().chain(all.iter().map(|(statement, _)| *statement)).collect::<Vec<_>>().join(";\n");
        // The text is made of this crate's own constants; what comes from outside is bound.
        let mut query = sqlx::query(AssertSqlSafe(text));
        for (_, rows) in all {
            query = query.bind(Value::Array(rows).to_string());
        }
        let begins = usize::from(begin.is_some());
        let done: Vec<SqliteQueryResult> = self.connection.execute_many(query).try_collect().await?;
        // BEGIN changes nothing, and SQLite says of it what it said of the statement before.
        if done.iter().skip(begins).map(SqliteQueryResult::rows_affected).sum::<u64>() != expected as u64 {
            return Err(sqlx::Error::Protocol("somebody else wrote to the database; only the daemon may".to_owned()));
        }
        Ok(())
    }

    /// Stores what was written.
    pub(crate) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        if self.begun {
            sqlx::query("COMMIT").execute(&mut *self.connection).await?;
            self.begun = false;
        }
        Ok(())
    }

    /// Takes back what was written and not stored.
    pub(crate) async fn roll_back(&mut self) {
        if !self.begun {
            return;
        }
        // Refused where SQLite has done so itself, as it does when the disk is full.
        if let Err(error) = sqlx::query("ROLLBACK").execute(&mut *self.connection).await {
            tracing::debug!(%error, "there was nothing to take back");
        }
        self.begun = false;
    }
}

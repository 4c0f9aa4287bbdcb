//! Finds the rows that every other query skips because they cannot be read.

use futures::TryStreamExt;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::result_code;
use super::row::{self, issue_columns, run_columns, task_columns};
use crate::error::StoreError;

pub(crate) async fn find(pool: &SqlitePool) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    let issues = concat!("SELECT ", issue_columns!(), " FROM issues i JOIN repos p ON p.id = i.repo");
    look(pool, issues, |row| row::issue(row).map(|_| ()), &mut found).await?;
    look(pool, concat!("SELECT ", task_columns!(), " FROM tasks t"), |row| row::task(row).map(|_| ()), &mut found)
        .await?;
    look(pool, concat!("SELECT ", run_columns!(), " FROM runs r"), |row| row::run(row).map(|_| ()), &mut found).await?;
    Ok(found)
}

async fn look(
    pool: &SqlitePool,
    query: &'static str,
    read: impl Fn(&SqliteRow) -> Result<(), StoreError>,
    found: &mut Vec<String>,
) -> Result<(), StoreError> {
    let mut rows = sqlx::query(query).fetch(pool);
    while let Some(row) = rows.try_next().await.map_err(|error| result_code::explain(&error))? {
        match read(&row) {
            Err(StoreError::Damaged { what }) => found.push(what),
            answer => answer?,
        }
    }
    Ok(())
}

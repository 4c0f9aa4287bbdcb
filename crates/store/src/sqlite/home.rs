//! The home that the database belongs to.

use rusqlite::{Connection, OptionalExtension};

use crate::error::StoreError;

/// Returns the identifier of the home; `None` in a database that belongs to none yet.
pub(super) fn home(connection: &Connection) -> Result<Option<String>, StoreError> {
    Ok(connection.query_row("SELECT id FROM home", [], |row| row.get(0)).optional()?)
}

/// Makes the database that of a home.
pub(super) fn set_home(connection: &Connection, id: &str) -> Result<(), StoreError> {
    connection
        .execute("INSERT INTO home (one, id) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET id = excluded.id", [id])?;
    Ok(())
}

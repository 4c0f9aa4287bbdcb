//! The store on SQLite: one connection writes in batches, a few read.

pub(crate) mod batch;
mod clean;
pub(crate) mod damaged_rows;
pub(crate) mod delegated;
pub(crate) mod find;
pub(crate) mod read;
pub(crate) mod result_code;
pub(crate) mod row;
pub(crate) mod schema;
mod transaction;
pub(crate) mod writer;

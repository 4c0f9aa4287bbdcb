//! The store on SQLite: one connection writes in batches, a few read.

pub(crate) mod batch;
mod clean;
pub(crate) mod damage;
pub(crate) mod delegated;
pub(crate) mod fault;
pub(crate) mod find;
pub(crate) mod read;
pub(crate) mod row;
pub(crate) mod schema;
mod turn;
pub(crate) mod writer;

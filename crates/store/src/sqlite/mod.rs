//! The store on SQLite: a thread writes in batches, two threads read.

mod backup;
mod clean;
mod connection;
mod driver;
mod error;
mod file_identity;
mod home;
mod load;
mod read;
mod readers;
mod recover;
mod row;
mod save;
mod schema;
mod watches;
mod writer;

pub(crate) use driver::{open, open_read_only, open_unused};

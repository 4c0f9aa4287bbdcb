//! The run's records: written, masked and bounded.

pub(crate) mod coalesce;
pub(crate) mod redacting_writer;
pub(crate) mod sanitize_record;
pub(crate) mod spool;

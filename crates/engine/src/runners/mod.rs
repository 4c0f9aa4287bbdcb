//! The runners as the daemon sees them: started, reporting, gone.

pub mod access;
pub(crate) mod epilogue;
pub(crate) mod last_words;
pub mod launch;
pub(crate) mod lock;
pub(crate) mod own_records;
pub mod report;
mod run_spec;
pub(crate) mod temporary;
pub(crate) mod watchdog;

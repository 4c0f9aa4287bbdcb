//! The runners as the daemon sees them: started, reporting, gone.

pub(crate) mod aftermath;
pub(crate) mod launch;
pub(crate) mod recover;
pub mod report;
mod run_spec;

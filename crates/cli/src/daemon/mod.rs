//! The daemon: starting it, the lock that allows one per home, and the process itself.

pub(crate) mod descriptor;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod log_file;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod start;
pub(crate) mod unit;
pub(crate) mod watch;

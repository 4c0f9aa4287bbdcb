//! The daemon: how it is started, that there is only one, and what it consists of.

pub(crate) mod descriptor;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod start;
pub(crate) mod unit;
pub(crate) mod watch;

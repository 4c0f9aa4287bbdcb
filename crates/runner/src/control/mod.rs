//! What controls a run from outside the agent: limits, and the daemon.

pub(crate) mod awake;
pub(crate) mod clocks;
pub(crate) mod interrupts;
pub(crate) mod reporter;

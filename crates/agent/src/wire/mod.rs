//! The lines between kugetsu and an agent: bounded, parsed leniently, in order.

pub(crate) mod inbox;
pub(crate) mod lines;
pub(crate) mod reading;

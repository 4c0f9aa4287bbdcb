//! Issues that a repository's own people hand over: which of them begin, which feedback the agent gets, and when a pull
//! request is merged. Facts come from the server; here is only what follows from them.

pub mod command;
pub mod conditions;
pub mod feedback;
pub mod follow;
pub mod publication;
pub mod quote;
pub mod scheduled;
pub mod selection;
pub mod trust;

//! Watched repositories for people: what is watched, what would start and why not, and what a token lacks to watch one. Agents read
//! their own issues here, too.
//!
//! Nothing imports this but the API. Only [`polls::poll`] changes anything.

pub mod for_agent;
pub mod list;
pub mod polls;
pub mod probe;
pub mod why;

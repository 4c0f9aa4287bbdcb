//! A scripted ACP agent: the program `kugetsu-scripted-agent`, which does what its prompt says.
//!
//! It speaks the Agent Client Protocol, version 1, over stdio as opencode does (the shapes of its messages were taken
//! from recorded sessions), but every word is written by hand on plain JSON, so that it can also misbehave. It calls no
//! model. See [`command`] for what a prompt may ask and [`arguments`] for how it is started.

pub mod arguments;
pub mod command;
mod connection;
mod ids;
pub mod location;
pub mod program;
pub mod prompt;
mod script;
mod session;
mod signal;
mod store;
mod tools;
mod turn;
mod update;
mod wire;
mod work;

pub use turn::COST;
pub use update::MODELS;

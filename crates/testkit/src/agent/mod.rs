//! A scripted ACP agent: the program `kugetsu-scripted-agent`, which carries out the script in its prompt.
//!
//! It speaks the Agent Client Protocol, version 1, over stdio with messages shaped like those of recorded opencode
//! sessions. It writes plain JSON instead of using a protocol library, so that it can also misbehave, and calls no model.
//! [`command`] lists the commands of a script, [`arguments`] the options of the program.

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

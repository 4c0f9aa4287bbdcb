//! The engine: takes tasks in, gives them places, runs them, and brings stored state and world together again. The only
//! driver: it alone carries out what the domain's steps ask for.
//!
//! It knows nothing of HTTP, terminals and configuration files.

pub mod adopt;
mod aftermath;
mod agents;
pub mod cancel;
pub mod coordinator;
mod credentials;
pub mod destroy;
mod dispatcher;
mod engine;
pub mod events;
mod forges;
pub mod intake;
mod launch;
mod live;
pub mod look;
mod places;
mod problems;
pub mod pull_requests;
mod recover;
pub mod report;
pub mod rescues;
mod resolve;
pub mod runners;
pub mod settings;
pub mod transcript;
mod wanted;
pub mod why;

pub use engine::{Engine, Parts};
pub use live::serve_engine;
pub use settings::Settings;

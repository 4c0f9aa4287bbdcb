//! Takes tasks in, gives them slots, runs them, and keeps the stored state and the world in agreement.
//!
//! It knows nothing of HTTP, terminals and configuration files.

mod agents;
mod connections;
pub mod coordinator;
mod credentials;
pub mod destroy;
mod dispatcher;
mod engine;
mod forges;
pub mod intake;
mod live;
mod problems;
pub mod pull_requests;
pub mod queries;
pub mod queue;
mod repositories;
pub mod rescues;
mod resolve;
pub mod runners;
pub mod settings;

pub use engine::{Engine, Parts};
pub use live::serve_engine;
pub use settings::Settings;

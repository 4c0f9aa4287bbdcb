//! The engine: takes tasks in, gives them places, runs them, and brings stored state and world together again. The only
//! driver: it alone carries out what the domain's steps ask for.
//!
//! It knows nothing of HTTP, terminals and configuration files.

pub mod adopt;
mod aftermath;
mod agents;
pub mod cancel;
mod context;
pub mod coordinator;
mod credentials;
pub mod destroy;
mod discard;
mod dispatcher;
mod engine;
pub mod events;
mod forges;
pub mod hold;
mod home;
pub mod intake;
mod launch;
mod live;
pub mod look;
mod places;
mod problems;
pub mod pull_requests;
mod recover;
pub mod report;
mod rescue_time;
pub mod rescues;
mod resolve;
pub mod runner;
pub mod runners;
pub mod settings;
pub mod transcript;
mod wanted;
pub mod why;

pub use context::{BASE_CONTEXT, asked};
pub use discard::discard_run;
pub use engine::{Engine, Parts};
pub use home::Home;
pub use live::serve_engine;
pub use runner::environment::secrets;
pub use runner::{read_order, run_runner};
pub use settings::Settings;

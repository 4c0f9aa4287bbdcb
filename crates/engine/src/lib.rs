//! Takes tasks in, gives them slots, runs them, and keeps the stored state and the world in agreement.
//!
//! It knows nothing of HTTP, terminals and configuration files. `main_loop` drives everything.

mod agent_command;
mod agents;
mod backoff;
pub mod budget_limits;
mod budgets;
pub mod callers;
pub mod clock;
mod connections;
pub mod coordinator;
mod credentials;
pub mod destroy;
mod effects;
mod engine;
mod forges;
pub mod gc;
pub mod headroom;
pub mod holds;
pub mod home;
mod hook_key;
pub mod hooks;
pub mod intake;
mod main_loop;
mod maintenance;
pub mod moved_home;
pub mod pauses;
mod problems;
pub mod pull_requests;
pub mod queries;
pub mod queue;
pub mod rebuild;
pub mod repo_file;
mod reported;
pub mod repos;
mod repositories;
pub mod rescues;
mod resolve;
pub mod runners;
mod scheduler;
pub mod schema;
pub mod settings;
mod sizes;
mod stall;
pub mod stop;
mod turns;
mod watch;
pub mod watch_queries;
pub mod watches;

pub use engine::{Engine, Parts, StartRunner};
pub use main_loop::serve_engine;
pub use settings::Settings;

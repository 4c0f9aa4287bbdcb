//! The daemon's HTTP API on its unix socket. It makes no decisions: it turns requests into calls of the engine, and facts and
//! errors into wire types.

mod api_error;
mod app_state;
mod callers;
mod convert;
mod daemon;
mod hooks;
mod issues;
mod json_list;
mod ndjson;
mod pages;
mod pauses;
mod router;
mod routes;
mod runs;
mod serve;
mod stops;
mod tasks;
mod watches;

pub use app_state::{Control, Requests, SettingsDiagnostics, Stale};
pub use hooks::serve_hooks;
pub use serve::{Socket, serve};

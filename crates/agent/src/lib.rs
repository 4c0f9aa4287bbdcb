//! One face for coding agents: find the program, speak to it, and say honestly how its turn ended.
//!
//! The only backend so far is ACP, the Agent Client Protocol (version 1, JSON-RPC over stdio), which many agents speak;
//! a [`Profile`] says what is special about one of them. opencode's is built in.
//!
//! This crate starts no agent: whoever does (the runner, which builds the cage) hands over the pipes. It keeps no clock
//! either: an agent that says nothing is the runner's to cancel, and to kill. And it does not judge whether a task is
//! done. It only never calls a turn finished that was not: see [`Turn`].

mod connection;
pub mod environment;
mod error;
mod event;
mod first_start;
mod install;
mod lookup;
mod mcp_server;
mod opencode;
mod permission;
mod policy;
mod profile;
mod question;
mod session;
mod session_export;
mod session_id;
mod session_state;
mod tool;
mod truncate;
mod turn;
mod usage;
mod wire;

pub use connection::{AgentInfo, Connection, EventStream};
pub use error::AgentError;
pub use event::{AgentEvent, PlanState, PlanStep};
pub use first_start::FirstStart;
pub use install::{NotInstalled, VersionError, find_program, program_version};
pub use lookup::{UnknownAgent, profile};
pub use mcp_server::McpServer;
pub use permission::InvalidPermissionRules;
pub use policy::Policy;
pub use profile::{CustomProfile, Launch, Profile};
pub use question::{Answer, Question, QuestionClosed};
pub use session::Session;
pub use session_export::{SessionExport, UnreadableExport};
pub use session_id::{InvalidSessionId, SessionId};
pub use tool::ToolKind;
pub use truncate::{truncate, truncated_at};
pub use turn::{Refusal, StopReason, Turn};
pub use usage::Usage;

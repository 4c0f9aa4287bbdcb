//! One face for coding agents: find the program, speak to it, and say honestly how its turn ended.
//!
//! The only backend so far is ACP, the Agent Client Protocol (version 1, JSON-RPC over stdio), which many agents speak;
//! a [`Profile`] says what is special about one of them. opencode's is built in.
//!
//! This crate starts no agent: whoever does (the runner, which builds the cage) hands over the pipes. It keeps no clock
//! either: an agent that says nothing is the runner's to cancel, and to kill. And it does not judge whether a task is
//! done. It only never calls a turn finished that was not: see [`Turn`].

mod bounded;
mod connection;
pub mod environment;
mod error;
mod event;
mod first_start;
mod install;
mod ledger;
mod open;
mod opencode;
mod permission;
mod policy;
mod profile;
mod question;
mod record;
mod session;
mod session_id;
mod tool;
mod tool_server;
mod turn;
mod usage;
mod wire;

pub use bounded::{bounded, cut_at};
pub use connection::{AgentInfo, Connection, EventStream};
pub use error::AgentError;
pub use event::{AgentEvent, PlanState, PlanStep};
pub use first_start::FirstStart;
pub use install::{FindError, VersionError, find, version};
pub use open::{UnknownAgent, profile};
pub use permission::BadPermission;
pub use policy::Policy;
pub use profile::{CustomProfile, Launch, Profile};
pub use question::{Answer, Question, TooLate};
pub use record::{SessionRecord, UnreadableRecord};
pub use session::Session;
pub use session_id::{BadSessionId, SessionId};
pub use tool::ToolKind;
pub use tool_server::ToolServer;
pub use turn::{Refusal, Stop, Turn};
pub use usage::Usage;

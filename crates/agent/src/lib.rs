//! One interface to coding agents: find the program, open a session, run a turn, and report reliably how it ended.
//!
//! All agents speak ACP, the Agent Client Protocol (version 1, JSON-RPC over stdio). A [`Profile`] holds what is
//! different about one agent; those of nine agents are built in.
//!
//! This crate starts no agent: the caller does, and passes the pipes. It keeps no time limits either: the caller cancels
//! and ends an agent that is silent. And it does not judge whether a task is done; it only never reports a turn as
//! finished that was not (see [`Turn`]).

mod acp;
pub mod environment;
mod error;
mod event;
mod live_record;
mod model_failure;
mod profile;
mod question;
mod reset_time;
mod sandbox_files;
mod session_export;
mod session_file;
mod session_id;
mod tool;
mod truncate;
mod turn;
mod usage;
mod user_directories;
mod wire;

#[cfg(any(test, fuzzing))]
pub use acp::fuzzing;
pub use acp::{AgentInfo, Connection, EventStream, McpServer, Session, SessionOptions};
pub use error::AgentError;
pub use event::{AgentEvent, PlanState, PlanStep};
pub use live_record::{LiveRecordError, read_live_record};
pub use model_failure::Recovery;
pub use profile::{
    AgentSettings, Base, Exception, FirstStart, Installation, InvalidPermissionRules, Launch, Login, NotInstalled,
    Offer, Profile, Runtime, RuntimeState, SessionDeletion, Supported, Switch, Trailers, UnknownAgent, UserFile,
    VersionError, agent_names, find_attach_program, find_program, first_built_in, is_built_in, models_in, near_models,
    offer, printed_version, profile, program_version, record_models, recorded_models, refs_of_agents,
};
pub use question::{Answer, Policy, Question, QuestionClosed};
pub use sandbox_files::{SandboxFiles, with_targets};
pub use session_export::{SessionExport, UnreadableExport};
pub use session_id::{InvalidSessionId, SessionId};
pub use tool::ToolKind;
pub use truncate::{truncate, truncated_at};
pub use turn::{Refusal, StopReason, Turn};
pub use usage::{Tokens, Usage};
pub use user_directories::{AgentDirectories, config_directory};

//! Errors between kugetsu and an agent.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::model_failure::Recovery;
use crate::profile::near_models;

/// The purpose of a request to open a session.
pub(crate) const OPEN_SESSION: &str = "open a session";
/// The purpose of a request to resume a session. The session still exists when that fails.
pub(crate) const CONTINUE_SESSION: &str = "continue a session";
/// The purpose of a prompt.
pub(crate) const DO_THE_TASK: &str = "do the task";

#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The agent's process exited, or closed its output.
    #[error("the agent exited while kugetsu waited for it to {doing}")]
    Exited {
        /// An infinitive, such as "open a session".
        doing: &'static str,
    },
    /// The agent's process runs, but no longer reads.
    #[error("the agent closed its input while kugetsu waited for it to {doing}")]
    InputClosed { doing: &'static str },
    /// The agent sends requests and reads none of the responses.
    #[error("the agent has read none of kugetsu's messages for {} s, so it could not {doing}", limit.as_secs())]
    Unread { doing: &'static str, limit: Duration },
    #[error("the agent sent a message of more than {} MiB", limit / (1024 * 1024))]
    MessageTooLong {
        /// Bytes.
        limit: usize,
    },
    #[error("the pipe to the agent broke: {0}")]
    Pipe(String),
    /// A response that violates the protocol.
    #[error("the agent's response is invalid, so it could not {doing}: {detail}")]
    InvalidResponse { doing: &'static str, detail: String },
    /// An error response that no other variant describes better.
    #[error("the agent could not {doing}: {message}")]
    Failed {
        doing: &'static str,
        message: String,
        /// The JSON-RPC error code.
        code: i64,
        /// Further information of the agent, as JSON.
        detail: String,
        login: String,
    },
    #[error("the agent speaks version {theirs} of the Agent Client Protocol; kugetsu speaks version 1")]
    ProtocolVersion { theirs: String },
    /// The model or its provider failed.
    #[error("the model request failed: {message}")]
    Model {
        message: String,
        /// How to log in: a command between backticks, and what to do in it.
        login: String,
        /// Whether trying again may help.
        recovery: Recovery,
    },
    /// The turn was cancelled because the agent repeats such requests endlessly.
    #[error("the model's responses broke off too often in a row, so the turn was canceled")]
    KeepsBreakingOff,
    #[error("the agent is not logged in to its model provider{}", after_colon(message))]
    NotLoggedIn {
        login: String,
        /// The provider's message; empty without one.
        message: String,
    },
    #[error("the agent has no model")]
    NoModel { login: String },
    #[error("the agent has no model {name:?}")]
    UnknownModel { name: String, known: Vec<String> },
    /// The permission policy needs this mode of a session.
    #[error("the agent has no mode {name:?}, which agent.permissions needs; it has {}", listed(known))]
    NoMode { name: String, known: Vec<String> },
    #[error("the agent no longer has the session {id}")]
    SessionLost { id: String },
    /// The session belongs to another directory; if it were continued, the agent would work there.
    #[error("the agent's session {id} belongs to {}, not to {}", theirs.display(), wanted.display())]
    WrongDirectory { id: String, theirs: PathBuf, wanted: PathBuf },
    #[error("the agent cannot work in {}: it is not a directory", .0.display())]
    NotADirectory(PathBuf),
    #[error("the agent does not support {0}")]
    Unsupported(&'static str),
    #[error("the message for the agent is empty")]
    EmptyPrompt,
}

impl AgentError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InvalidResponse { .. } | Self::NoMode { .. } => Some("check its version with `kugetsu doctor`".to_owned()),
            Self::ProtocolVersion { .. } => Some("install a version of the agent that speaks version 1".to_owned()),
            Self::Model { recovery, .. } if *recovery != Recovery::Never => {
                Some("check the status of the model's provider, and your limits there".to_owned())
            }
            Self::Model { login, .. } => Some(format!("if a key or a login is missing, run {login}")),
            Self::Failed { doing: CONTINUE_SESSION, .. } => Some(
                "correct what the agent reports, then retry the task; `kugetsu continue --agent` lets another agent take over"
                    .to_owned(),
            ),
            Self::Failed { doing: OPEN_SESSION, login, .. } => {
                Some(format!("correct what the agent reports; if a login is missing, run {login}"))
            }
            Self::KeepsBreakingOff => Some("check the connection to the model's provider".to_owned()),
            Self::NotLoggedIn { login, .. } => Some(format!("run {login}")),
            Self::NoModel { login } => {
                Some(format!("log in to a provider with {login}, or configure one for the agent"))
            }
            Self::UnknownModel { name, known } => Some(match near_models(name, known).as_slice() {
                [] => format!("use one of its models: {}", listed(known)),
                near => format!("use one of its models, for example {}", near.join(", ")),
            }),
            Self::Exited { .. }
            | Self::InputClosed { .. }
            | Self::Unread { .. }
            | Self::MessageTooLong { .. }
            | Self::Pipe(_)
            | Self::Failed { .. }
            | Self::SessionLost { .. }
            | Self::WrongDirectory { .. }
            | Self::NotADirectory(_)
            | Self::Unsupported(_)
            | Self::EmptyPrompt => None,
        }
    }
}

fn after_colon(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// Names that a message lists.
const LISTED: usize = 12;

fn listed(names: &[String]) -> String {
    match names {
        few if few.len() <= LISTED => few.join(", "),
        many => format!("{} and {} more", many[..LISTED].join(", "), many.len() - LISTED),
    }
}

//! What can go wrong between kugetsu and an agent.

use std::path::PathBuf;

use thiserror::Error;

/// Why an agent did not do what it was asked. Every message says what to do next where something can be done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The agent's process ended, or closed its output.
    #[error("the agent ended while kugetsu waited for it to {doing}; what it printed last says why")]
    Exited {
        /// What was awaited, as in "to {doing}".
        doing: &'static str,
    },
    /// The agent wrote a line that is longer than a message can be.
    #[error("the agent sent a single message of more than {} MiB, so kugetsu stopped listening to it", limit / (1024 * 1024))]
    LineTooLong {
        /// The longest line that is read, in bytes.
        limit: usize,
    },
    /// The pipe to the agent broke.
    #[error("the pipe to the agent broke: {0}")]
    Pipe(String),
    /// The agent's answer was not what the protocol says.
    #[error(
        "the agent's answer when asked to {doing} makes no sense ({detail}); is its version one that kugetsu supports?"
    )]
    InvalidResponse {
        /// What was asked, as in "to {doing}".
        doing: &'static str,
        /// What is wrong with the answer.
        detail: String,
    },
    /// The agent answered with an error that has no better name here.
    #[error("the agent could not {doing}: {message}")]
    Failed {
        /// What was asked, as in "could not {doing}".
        doing: &'static str,
        /// What the agent said.
        message: String,
        /// The JSON-RPC code of its answer.
        code: i32,
        /// What it said besides, as JSON.
        detail: String,
    },
    /// The agent speaks another version of the protocol.
    #[error(
        "the agent speaks version {theirs} of the Agent Client Protocol, kugetsu speaks version 1; install a version of the agent that does too"
    )]
    ProtocolVersion {
        /// What the agent offered.
        theirs: String,
    },
    /// The model, or its provider, did not do its part.
    #[error("the model did not answer: {message} (if that is about a key or a login, type `{login}`)")]
    Model {
        /// What the provider said.
        message: String,
        /// The command that logs the agent in.
        login: String,
    },
    /// The model's answers broke off time after time.
    #[error(
        "the model's answers broke off too often in a row, so the turn was cancelled; is the connection to the model's provider stable?"
    )]
    KeepsBreakingOff,
    /// The agent needs credentials first.
    #[error("the agent is not logged in with its model provider; type `{login}`")]
    NotLoggedIn {
        /// The command that logs in.
        login: String,
    },
    /// The agent has no model at all.
    #[error("the agent has no model to work with; type `{login}`, or configure a provider for it")]
    NoModel {
        /// The command that logs in.
        login: String,
    },
    /// The model that was asked for is none that the agent has.
    #[error("the agent has no model {asked:?}; it has {}", listed(known))]
    UnknownModel {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The agent has forgotten the session.
    #[error("the agent no longer has session {id}")]
    SessionLost {
        /// The session.
        id: String,
    },
    /// The session belongs to another directory; continued, it would work there.
    #[error("the agent's session {id} belongs to {}, not to {}", theirs.display(), wanted.display())]
    WrongDirectory {
        /// The session.
        id: String,
        /// Where the session's commands would run.
        theirs: PathBuf,
        /// Where they should.
        wanted: PathBuf,
    },
    /// The directory to work in is not there.
    #[error("{} is not a directory, so no agent can work there", .0.display())]
    NotADirectory(PathBuf),
    /// The agent lacks an ability that is needed.
    #[error("this agent cannot {0}")]
    Unsupported(&'static str),
    /// The prompt holds nothing.
    #[error("the message is empty, so there is nothing for the agent to do")]
    EmptyPrompt,
}

/// How many models a message lists.
const MODELS_LISTED: usize = 12;

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        few if few.len() <= MODELS_LISTED => few.join(", "),
        many => format!("{} and {} more", many[..MODELS_LISTED].join(", "), many.len() - MODELS_LISTED),
    }
}

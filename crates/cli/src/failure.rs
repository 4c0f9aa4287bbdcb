//! Why a command failed, in words for the person who typed it.

use kugetsu_api::client::ClientError;

use crate::exit::Exit;

/// A failed command: what happened, what to do next, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hints: Vec<String>,
}

impl Failure {
    /// Something went wrong.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), hints: Vec::new() }
    }

    /// The command itself is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(message) }
    }

    /// A person has to decide.
    pub(crate) fn needs_person(message: impl Into<String>) -> Self {
        Self { exit: Exit::NeedsPerson, ..Self::new(message) }
    }

    /// The same with what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Problem(problem) => Self {
                exit: Exit::of_problem(problem.kind),
                message: problem.message,
                hints: problem.hint.into_iter().collect(),
            },
            ClientError::NotRunning { .. } => Self::new(error.to_string()).hint("start it with: kugetsu daemon start"),
            ClientError::Broken(_) => {
                Self::new(error.to_string()).hint("running agents are not affected; `kugetsu status` shows them")
            }
            ClientError::NotUnderstood(_) => Self::new(error.to_string()),
        }
    }
}

//! Why a command failed. `main` prints it, and nothing else does.

use kugetsu_api::client::ClientError;
use kugetsu_api::home::HomeError;

use crate::exit::Exit;

/// A message in lower case without a full stop, and what the user can do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hints: Vec<String>,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), hints: Vec::new() }
    }

    /// The command line is wrong, or names something that does not exist.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(message) }
    }

    /// The user has to decide.
    pub(crate) fn needs_person(message: impl Into<String>) -> Self {
        Self { exit: Exit::NeedsPerson, ..Self::new(message) }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the hint of an error, if it has one.
    #[must_use]
    pub(crate) fn hints(mut self, hints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hints.extend(hints.into_iter().map(Into::into));
        self
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        Self::new(error.to_string()).hints(error.hint())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Problem(problem) => Exit::of_problem(problem.kind),
            ClientError::NotRunning { .. }
            | ClientError::Broken(_)
            | ClientError::Unresponsive { .. }
            | ClientError::NotUnderstood(_) => Exit::Failed,
        };
        Self { exit, ..Self::new(error.to_string()).hints(error.hint()) }
    }
}

//! Guarantees of kugetsu that do not hold with an agent.

/// An exception. A test of the real agents shows each of them, so that one that is no longer true is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exception {
    /// An answer of the maximum length counts as complete.
    FullAnswers,
    /// An answer that the provider's filter stopped counts as complete.
    FilteredAnswers,
    /// Commands run without a question.
    UnaskedCommands,
    /// Files of the worktree change without a question.
    UnaskedEdits,
    /// A sandbox of the agent refuses commands, without a question.
    OwnSandbox,
    /// The tool that writes files refuses those outside of the worktree, whatever is allowed.
    NoEditsOutside,
    /// The tokens of turns with tool calls are unknown.
    TokensOfTools,
    /// A session that is continued in the minute in which it began is lost.
    YoungSessions,
}

impl Exception {
    pub const ALL: [Self; 8] = [
        Self::FullAnswers,
        Self::FilteredAnswers,
        Self::UnaskedCommands,
        Self::UnaskedEdits,
        Self::OwnSandbox,
        Self::NoEditsOutside,
        Self::TokensOfTools,
        Self::YoungSessions,
    ];

    /// A full sentence for users about the agent.
    pub const fn text(self) -> &'static str {
        match self {
            Self::FullAnswers => "An answer that reached its maximum length counts as complete.",
            Self::FilteredAnswers => "An answer that the provider's filter stopped counts as complete.",
            Self::UnaskedCommands => {
                "It runs commands without a question, unless its own permission rules ask, whatever agent.permissions is."
            }
            Self::UnaskedEdits => "It edits files of the worktree without a question, whatever agent.permissions is.",
            Self::OwnSandbox => {
                "If agent.permissions is `ask` or `refuse`, its own sandbox refuses some commands without a question, \
                 and the run is `done` without commits."
            }
            Self::NoEditsOutside => {
                "Its tool for files refuses those outside of the worktree, whatever agent.permissions is; its commands can \
                 change them."
            }
            Self::TokensOfTools => {
                "The tokens of a turn with tool calls are unknown: it reports those of the last model step."
            }
            Self::YoungSessions => {
                "It loses a session that is continued in the minute in which it began; a new one gets a summary."
            }
        }
    }
}

//! What to answer when an agent asks for permission. Pure: the caller asks the person and keeps the time limit.

use crate::question::{Answer, Question};

/// The standing answer to permission questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Yes. The default: nobody sits beside the agent, and its cage, not its manners, keeps it in.
    #[default]
    Allow,
    /// A person decides; where nobody does in time, no.
    Ask,
    /// No.
    Refuse,
}

impl Policy {
    /// The policy's name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Refuse => "refuse",
        }
    }

    /// The policy that [`name`](Self::name) gave.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Allow, Self::Ask, Self::Refuse].into_iter().find(|policy| policy.name() == name)
    }

    /// What to answer at once; `None` means that a person is to be asked.
    pub fn decide(self, question: &Question) -> Option<Answer> {
        match self {
            // Never "always": opencode would remember it beyond this run.
            Self::Allow => Some(Answer::AllowOnce),
            Self::Ask => None,
            Self::Refuse => {
                Some(Answer::Refuse { reason: format!("permissions are set to refuse, so {:?} was", question.title) })
            }
        }
    }
}

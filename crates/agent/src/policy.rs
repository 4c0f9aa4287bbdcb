//! The standing answer to permission questions.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The default: the user does not watch the agent, and a sandbox restricts it better than questions do.
    #[default]
    Allow,
    /// A person decides. Without a decision in time, the answer is no.
    Ask,
    Refuse,
}

impl Policy {
    /// Returns the policy's name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Refuse => "refuse",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Allow, Self::Ask, Self::Refuse].into_iter().find(|policy| policy.name() == name)
    }
}

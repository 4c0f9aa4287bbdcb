//! Which program a forge server pretends to be.

/// A program with an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavor {
    /// GitHub Enterprise Server: everything of the API is below `/api/v3`.
    GitHub,
    Gitea,
    Forgejo,
    GitLab,
}

impl Flavor {
    /// What the paths of its API begin with.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::GitHub => "/api/v3",
            Self::Gitea | Self::Forgejo => "/api/v1",
            Self::GitLab => "/api/v4",
        }
    }

    pub(super) fn version(self) -> &'static str {
        match self {
            Self::GitHub => "3.19.0",
            Self::Gitea => "1.24.2",
            Self::Forgejo => "13.0.1+gitea-1.22.0",
            Self::GitLab => "18.5.0-ee",
        }
    }

    /// Whether issues and pull requests share their numbers.
    pub(super) fn shares_numbers(self) -> bool {
        self != Self::GitLab
    }
}

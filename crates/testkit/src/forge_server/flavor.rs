//! The kind of forge that a server imitates.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavor {
    /// GitHub Enterprise Server, whose API is below `/api/v3`.
    GitHub,
    Gitea,
    Forgejo,
    GitLab,
}

impl Flavor {
    /// Path prefix of the API.
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

    /// Whether a pull request that is closed is no longer merged by the server after it was opened again.
    pub(super) fn closing_unschedules(self) -> bool {
        matches!(self, Self::GitHub | Self::GitLab)
    }

    /// Whether a pull request needs a commit that its base does not have.
    pub(super) fn needs_commits(self) -> bool {
        self != Self::GitLab
    }
}

//! Permissions of users in a project, and the project's settings.

/// From the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    None,
    Read,
    Triage,
    Write,
    Maintain,
    Admin,
}

impl Permission {
    /// The name on GitHub; Gitea has neither `triage` nor `maintain`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }

    /// The nearest permission that is no role.
    pub(super) fn base(self) -> Self {
        match self {
            Self::Triage => Self::Read,
            Self::Maintain => Self::Write,
            other => other,
        }
    }

    /// GitLab's access level.
    pub(super) fn level(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Read => 10,
            Self::Triage => 20,
            Self::Write => 30,
            Self::Maintain => 40,
            Self::Admin => 50,
        }
    }
}

/// Settings of a project.
#[derive(Clone, Debug)]
pub struct Settings {
    pub default_branch: String,
    pub archived: bool,
    pub allows_merge: bool,
    pub allows_squash: bool,
    pub allows_rebase: bool,
    /// Whether its branches are merged into through the server's queue.
    pub has_merge_queue: bool,
    /// Whether a condition of the server is not met for any pull request.
    pub holds_merges: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_branch: "main".to_owned(),
            archived: false,
            allows_merge: true,
            allows_squash: true,
            allows_rebase: true,
            has_merge_queue: false,
            holds_merges: false,
        }
    }
}

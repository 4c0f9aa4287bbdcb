//! The kinds of directories that kugetsu makes in a home for its work.

use std::path::PathBuf;

use kugetsu_api::home::Home;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Run,
    Worktree,
    Relay,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Run, Self::Worktree, Self::Relay];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Worktree => "worktree",
            Self::Relay => "relay",
        }
    }

    /// Its directory in a home.
    pub(crate) fn directory(self, home: &Home) -> PathBuf {
        match self {
            Self::Run => home.runs(),
            Self::Worktree => home.worktrees(),
            Self::Relay => home.relays(),
        }
    }
}

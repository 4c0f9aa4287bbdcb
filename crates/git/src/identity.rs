//! Whose name a worktree's commits carry: the user's own.

use std::path::Path;

use crate::door::{Git, GitError};

/// Name and address for commits. Bytes, as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: Vec<u8>,
    pub(crate) email: Vec<u8>,
}

impl Identity {
    /// Kugetsu's own, for what nobody else wrote.
    pub(crate) fn own() -> Self {
        Self { name: b"kugetsu".to_vec(), email: b"kugetsu@localhost".to_vec() }
    }

    /// What git would use for the user at `place` (or anywhere), and a sentence about what is missing.
    pub(crate) async fn of_user(git: &Git, place: Option<&Path>) -> Result<(Self, Option<String>), GitError> {
        let set = |value: Option<Vec<u8>>| value.filter(|value| !value.trim_ascii().is_empty());
        let name = set(git.setting("user.name", place).await?);
        let email = set(git.setting("user.email", place).await?);
        let missing = match (&name, &email) {
            (Some(_), Some(_)) => None,
            (None, None) => Some("name and address"),
            (None, Some(_)) => Some("name"),
            (Some(_), None) => Some("address"),
        };
        let notice = missing.map(|missing| {
            format!(
                "git knows no {missing} of yours, so commits here carry kugetsu's; \
                 set yours with: git config --global user.name \"...\" and git config --global user.email \"...\""
            )
        });
        let own = Self::own();
        Ok((Self { name: name.unwrap_or(own.name), email: email.unwrap_or(own.email) }, notice))
    }
}

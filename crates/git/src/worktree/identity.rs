//! Whose name a worktree's commits carry: the user's own.

use crate::command::runner::ConfigScope;
use crate::files::access::FileError;
use crate::git_dir::layout::{bare_config, make_git_dir};
use crate::mirror::repo::Mirror;
use crate::mirror::source::Source;
use crate::untrusted::changes::StatusError;

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

    /// What git would use for the user in the folder that the repository comes from or, if it comes from a server, in a
    /// clone: settings can depend on the address (`includeIf "hasconfig:remote.*.url:..."`). With a sentence about what
    /// is missing.
    ///
    /// # Errors
    /// [`StatusError`] with git's or the system's words.
    pub(crate) async fn of_user(mirror: &Mirror) -> Result<(Self, Option<String>), StatusError> {
        let set = |value: Option<Vec<u8>>| value.filter(|value| !value.trim_ascii().is_empty());
        let clone = match mirror.source() {
            Source::Url(_) => Some(empty_clone(mirror).await?),
            Source::Path(_) => None,
        };
        let place = match (&clone, mirror.local_repo().await) {
            (Some(clone), _) => ConfigScope::GitDir(clone.path()),
            (None, Ok(Some(local))) => ConfigScope::WorkingDir(&local.root),
            (None, _) => ConfigScope::User,
        };
        let name = set(mirror.git().config_value("user.name", place).await?);
        let email = set(mirror.git().config_value("user.email", place).await?);
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

/// A git directory that says of itself what a clone of the source would; it goes when it is dropped.
async fn empty_clone(mirror: &Mirror) -> Result<tempfile::TempDir, FileError> {
    let place = mirror.scratch()?;
    let mut config = bare_config(mirror.format(), false);
    config.section("remote", Some(b"origin")).set("url", mirror.address().await.as_encoded_bytes());
    make_git_dir(place.path(), "ref: refs/heads/none", &config)?;
    Ok(place)
}

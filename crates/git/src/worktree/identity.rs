//! The author of a worktree's commits: the user.

use std::ffi::OsString;

use crate::command::runner::{ConfigScope, GitCommand};
use crate::files::access::FileError;
use crate::git_dir::layout::{UNBORN_HEAD, bare_config, create_git_dir};
use crate::mirror::repo::Mirror;
use crate::mirror::scratch::Scratch;
use crate::mirror::source::Source;
use crate::worktree::lifecycle::WorktreeError;

/// Name and e-mail address for commits, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: Vec<u8>,
    pub(crate) email: Vec<u8>,
}

impl Identity {
    /// kugetsu's own, for the commits of rescues, and where the user has none.
    pub(crate) fn kugetsu() -> Self {
        Self { name: b"kugetsu".to_vec(), email: b"kugetsu@localhost".to_vec() }
    }

    /// Makes it the author and committer of a `commit-tree`.
    pub(crate) fn set_on(&self, mut command: GitCommand) -> GitCommand {
        use std::os::unix::ffi::OsStringExt;
        for role in ["AUTHOR", "COMMITTER"] {
            command = command.env(&format!("GIT_{role}_NAME"), OsString::from_vec(self.name.clone()));
            command = command.env(&format!("GIT_{role}_EMAIL"), OsString::from_vec(self.email.clone()));
        }
        command
    }

    /// The identity that git would use for the user: in the local source repository, or in a clone of the server's. The
    /// clone matters, since settings can depend on the URL (`includeIf "hasconfig:remote.*.url:..."`). Also returns a
    /// notice about what is not set.
    pub(crate) async fn of_user(mirror: &Mirror) -> Result<(Self, Option<String>), WorktreeError> {
        let set = |value: Option<Vec<u8>>| value.filter(|value| !value.trim_ascii().is_empty());
        let clone = match mirror.source() {
            Source::Url(_) => Some(empty_clone(mirror).await?),
            Source::Path(_) => None,
        };
        let scope = match (&clone, mirror.local_repo().await) {
            (Some(clone), _) => ConfigScope::GitDir(clone.path()),
            (None, Ok(Some(local))) => ConfigScope::WorkingDir(&local.root),
            (None, _) => ConfigScope::User,
        };
        let git = mirror.git();
        let (name, email) =
            tokio::try_join!(git.config_value("user.name", scope), git.config_value("user.email", scope))?;
        let (name, email) = (set(name), set(email));
        let missing = match (&name, &email) {
            (Some(_), Some(_)) => None,
            (None, None) => Some("name and e-mail address"),
            (None, Some(_)) => Some("name"),
            (Some(_), None) => Some("e-mail address"),
        };
        let notice = missing.map(|missing| {
            format!(
                "git has no {missing} for you, so commits here carry that of kugetsu; set yours with \
                 `git config --global user.name \"...\"` and `git config --global user.email \"...\"`"
            )
        });
        let own = Self::kugetsu();
        Ok((Self { name: name.unwrap_or(own.name), email: email.unwrap_or(own.email) }, notice))
    }
}

/// A temporary git directory with the remote of a clone of the source.
async fn empty_clone(mirror: &Mirror) -> Result<Scratch, FileError> {
    let dir = mirror.scratch_dir()?;
    let mut config = bare_config(mirror.format(), false);
    config.section("remote", Some(b"origin")).set("url", mirror.display_url().await.as_encoded_bytes());
    create_git_dir(dir.path(), UNBORN_HEAD, &config)?;
    Ok(dir)
}

//! Partial clones: the server that has their missing objects, passed on to the repositories that borrow from them.

use std::path::Path;

use crate::command::login::{Login, strip_credentials};
use crate::command::runner::{Git, GitCommand, GitError};
use crate::git_dir::layout::ConfigFile;

/// The name of the promisor remote in every repository that kugetsu makes.
const REMOTE: &str = "kugetsu-promisor";

/// The server that has the objects which a partial clone left out.
#[derive(Clone, Debug)]
pub(crate) struct Promisor {
    /// The URL without credentials, since agents can read it.
    url: Vec<u8>,
    filter: Vec<u8>,
    /// The credentials that were in the URL.
    pub(crate) login: Option<Login>,
}

impl Promisor {
    /// The promisor of the user's own repository at `dir`, if it is a partial clone.
    pub(crate) async fn of_repo(git: &Git, dir: &Path) -> Result<Option<Self>, GitError> {
        Self::read(git.command("config", format!("read the settings of {}", dir.display())).current_dir(dir)).await
    }

    /// The promisor of a mirror.
    pub(crate) async fn of_mirror(git: &Git, dir: &Path) -> Result<Option<Self>, GitError> {
        Self::read(git.command("config", format!("read the settings of {}", dir.display())).git_dir(dir)).await
    }

    async fn read(command: GitCommand) -> Result<Option<Self>, GitError> {
        let command = command.args(["--null", "--get-regexp", r"^remote\..*\.(promisor|partialclonefilter|url)$"]);
        // 1: there is no such setting.
        let Some(output) = command.answer(&[1]).await?.yes() else { return Ok(None) };
        let entries: Vec<(&[u8], &[u8])> = output
            .records()
            .filter_map(|record| {
                let end = record.iter().position(|byte| *byte == b'\n')?;
                Some((record.get(..end)?, record.get(end + 1..)?))
            })
            .collect();
        let Some(remote) =
            entries.iter().filter(|(_, value)| *value == b"true").find_map(|(key, _)| key.strip_suffix(b".promisor"))
        else {
            return Ok(None);
        };
        let value = |name: &[u8]| {
            let is_it = |key: &[u8]| key.strip_prefix(remote).is_some_and(|rest| rest == name);
            entries.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value.to_vec())
        };
        let filter = value(b".partialclonefilter").unwrap_or_else(|| b"blob:none".to_vec());
        Ok(value(b".url").map(|url| {
            let text = String::from_utf8_lossy(&url);
            let login = Login::from_url(&text);
            let url = if login.is_some() { strip_credentials(&text).into_bytes() } else { url };
            Self { url, filter, login }
        }))
    }

    /// Adds the settings with which a repository fetches missing objects.
    pub(crate) fn write(&self, config: &mut ConfigFile) {
        config.section("extensions", None).set("partialClone", REMOTE.as_bytes());
        config.section("remote", Some(REMOTE.as_bytes()));
        config.set("url", &self.url).set("promisor", b"true").set("partialCloneFilter", &self.filter);
    }
}

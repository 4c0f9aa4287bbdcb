//! The way from a mirror to where it comes from. A folder is looked for when it is needed and not before: it may have
//! been moved or deleted since, and what the mirror keeps is there all the same.

use std::ffi::OsString;

use crate::command::login::Login;
use crate::command::runner::GitCommand;
use crate::mirror::local_repo::LocalRepo;
use crate::mirror::partial_clone::Promisor;
use crate::mirror::repo::Mirror;
use crate::mirror::source::{Source, SourceError};

impl Mirror {
    /// The folder that the repository comes from; `None` where it comes from a server.
    ///
    /// # Errors
    /// [`SourceError`]: the folder is gone, or is no repository any more.
    pub async fn local_repo(&self) -> Result<Option<&LocalRepo>, SourceError> {
        match self.source() {
            Source::Url(_) => Ok(None),
            Source::Path(path) => {
                self.upstream.local_repo.get_or_try_init(|| LocalRepo::find(self.git(), path)).await.map(Some)
            }
        }
    }

    /// What git is given to fetch from and to push to.
    pub(crate) async fn argument(&self) -> Result<OsString, SourceError> {
        Ok(match self.local_repo().await? {
            Some(local) => local.root.clone().into(),
            None => self.source().argument(),
        })
    }

    /// The same for people and for config files, where it does not matter whether it is still there.
    pub(crate) async fn address(&self) -> OsString {
        self.argument().await.unwrap_or_else(|_| self.source().argument())
    }

    /// Adds what a command needs to speak to the source, and to the server that a partial clone's missing objects are on.
    pub(crate) async fn reach(&self, command: GitCommand) -> GitCommand {
        let command = self.source().reach(command);
        match self.promisor_login().await {
            Some(login) => command.with_login(login),
            None => command,
        }
    }

    /// The credentials in the address that the source itself, a partial clone, fetches missing objects from. They are
    /// read from there each time, and written outside_repository.
    async fn promisor_login(&self) -> Option<&Login> {
        let find = async || {
            self.promisor()?;
            let place = &self.local_repo().await.ok()??.root;
            Promisor::of(self.git(), place).await.ok()??.login
        };
        self.upstream.login.get_or_init(find).await.as_ref()
    }
}

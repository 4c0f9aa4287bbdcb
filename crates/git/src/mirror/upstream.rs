//! Access from a mirror to its source. A local repository is looked up only when it is needed: it may have been moved or
//! deleted since, and the mirror is still usable.

use std::ffi::OsString;

use crate::command::login::Login;
use crate::command::runner::GitCommand;
use crate::mirror::local_repo::LocalRepo;
use crate::mirror::partial_clone::Promisor;
use crate::mirror::repo::Mirror;
use crate::mirror::source::{Source, SourceError};

impl Mirror {
    /// The local repository that the mirror was made from; `None` if it was made from a server.
    ///
    /// # Errors
    /// [`SourceError`] if the directory is gone, or is no repository any more.
    pub async fn local_repo(&self) -> Result<Option<&LocalRepo>, SourceError> {
        match self.source() {
            Source::Url(_) => Ok(None),
            Source::Path(path) => {
                self.upstream.local_repo.get_or_try_init(|| LocalRepo::find(self.git(), path)).await.map(Some)
            }
        }
    }

    /// The argument for git to fetch from and push to, without credentials.
    pub(crate) async fn remote_arg(&self) -> Result<OsString, SourceError> {
        Ok(match self.local_repo().await? {
            Some(local) => local.root.clone().into(),
            None => self.source().remote_arg(),
        })
    }

    /// The same for messages and config files, where it does not matter whether the repository is still there.
    pub(crate) async fn display_url(&self) -> OsString {
        self.remote_arg().await.unwrap_or_else(|_| self.source().remote_arg())
    }

    /// Adds the credentials for the source, and for the server that has a partial clone's missing objects.
    pub(crate) async fn authenticate(&self, command: GitCommand) -> GitCommand {
        let command = self.source().authenticate(command);
        match self.promisor_login().await {
            Some(login) => command.with_login(login),
            None => command,
        }
    }

    /// The credentials in the URL from which the source, if it is a partial clone, fetches missing objects. They are read
    /// from its config each time and written nowhere.
    async fn promisor_login(&self) -> Option<&Login> {
        let find = async || {
            self.promisor()?;
            let root = &self.local_repo().await.ok()??.root;
            Promisor::of_repo(self.git(), root).await.ok()??.login
        };
        self.upstream.login.get_or_init(find).await.as_ref()
    }
}

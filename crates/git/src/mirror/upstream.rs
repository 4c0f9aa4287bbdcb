//! Access from a mirror to its source. A local repository is looked up only when it is needed: it may have been moved or
//! deleted since, and the mirror is still usable.

use std::ffi::OsString;
use std::path::Path;

use crate::command::answer::Answer;
use crate::command::login::Login;
use crate::command::runner::{GitCommand, GitError, has_commit};
use crate::mirror::local_repo::LocalRepo;
use crate::mirror::partial_clone::Promisor;
use crate::mirror::repo::{HEAD_REF, MARK, Mirror};
use crate::mirror::source::{Source, SourceError};
use crate::names::Oid;

impl Mirror {
    /// The local repository that the mirror was made from; `None` if it was made from a server.
    ///
    /// # Errors
    /// [`SourceError`] if the directory is gone, or is no repository any more.
    pub async fn local_repo(&self) -> Result<Option<&LocalRepo>, SourceError> {
        match self.source() {
            Source::Url(_) => Ok(None),
            Source::Path(path) => self.upstream.local_repo.get_or_try_init(|| self.find_local(path)).await.map(Some),
        }
    }

    /// Finds the repository and checks that it is not another one: its branches would replace those of the mirror, and the
    /// issues' branches would be pushed to it.
    async fn find_local(&self, path: &Path) -> Result<LocalRepo, SourceError> {
        let local = LocalRepo::find(self.git(), path).await?;
        // Nothing to compare with while the mirror is made.
        if self.dir().join(MARK).exists() && !self.is_of(&local).await? {
            return Err(SourceError::AnotherRepository(local.root));
        }
        Ok(local)
    }

    /// Whether `local` has the history of the mirror: its latest commit, or, if that was rewritten, one of the commits that the
    /// history begins with. A mirror without commits could be of any repository.
    pub async fn is_of(&self, local: &LocalRepo) -> Result<bool, GitError> {
        let Some(head) = self.read_ref(HEAD_REF).await? else { return Ok(true) };
        let has = async |commit: &Oid| {
            let action = format!("look up a commit in {}", local.root.display());
            let command = self.git().command("cat-file", action).current_dir(&local.root).no_lazy_fetch();
            has_commit(command, commit).await
        };
        let (is_whole, is_there) = tokio::try_join!(self.has_commit(&head), has(&head))?;
        // Damage is reported where it matters.
        if is_there || !is_whole {
            return Ok(true);
        }
        let roots = self.command("rev-list", "read the first commits").no_lazy_fetch();
        // 128: parts of the history are missing.
        let roots = match roots.args(["--max-parents=0", HEAD_REF]).answer(&[128]).await? {
            Answer::Yes(roots) => roots,
            Answer::No(_) => return Ok(true),
        };
        for root in roots.lines().filter_map(Oid::from_bytes) {
            if has(&root).await? {
                return Ok(true);
            }
        }
        Ok(false)
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

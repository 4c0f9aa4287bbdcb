//! The LFS objects of a worktree on their way to the server, by way of the mirror.

use std::collections::BTreeSet;

use crate::command::runner::TRANSFER_TIMEOUT;
use crate::files::access::FileError;
use crate::lfs::objects::{copy_objects, object_path, stored_objects};
use crate::lfs::setup::{Lfs, file_url};
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::push::branch::PushError;
use crate::push::outgoing::Outgoing;
use crate::worktree::lifecycle::Worktree;

impl Mirror {
    /// Copies the LFS objects of a worktree and its relay into the mirror, where they outlive it.
    pub(crate) async fn copy_lfs_objects(&self, worktree: &Worktree) -> Result<(), FileError> {
        for git_dir in [worktree.git_dir().as_path(), worktree.relay()] {
            copy_objects(git_dir, self.dir(), None).await?;
        }
        Ok(())
    }

    /// Sends the LFS objects of a worktree that files of new commits stand for to the server, from the mirror, which has these
    /// commits. git-lfs skips those that the server has.
    ///
    /// Objects that no commit of the push names stay here: nothing has looked for secrets in them.
    pub(crate) async fn push_lfs_objects(&self, worktree: &Worktree, head: &Oid) -> Result<(), PushError> {
        let mut names = BTreeSet::new();
        for git_dir in [worktree.git_dir().as_path(), worktree.relay()] {
            names.extend(stored_objects(git_dir)?.into_iter().map(|(name, _)| name));
        }
        names.retain(|name| object_path(self.dir(), name).is_some_and(|path| path.exists()));
        if names.is_empty() {
            return Ok(());
        }
        let (known, is_partial) = (self.server_commits().await?, self.promisor().is_some());
        let outgoing = Outgoing { git: self.git(), git_dir: self.dir(), is_partial, head, known: &known };
        let new = outgoing.lfs_objects().await?;
        names.retain(|name| new.contains(name));
        if names.is_empty() || Lfs::detect(self.git()).await? == Lfs::Missing {
            return Ok(());
        }
        let custom = match self.default_branch().await? {
            // The LFS server may be another one. The default branch names it, not the agent's commits.
            Some(branch) => {
                let command = self.command("config", "read .lfsconfig");
                let command = command.arg(format!("--blob={}:.lfsconfig", branch.tracking_ref()));
                // 1: there is no such file or setting, or git cannot parse the file.
                let found = self.authenticate(command.args(["--get", "lfs.url"])).await.answer(&[1]).await?;
                found.yes().map(|output| output.line())
            }
            None => None,
        };
        let remote = match self.local_repo().await? {
            Some(local) => file_url(local.root.as_os_str().as_encoded_bytes()).into(),
            None => self.remote_arg().await?,
        };
        let names: Vec<_> = names.into_iter().collect();
        for chunk in names.chunks(200) {
            let mut command =
                self.command("lfs", format!("send LFS objects to {}", self.source())).timeout(TRANSFER_TIMEOUT);
            if let Some(url) = &custom {
                command = command.config("lfs.url", url);
            }
            let command = command.args(["push", "--object-id"]).arg(&remote).args(chunk);
            self.authenticate(command).await.run().await.map_err(PushError::from_transfer)?;
        }
        Ok(())
    }
}

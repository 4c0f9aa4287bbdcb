//! The LFS objects of a worktree on their way to the server, by way of the mirror.

use std::collections::BTreeSet;

use crate::command::runner::TRANSFER_TIMEOUT;
use crate::files::access::FileError;
use crate::lfs::objects::{copy_objects, stored_objects};
use crate::lfs::setup::{Lfs, file_url};
use crate::mirror::repo::Mirror;
use crate::push::branch::PushError;
use crate::worktree::lifecycle::Worktree;

impl Mirror {
    /// Copies the LFS objects of a worktree and its relay into the mirror, where they outlive it.
    pub(crate) async fn copy_lfs_objects(&self, worktree: &Worktree) -> Result<(), FileError> {
        for git_dir in [worktree.git_dir().as_path(), worktree.relay()] {
            copy_objects(git_dir, self.dir(), None).await?;
        }
        Ok(())
    }

    /// Sends the LFS objects of a worktree to the server, from the mirror. git-lfs skips those that the server has.
    pub(crate) async fn push_lfs_objects(&self, worktree: &Worktree) -> Result<(), PushError> {
        let mut names = BTreeSet::new();
        for git_dir in [worktree.git_dir().as_path(), worktree.relay()] {
            names.extend(stored_objects(git_dir)?.into_iter().map(|(name, _)| name));
        }
        names.retain(|name| self.has_lfs_object(name));
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

    fn has_lfs_object(&self, name: &str) -> bool {
        let (Some(a), Some(b)) = (name.get(..2), name.get(2..4)) else { return false };
        self.dir().join("lfs/objects").join(a).join(b).join(name).exists()
    }
}

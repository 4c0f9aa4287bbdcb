//! The large files (Git LFS) of a worktree on their way out: into the mirror, and from there to the server.

use std::collections::BTreeSet;

use crate::command::runner::TRANSFER_TIMEOUT;
use crate::files::access::FileError;
use crate::lfs::objects::{contents, take_contents};
use crate::lfs::setup::Lfs;
use crate::mirror::repo::Mirror;
use crate::push::branch::PushError;
use crate::worktree::lifecycle::Worktree;

impl Mirror {
    /// Takes the large contents of a worktree and its relay, so that they outlive it.
    pub(crate) async fn take_large(&self, worktree: &Worktree) -> Result<(), FileError> {
        for git_dir in [worktree.git_dir().as_path(), worktree.relay()] {
            take_contents(git_dir, self.dir()).await?;
        }
        Ok(())
    }

    /// Sends the large contents of a worktree to the server, from the mirror. The server takes those that it lacks.
    pub(crate) async fn push_large(&self, worktree: &Worktree) -> Result<(), PushError> {
        let names: BTreeSet<String> = [worktree.git_dir().as_path(), worktree.relay()]
            .into_iter()
            .flat_map(contents)
            .map(|(name, _)| name)
            .filter(|name| self.has_content(name))
            .collect();
        if names.is_empty() || Lfs::find(self.git()).await? == Lfs::Missing {
            return Ok(());
        }
        let custom = match self.default_branch().await? {
            // A server of its own that the repository names; not as the agent names it.
            Some(branch) => {
                let command = self.command("config", "read .lfsconfig");
                let command = command.arg(format!("--blob={}:.lfsconfig", branch.tracking()));
                let output = self.reach(command.args(["--get", "lfs.url"])).await.output().await?;
                (output.code == 0).then(|| output.line())
            }
            None => None,
        };
        let names: Vec<_> = names.into_iter().collect();
        for some in names.chunks(200) {
            let mut command =
                self.command("lfs", format!("send large files to {}", self.source())).timeout(TRANSFER_TIMEOUT);
            if let Some(url) = &custom {
                command = command.config("lfs.url", url);
            }
            let command = command.args(["push", "--object-id"]).arg(self.argument().await?).args(some);
            self.reach(command).await.run().await.map_err(PushError::from_transfer)?;
        }
        Ok(())
    }

    fn has_content(&self, name: &str) -> bool {
        let (Some(a), Some(b)) = (name.get(..2), name.get(2..4)) else { return false };
        self.dir().join("lfs/objects").join(a).join(b).join(name).exists()
    }
}

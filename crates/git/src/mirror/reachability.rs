//! Which commits the mirror has, and which of them would survive the removal of a worktree.

use crate::command::runner::GitError;
use crate::mirror::repo::Mirror;
use crate::names::{BranchName, Oid};

/// The refs of what kugetsu pushed last: `refs/kugetsu/pushed/<branch>`.
pub(crate) const PUSHED: &str = "refs/kugetsu/pushed/";
/// The refs of rescues: `refs/kugetsu/rescue/<issue>/<time>`.
pub(crate) const RESCUE: &str = "refs/kugetsu/rescue/";

impl Mirror {
    /// The tips of everything that is safe: on the server as of the last update, pushed by kugetsu, or in a rescue.
    pub(crate) async fn safe_commits(&self) -> Result<Vec<Oid>, GitError> {
        self.tips(&["refs/remotes/origin", "refs/tags", PUSHED.trim_end_matches('/'), RESCUE.trim_end_matches('/')])
            .await
    }

    /// The objects of all refs. Each is complete, since git checked it when it came in.
    pub(crate) async fn known_commits(&self) -> Result<Vec<Oid>, GitError> {
        self.tips(&["refs"]).await
    }

    /// The tips of the server's branches except `own`.
    pub(crate) async fn other_branch_tips(&self, own: &BranchName) -> Result<Vec<Oid>, GitError> {
        let own = own.tracking_ref();
        let refs = self.refs(&["refs/remotes/origin"]).await?;
        Ok(sorted(refs.into_iter().filter(|(name, _)| *name != own.as_bytes()).map(|(_, oid)| oid).collect()))
    }

    async fn tips(&self, prefixes: &[&str]) -> Result<Vec<Oid>, GitError> {
        Ok(sorted(self.refs(prefixes).await?.into_iter().map(|(_, oid)| oid).collect()))
    }
}

fn sorted(mut oids: Vec<Oid>) -> Vec<Oid> {
    oids.sort_unstable();
    oids.dedup();
    oids
}

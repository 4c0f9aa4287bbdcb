//! Which commits the mirror knows, and which of them are safe.

use crate::command::runner::GitError;
use crate::mirror::repo::Mirror;
use crate::names::{BranchName, Oid};

/// Where kugetsu notes what it pushed: `refs/kugetsu/pushed/<branch>`.
pub(crate) const PUSHED: &str = "refs/kugetsu/pushed/";
/// Where rescues are: `refs/kugetsu/rescue/<issue>/<time>`.
pub(crate) const RESCUE: &str = "refs/kugetsu/rescue/";

impl Mirror {
    /// Commits that are safe: on the server, as far as is known, or in a rescue.
    pub(crate) async fn safe(&self) -> Result<Vec<Oid>, GitError> {
        self.tips(&["refs/remotes/origin", "refs/tags", PUSHED.trim_end_matches('/'), RESCUE.trim_end_matches('/')])
            .await
    }

    /// Everything that a ref here names: whole, as git checked it when it came.
    pub(crate) async fn known(&self) -> Result<Vec<Oid>, GitError> {
        self.tips(&["refs"]).await
    }

    /// The server's branches, but for `own`.
    pub(crate) async fn others(&self, own: &BranchName) -> Result<Vec<Oid>, GitError> {
        let own = own.tracking();
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

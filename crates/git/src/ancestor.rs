//! Whether one commit is part of another's history.

use crate::names::Oid;
use crate::untrusted::quarantine::Quarantine;
use crate::worktree::Worktree;

impl Worktree {
    /// Whether `head` contains `other`, as far as the commits here tell: pushing `head` over it would then lose nothing.
    /// A commit that is not here is not contained.
    pub async fn has_ancestor(&self, head: &Oid, other: &Oid) -> bool {
        let git_dir = self.git_dir();
        let Ok(quarantine) = Quarantine::open(self.mirror(), &[&git_dir, self.relay()], Some(head)).await else {
            return false;
        };
        let command = quarantine.command("merge-base", "compare two commits");
        let output = command.args(["--is-ancestor", other.as_str(), head.as_str()]).output().await;
        output.is_ok_and(|output| output.code == 0)
    }
}

//! What a repository on this machine says of its own remotes.

use crate::door::Git;
use crate::source::Located;

impl Located {
    /// The address of a remote, with the user's own rewriting (`insteadOf`); `None` if there is no such remote.
    pub async fn remote_url(&self, git: &Git, remote: &str) -> Option<String> {
        let call = git.call("remote", format!("read the remotes of {}", self.place.display())).at(&self.place);
        let answer = call.args(["get-url", "--", remote]).only_reads().any_code().await.ok()?;
        (answer.code == 0).then(|| answer.line())
    }
}

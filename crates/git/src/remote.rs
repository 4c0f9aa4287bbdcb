//! What a repository on this machine says of its own remotes.

use crate::command::runner::Git;
use crate::source::Located;

impl Located {
    /// The address of a remote, with the user's own rewriting (`insteadOf`); `None` if there is no such remote.
    pub async fn remote_url(&self, git: &Git, remote: &str) -> Option<String> {
        let command =
            git.command("remote", format!("read the remotes of {}", self.place.display())).current_dir(&self.place);
        let output = command.args(["get-url", "--", remote]).no_optional_locks().output().await.ok()?;
        (output.code == 0).then(|| output.line())
    }
}

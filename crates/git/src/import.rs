//! Takes a commit out of a quarantine into the mirror: git packs it, counts it through and checks every object on the way.

use crate::command::runner::{GitError, TRANSFER_TIMEOUT};
use crate::mirror::Mirror;
use crate::names::Oid;
use crate::untrusted::quarantine::{OUT_REF, Quarantine};

impl Mirror {
    /// Makes `name` here be `commit` from the quarantine, with all its objects. An object that git's checks find odd (a strange
    /// date, a broken mode) is still taken if its contents are what its id says: work is not lost for its looks.
    pub(crate) async fn import(&self, quarantine: &Quarantine, commit: &Oid, name: &str) -> Result<(), GitError> {
        quarantine.command("update-ref", "name the commit").args([OUT_REF, commit.as_str()]).run().await?;
        match self.take(quarantine, name, true).await {
            Ok(()) => {}
            Err(GitError::Failed { .. }) => self.take(quarantine, name, false).await?,
            Err(error) => return Err(error),
        }
        // Git fetches from a repository whose history is cut off, and then leaves out what it could not take, without
        // an error.
        match self.read_ref(name).await? {
            Some(taken) if taken == *commit => Ok(()),
            _ => Err(GitError::UnexpectedOutput {
                action: "take the commits into the mirror".to_owned(),
                output: format!("the history of {} is cut off", commit.short()),
            }),
        }
    }

    async fn take(&self, quarantine: &Quarantine, name: &str, checked: bool) -> Result<(), GitError> {
        let command = self.command("fetch", "take the commits into the mirror").timeout(TRANSFER_TIMEOUT);
        let command = command.config("fetch.fsckObjects", if checked { "true" } else { "false" });
        // Kept as a pack whatever its size: an agent's thousand loose objects do not become the mirror's.
        let command = command.config("fetch.unpackLimit", "100");
        let command = command.args(["--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options"]);
        command.arg(quarantine.dir()).arg(format!("+{OUT_REF}:{name}")).run().await.map(drop)
    }
}

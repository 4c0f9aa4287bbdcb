//! The commits that a rescue consists of.

use crate::command::runner::GitError;
use crate::names::Oid;
use crate::untrusted::changes::Marks;
use crate::untrusted::quarantine::Quarantine;
use crate::worktree::identity::Identity;

/// The date of commits that are the same whenever they are made, so that `equal_rescue` finds an earlier rescue.
const FIXED_DATE: Option<&str> = Some("@0 +0000");

/// Commits the index, without paths that have a conflict.
pub(super) async fn commit_index(quarantine: &Quarantine, head: Option<&Oid>, marks: &Marks) -> Result<Oid, GitError> {
    let tree = quarantine.command("write-tree", "store what is staged").arg("--missing-ok");
    let tree = if marks.unmerged.is_empty() {
        tree.run().await?.oid()?
    } else {
        // In an index beside it, since the files are added to the index itself later.
        let command = |subcommand: &str| {
            let index = quarantine.dir().join("staged-index");
            quarantine.command(subcommand, "store what is staged").env("GIT_INDEX_FILE", index)
        };
        let listed = quarantine.command("ls-files", "list the index").args(["--stage", "-z"]).run().await?;
        let staged: Vec<u8> = listed
            .records()
            .filter(|record| record.split(|byte| *byte == b'\t').next().is_some_and(|fields| fields.ends_with(b" 0")))
            .flat_map(|record| record.iter().copied().chain([0]))
            .collect();
        command("read-tree").arg("--empty").run().await?;
        command("update-index").args(["-z", "--index-info"]).stdin(staged).run().await?;
        command("write-tree").arg("--missing-ok").run().await?.oid()?
    };
    let parents: Vec<Oid> = head.cloned().into_iter().collect();
    commit_fixed(quarantine, &tree, &parents, "What was staged.\n").await
}

/// Creates a commit that is the same whenever it is made.
pub(super) async fn commit_fixed(
    quarantine: &Quarantine,
    tree: &Oid,
    parents: &[Oid],
    message: &str,
) -> Result<Oid, GitError> {
    commit(quarantine, tree, parents, message, FIXED_DATE).await
}

/// Creates a commit, with the time of `date` if one is given.
pub(super) async fn commit(
    quarantine: &Quarantine,
    tree: &Oid,
    parents: &[Oid],
    message: &str,
    date: Option<&str>,
) -> Result<Oid, GitError> {
    let mut command = quarantine.command("commit-tree", "create the rescue").args(["-F", "-"]).arg(tree.as_str());
    for parent in parents {
        command = command.args(["-p", parent.as_str()]);
    }
    command = Identity::kugetsu().set_on(command);
    for role in date.map(|_| ["AUTHOR", "COMMITTER"]).into_iter().flatten() {
        command = command.env(&format!("GIT_{role}_DATE"), date.unwrap_or_default());
    }
    command.config("i18n.commitEncoding", "UTF-8").stdin(message.as_bytes()).run().await?.oid()
}

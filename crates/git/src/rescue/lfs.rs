//! The content of LFS files in the commits of a rescue. It is kept in the mirror's store, from which a restore copies it.

use std::path::Path;

use crate::command::runner::GitError;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::push::lfs::named;
use crate::push::outgoing::Outgoing;
use crate::rescue::commits::commit_fixed;
use crate::rescue::error::RescueError;
use crate::rescue::note::Note;
use crate::untrusted::quarantine::Quarantine;
use crate::worktree::lifecycle::Worktree;

/// Copies the content of the LFS files that these commits and this tree have, and the server's commits do not, into the mirror.
/// `temporary` is the run's temporary directory, which may be the agent's store.
///
/// Content that was not found is named: as unsaved work if a part of the files could not be searched, else as lost before.
pub(super) async fn keep_content(
    mirror: &Mirror,
    worktree: &Worktree,
    quarantine: &Quarantine,
    (commits, tree): (&[Oid], Option<&Oid>),
    temporary: Option<&Path>,
    note: &mut Note,
) -> Result<(), RescueError> {
    let known = mirror.server_commits().await?;
    // Those of the server tell which files of the tree are new.
    let is_needed = |commit: &&Oid| tree.is_some() || known.binary_search(commit).is_err();
    let commits: Vec<Oid> = commits.iter().filter(is_needed).cloned().collect();
    if commits.is_empty() && tree.is_none() {
        return Ok(());
    }
    let tree = match tree {
        Some(tree) => tree.clone(),
        None => empty_tree(quarantine).await?,
    };
    let head = &commit_fixed(quarantine, &tree, &commits, "The commits of a rescue.\n").await?;
    let is_partial = mirror.promisor().is_some();
    let outgoing = Outgoing { git: quarantine.git(), git_dir: quarantine.dir(), is_partial, head, known: &known };
    let mut files = outgoing.lfs_files().await?;
    let absent = mirror.copy_lfs_content(worktree, temporary, &files).await?;
    files.retain(|file| absent.pointers.contains(&file.pointer));
    let missing = outgoing.unknown_to_server(files).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let names = named(&missing);
    let (list, text) = match absent.unreadable.first() {
        Some(why) => (&mut note.unsaved, format!("the LFS content of {names} (could not search {why})")),
        None => (&mut note.notices, format!("the LFS content of {names} was not found; the rescue has the pointer")),
    };
    if !list.contains(&text) {
        list.push(text);
    }
    Ok(())
}

async fn empty_tree(quarantine: &Quarantine) -> Result<Oid, GitError> {
    let command = quarantine.command("hash-object", "create an empty tree");
    command.args(["-w", "-t", "tree", "--stdin"]).stdin(Vec::new()).run().await?.oid()
}

//! The uncommitted files of linked worktrees, which an agent added with `git worktree add`. Their directories may be anywhere, and
//! their commits are those of the worktree. Each becomes a commit that is restored as a ref.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::files::access::join_bytes;
use crate::files::special::SetAside;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::printable::printable;
use crate::rescue::commits::{commit_fixed, commit_index};
use crate::rescue::error::RescueError;
use crate::rescue::nested::{Imported, LINKED, restored_ref};
use crate::rescue::note::{NestedHead, Note};
use crate::rescue::tree::write_tree;
use crate::untrusted::changes::Changes;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::{Head, LinkedWorktree, UntrustedRepo, linked_worktrees};
use crate::worktree::left_behind::own_files;
use crate::worktree::lifecycle::Worktree;

/// Maximum number of linked worktrees whose files are saved.
const WORKTREES_MAX: usize = 20;
/// Maximum number of changed files of one, and of their bytes: a directory can be made a linked worktree that holds much more than
/// an agent's work.
const FILES_MAX: usize = 50_000;
const BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// The name of the commit, see [`NestedHead`].
pub(super) const FILES: &[u8] = b"files";

/// Imports the files of linked worktrees that differ from their HEAD. `changes` are those of the worktree: what is listed there is
/// saved with its files. What is too much, or cannot be read, is added to the note's list of unsaved work.
pub(super) async fn import_linked(
    mirror: &Mirror,
    worktree: &Worktree,
    own: &UntrustedRepo,
    changes: &Changes,
    max_file: u64,
    note: &mut Note,
    imported: &mut Imported,
) -> Result<(), RescueError> {
    let linked = match linked_worktrees(&worktree.git_dir()) {
        Ok(linked) => linked,
        Err(error) => {
            note.unsaved.push(printable(error.to_string().as_bytes()));
            return Ok(());
        }
    };
    let mut saved = 0;
    for linked in &linked {
        let dir = match own_files(linked) {
            Ok(Some(dir)) if !is_listed(worktree.dir(), &dir, changes) => dir,
            Ok(_) => continue,
            Err(error) => {
                note.unsaved.push(printable(error.to_string().as_bytes()));
                continue;
            }
        };
        let shown = printable(dir.as_os_str().as_bytes());
        if saved == WORKTREES_MAX {
            imported.linked.push(dir.clone());
            note.unsaved.push(format!("the linked worktree {shown} (there are more than {WORKTREES_MAX})"));
            continue;
        }
        let objects = [worktree.git_dir(), worktree.relay().to_owned()];
        let objects: Vec<&Path> = objects.iter().map(PathBuf::as_path).collect();
        let unsaved = note.unsaved.len();
        let result = save_files(mirror, &objects, own, linked, &dir, max_file, note, imported).await;
        if note.unsaved.len() > unsaved || !matches!(result, Ok(None)) {
            imported.linked.push(dir.clone());
        }
        match result {
            Ok(Some(head)) => {
                saved += 1;
                let name = printable(&restored_ref(&head));
                note.notices.push(format!("the files of the linked worktree {shown} are in {name}"));
                note.nested.push(head);
            }
            Ok(None) => {}
            Err(RescueError::File(error)) => {
                note.unsaved.push(format!("the linked worktree {shown} ({})", printable(error.to_string().as_bytes())));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the directory is among the changes of the worktree that contains it.
fn is_listed(worktree: &Path, dir: &Path, changes: &Changes) -> bool {
    let Ok(real) = worktree.canonicalize() else { return false };
    changes.nested.iter().any(|nested| dir.starts_with(join_bytes(&real, nested)))
}

/// Imports the files of a linked worktree of the repository `own`, whose objects are in these git directories.
#[expect(clippy::too_many_arguments, reason = "two repositories, the limits and the results, each needed once")]
pub(super) async fn save_files(
    mirror: &Mirror,
    objects: &[&Path],
    own: &UntrustedRepo,
    linked: &LinkedWorktree,
    dir: &Path,
    max_file: u64,
    note: &mut Note,
    imported: &mut Imported,
) -> Result<Option<NestedHead>, RescueError> {
    let head = match &linked.head {
        Some(Head::Detached(oid)) => Some(oid),
        Some(Head::Symbolic(name)) => own.refs.get(name),
        None => None,
    };
    let mut quarantine = Quarantine::open(mirror, objects, head).await?;
    let mut head = head.cloned();
    if let Some(commit) = &head
        && !quarantine.is_complete(&[commit], &mirror.known_commits().await?).await?
    {
        quarantine = Quarantine::open(mirror, objects, None).await?;
        head = None;
    }
    let aside = SetAside::of(dir).await?;
    let changes = quarantine.changes(mirror, dir, &linked.git_dir.join("index"), head.as_ref()).await?;
    let shown = printable(dir.as_os_str().as_bytes());
    note.unsaved.extend(changes.unreadable.iter().map(|why| format!("in the linked worktree {shown}: {why}")));
    if changes.files.is_empty() && changes.nested.is_empty() {
        return Ok(None);
    }
    note.notices.extend(aside.described.iter().map(|special| format!("{shown}: {special}, which git cannot store")));
    if let Some(why) = excess(dir, &changes) {
        note.unsaved.push(format!("the linked worktree {shown} ({why}; commit its files, or remove it)"));
        return Ok(None);
    }
    let staged = match changes.any_staged() {
        true => Some(commit_index(&quarantine, head.as_ref(), &changes.marks).await?),
        false => None,
    };
    let mut its_note = Note::default();
    let (tree, large) = write_tree(&quarantine, dir, &changes, max_file, &mut its_note).await?;
    note.unsaved.extend(its_note.unsaved.iter().map(|file| format!("in the linked worktree {shown}: {file}")));
    note.unsaved.extend(large.iter().map(|file| {
        format!("in the linked worktree {shown}: {} (it is larger than rescue.max_file)", printable(file))
    }));
    let parents: Vec<Oid> = head.into_iter().chain(staged).collect();
    let text = format!("The files of the linked worktree {shown}.\n");
    let commit = commit_fixed(&quarantine, &tree, &parents, &text).await?;
    mirror.import(&quarantine, &commit, &imported.refs.add()).await?;
    imported.commits.push(commit.clone());
    let name = linked.git_dir.file_name().unwrap_or_default().as_bytes();
    Ok(Some(NestedHead { path: [LINKED, name].concat(), name: FILES.to_vec(), commit }))
}

/// Why the changes are more than a rescue stores.
pub(super) fn excess(dir: &Path, changes: &Changes) -> Option<String> {
    if changes.files.len() > FILES_MAX {
        return Some(format!("it has {} changed files, more than {FILES_MAX}", changes.files.len()));
    }
    let size = |path: &Vec<u8>| join_bytes(dir, path).symlink_metadata().map_or(0, |meta| meta.len());
    let bytes: u64 = changes.files.iter().map(|change| size(&change.path)).sum();
    (bytes > BYTES_MAX).then(|| format!("its changed files have {} MiB, more than {}", bytes >> 20, BYTES_MAX >> 20))
}

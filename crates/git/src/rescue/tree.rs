//! The files of a worktree as a git tree, byte for byte.

use std::collections::BTreeSet;
use std::path::Path;

use crate::command::answer::Answer;
use crate::command::runner::{GitError, TRANSFER_TIMEOUT};
use crate::files::access::{is_dir_there, is_real_dir, join_bytes, open_unfollowed};
use crate::files::index::copy_index;
use crate::names::Oid;
use crate::printable::printable;
use crate::rescue::note::Note;
use crate::untrusted::changes::Changes;
use crate::untrusted::quarantine::{Conversion, Quarantine};
use crate::untrusted::reader::nested_git_dir;

/// Maximum depth of repositories in repositories.
const DEPTH_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A readable file, or a link.
    Content,
    /// The directory of a checked-out submodule.
    Submodule,
    Unreadable,
    /// A file of more bytes than a rescue stores in git.
    Large,
    /// The directory of a submodule that is not checked out.
    EmptySubmodule,
    /// Nothing, or something that git does not store: a directory, a FIFO, a socket, a device.
    Nothing,
}

/// Adds all changes to the index of the quarantine and writes it as a tree. Files that cannot be read are added to the
/// note's list of unsaved work.
///
/// Files of more than `max_file` bytes are left out; returns their paths too.
pub(super) async fn write_tree(
    quarantine: &Quarantine,
    files: &Path,
    changes: &Changes,
    max_file: u64,
    note: &mut Note,
) -> Result<(Oid, Vec<Vec<u8>>), GitError> {
    let unsaved = &mut note.unsaved;
    let (mut add, mut remove, mut large) = (Vec::new(), Vec::new(), Vec::new());
    let gitlinks = &changes.marks.gitlinks;
    let mut sort = |path: Vec<u8>, unsaved: &mut Vec<String>| match kind(files, &path, max_file, gitlinks) {
        Kind::Content | Kind::Submodule => add.push(path),
        Kind::EmptySubmodule => {}
        Kind::Large => {
            remove.push(path.clone());
            large.push(path);
        }
        Kind::Nothing => remove.push(path),
        Kind::Unreadable => unsaved.push(unsaved_file(&path, "it cannot be read")),
    };
    for change in &changes.files {
        sort(change.path.clone(), unsaved);
    }
    let mut nested_repos = Vec::new();
    for dir in &changes.nested {
        // In the index the directory may be a submodule; its files replace it.
        nested_repos.push(dir.clone());
        for path in Box::pin(nested_files(quarantine, files, dir, 0)).await? {
            sort(path, unsaved);
        }
    }
    remove.extend(nested_repos);
    if quarantine.set_conversion(Conversion::Raw).is_err() {
        note.notices.push("line endings may be those of git instead of the file's".to_owned());
    }
    remove_from_index(quarantine, &remove, quarantine.oid_digits()).await?;
    add_to_index(quarantine, files, &add, unsaved).await?;
    let tree = quarantine.command("write-tree", "store the files").arg("--missing-ok").timeout(TRANSFER_TIMEOUT);
    Ok((tree.run().await?.oid()?, large))
}

/// An entry for the list of unsaved work. The worktree is not removed while it has such files, so it says what to do.
pub(super) fn unsaved_file(path: &[u8], reason: &str) -> String {
    format!("{} ({reason}; move or delete it)", printable(path))
}

/// Follows no link, not even in the directories of the path.
fn kind(files: &Path, path: &[u8], max_file: u64, gitlinks: &BTreeSet<Vec<u8>>) -> Kind {
    let mut current = files.to_owned();
    let mut parts = path.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        current = join_bytes(&current, part);
        match is_dir_there(&current) {
            _ if parts.peek().is_none() => {}
            Ok(true) => {}
            Ok(false) => return Kind::Nothing,
            Err(_) => return Kind::Unreadable,
        }
    }
    let meta = match current.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Kind::Nothing,
        Err(_) => return Kind::Unreadable,
    };
    if meta.is_symlink() {
        return Kind::Content;
    }
    if meta.is_dir() {
        return match current.join(".git").symlink_metadata() {
            Ok(_) => Kind::Submodule,
            Err(_) if gitlinks.contains(path) => Kind::EmptySubmodule,
            Err(_) => Kind::Nothing,
        };
    }
    if !meta.is_file() {
        return Kind::Nothing;
    }
    match open_unfollowed(&current) {
        Ok(_) if meta.len() > max_file => Kind::Large,
        Ok(_) => Kind::Content,
        Err(_) => Kind::Unreadable,
    }
}

/// The files of a nested repository: those in its index, and those that it does not ignore.
async fn nested_files(
    quarantine: &Quarantine,
    files: &Path,
    dir: &[u8],
    depth: usize,
) -> Result<Vec<Vec<u8>>, GitError> {
    let root = join_bytes(files, dir);
    if depth > DEPTH_MAX || !is_real_dir(&root) {
        return Ok(Vec::new());
    }
    let index = quarantine.dir().join("nested-index");
    // Without its index all files count as new.
    let git_dir = nested_git_dir(&root, files).ok().flatten();
    let copied = git_dir.is_some_and(|dir| copy_index(&dir.join("index"), &index).is_ok_and(|copied| copied));
    let list = |selection: &'static [&'static str]| {
        let command = quarantine.command_on(&root, "ls-files", "list the files of a nested repository");
        command.env("GIT_INDEX_FILE", &index).args(["-z", "--exclude-standard"]).args(selection)
    };
    let whole = match copied {
        true => list(&["--cached", "--others"]).whole().await?.yes(),
        false => None,
    };
    let listed = match whole {
        Some(listed) => listed,
        None => {
            // Without an index that git can read, all files count as new.
            let _ = std::fs::remove_file(&index);
            list(&["--others"]).run().await?
        }
    };
    let mut paths = Vec::new();
    for path in listed.records() {
        let whole = [dir, b"/", path.strip_suffix(b"/").unwrap_or(path)].concat();
        if is_real_dir(&join_bytes(files, &whole)) {
            paths.extend(Box::pin(nested_files(quarantine, files, &whole, depth + 1)).await?);
        } else {
            paths.push(whole);
        }
    }
    Ok(paths)
}

/// Removes paths from the index, whatever exists there.
pub(super) async fn remove_from_index(
    quarantine: &Quarantine,
    paths: &[Vec<u8>],
    digits: usize,
) -> Result<(), GitError> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut lines = Vec::new();
    for path in paths {
        lines.extend_from_slice(b"0 ");
        lines.resize(lines.len() + digits, b'0');
        lines.push(b'\t');
        lines.extend_from_slice(path);
        lines.push(0);
    }
    let command = quarantine.command("update-index", "remove files from the index").args(["-z", "--index-info"]);
    command.stdin(lines).run().await.map(drop)
}

/// Stores files and adds them to the index.
///
/// One git process takes all paths, but fails as a whole if it rejects one of them. Then the list is halved until the
/// rejected paths are alone; they are added to `unsaved`.
async fn add_to_index(
    quarantine: &Quarantine,
    files: &Path,
    paths: &[Vec<u8>],
    unsaved: &mut Vec<String>,
) -> Result<(), GitError> {
    let mut parts = vec![paths];
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let command = quarantine.command_on(files, "update-index", "store the files").timeout(TRANSFER_TIMEOUT);
        let command = command.args(["--add", "--remove", "--replace", "-z", "--stdin"]);
        let listed: Vec<u8> = part.iter().flat_map(|path| path.iter().copied().chain([0])).collect();
        // 128: git rejects one of the paths.
        match (command.stdin(listed).answer(&[128]).await?, part) {
            (Answer::Yes(output), _) => {
                // Git skips names that a repository must not contain: `.git`, and what other systems take for it.
                let ignored =
                    output.stderr.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"Ignoring path "));
                unsaved.extend(ignored.map(|path| unsaved_file(path, "git does not allow such a name")));
            }
            (Answer::No(failed), [path]) => {
                let message = match failed.error {
                    GitError::Failed { stderr, .. } => stderr.as_str().lines().next().unwrap_or_default().to_owned(),
                    error => return Err(error),
                };
                unsaved.push(unsaved_file(path, &message));
            }
            (Answer::No(_), part) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([first, second]);
            }
        }
    }
    Ok(())
}

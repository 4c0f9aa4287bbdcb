//! The files of a worktree as a tree, byte for byte.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::command::runner::{GitError, TRANSFER_TIMEOUT};
use crate::files::access::below;
use crate::files::access::is_real_dir;
use crate::names::Oid;
use crate::rescue::note::Note;
use crate::shown::shown;
use crate::untrusted::changes::Changes;
use crate::untrusted::quarantine::{Conversion, Quarantine};
use crate::untrusted::reader::nested_git_dir;

/// Repositories inside repositories, so deep.
const DEPTH_MAX: usize = 16;

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A file that can be read, or a link.
    Content,
    /// A directory where a submodule is checked out.
    Submodule,
    /// A file that cannot be read.
    Unreadable,
    /// Nothing, or what git does not keep: a directory, a FIFO, a socket, a device.
    Nothing,
}

/// Writes the tree: the index of the quarantine with all changes taken in. What could not be read is added to the note.
pub(super) async fn write_tree(
    quarantine: &Quarantine,
    files: &Path,
    changes: &Changes,
    note: &mut Note,
) -> Result<Oid, GitError> {
    let unsaved = &mut note.unsaved;
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    let mut sort = |path: Vec<u8>, unsaved: &mut Vec<String>| match kind(files, &path) {
        Kind::Content | Kind::Submodule => add.push(path),
        Kind::Nothing => remove.push(path),
        Kind::Unreadable => unsaved.push(unsaved_file(&path, "it cannot be read")),
    };
    for change in &changes.files {
        sort(change.path.clone(), unsaved);
    }
    let mut gone = Vec::new();
    for dir in &changes.nested {
        gone.push(dir.clone());
        for path in Box::pin(nested_files(quarantine, files, dir, 0)).await? {
            sort(path, unsaved);
        }
    }
    remove.extend(gone);
    if quarantine.set_conversion(Conversion::Raw).is_err() {
        note.notices.push("line ends may be git's, not the file's".to_owned());
    }
    take_out(quarantine, &remove, quarantine.oid_digits()).await?;
    put_in(quarantine, files, &add, unsaved).await?;
    let tree = quarantine.command("write-tree", "keep the files").arg("--missing-ok").timeout(TRANSFER_TIMEOUT);
    tree.run().await?.oid()
}

/// A file that is not saved, and what to do about it: nothing that holds one is removed.
fn unsaved_file(path: &[u8], why: &str) -> String {
    format!("{} ({why}; move or delete it)", shown(path))
}

/// What lies there; no link is followed, not even on the way.
fn kind(files: &Path, path: &[u8]) -> Kind {
    let mut place = files.to_owned();
    let mut parts = path.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        place = below(&place, part);
        if parts.peek().is_some() && !is_real_dir(&place) {
            return Kind::Nothing;
        }
    }
    let Ok(meta) = place.symlink_metadata() else { return Kind::Nothing };
    if meta.is_symlink() {
        return Kind::Content;
    }
    if meta.is_dir() {
        return if place.join(".git").symlink_metadata().is_ok() { Kind::Submodule } else { Kind::Nothing };
    }
    if !meta.is_file() {
        return Kind::Nothing;
    }
    match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&place) {
        Ok(_) => Kind::Content,
        Err(_) => Kind::Unreadable,
    }
}

/// The files of a repository inside the worktree: what its index knows and what it does not ignore.
async fn nested_files(
    quarantine: &Quarantine,
    files: &Path,
    dir: &[u8],
    depth: usize,
) -> Result<Vec<Vec<u8>>, GitError> {
    let place = below(files, dir);
    if depth > DEPTH_MAX || !is_real_dir(&place) {
        return Ok(Vec::new());
    }
    let index = quarantine.dir().join("nested-index");
    // Without an index of its own all its files are new.
    let copied = nested_git_dir(&place, files)
        .and_then(|git_dir| crate::files::access::read_regular(&git_dir.join("index"), 1 << 30))
        .is_some_and(|bytes| std::fs::write(&index, bytes).is_ok());
    let list = |what: &'static [&'static str]| {
        let command = quarantine.command_on(&place, "ls-files", "list the files of a repository inside");
        command.env("GIT_INDEX_FILE", &index).args(["-z", "--exclude-standard"]).args(what)
    };
    let mut listed = match copied {
        true => list(&["--cached", "--others"]).output().await?,
        false => list(&["--others"]).output().await?,
    };
    // The index is read only here; if git cannot read it, the files are all there is.
    let removed = std::fs::remove_file(&index);
    if copied && listed.code != 0 && removed.is_ok() {
        listed = list(&["--others"]).run().await?;
    }
    let mut found = Vec::new();
    for path in listed.records() {
        let whole = [dir, b"/", path.strip_suffix(b"/").unwrap_or(path)].concat();
        if is_real_dir(&below(files, &whole)) {
            found.extend(Box::pin(nested_files(quarantine, files, &whole, depth + 1)).await?);
        } else {
            found.push(whole);
        }
    }
    Ok(found)
}

/// Takes paths out of the index, whatever lies there now.
async fn take_out(quarantine: &Quarantine, paths: &[Vec<u8>], digits: usize) -> Result<(), GitError> {
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
    let command = quarantine.command("update-index", "take removed files out").args(["-z", "--index-info"]);
    command.stdin(lines).run().await.map(drop)
}

/// Stores files and puts them into the index. Where git refuses some, halves are tried until those are found that it
/// will not take.
async fn put_in(
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
        let output = command.stdin(listed).output().await?;
        match (output.code, part) {
            (0, _) => {
                // Names that a repository must not hold (`.git`, and what other systems take for it) are left out.
                let ignored =
                    output.stderr.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"Ignoring path "));
                unsaved.extend(ignored.map(|path| unsaved_file(path, "git does not hold such a name")));
            }
            (_, [path]) => {
                let words = match output.failed {
                    GitError::Failed { stderr, .. } => stderr.as_str().lines().next().unwrap_or_default().to_owned(),
                    error => return Err(error),
                };
                unsaved.push(unsaved_file(path, &words));
            }
            (_, part) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([first, second]);
            }
        }
    }
    Ok(())
}

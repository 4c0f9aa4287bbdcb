//! Files of a git directory that name objects which no ref names: pseudo refs such as `ORIG_HEAD` and `MERGE_AUTOSTASH`, and
//! the files of an unfinished rebase, merge, cherry-pick, revert or bisect. Linked worktrees have their own.

use std::path::Path;

use crate::files::access::{FileError, is_real_dir, read_dir_if_there, read_if_there};
use crate::names::Oid;
use crate::printable::printable;

/// Maximum size of such a file in bytes. `FETCH_HEAD` has a line for each branch of the server.
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// The directories of unfinished operations.
pub(crate) const OPERATIONS: [&str; 3] = ["rebase-merge", "rebase-apply", "sequencer"];
/// Files of operations that hold text of commits, patches, or commands that mention commits which other files name.
const TEXTS: [&str; 9] =
    ["message", "message-squash", "message-fixup", "patch", "author-script", "git-rebase-todo", "done", "info", "todo"];
/// Files that hold object ids, and belong to refs in every other respect.
const REF_FILES: [&str; 1] = ["HEAD"];

/// Reads the names and the objects. Files that are there and cannot be read are added to `unreadable`, escaped.
pub(super) fn read_state_files(git_dir: &Path, unreadable: &mut Vec<String>) -> Vec<(Vec<u8>, Oid)> {
    let mut found = Vec::new();
    let mut report = |error: FileError| unreadable.push(printable(error.to_string().as_bytes()));
    collect(git_dir, b"", &mut found).unwrap_or_else(&mut report);
    match read_dir_if_there(&git_dir.join("worktrees")) {
        Ok(linked) => {
            for dir in linked.unwrap_or_default() {
                let name = dir.file_name().unwrap_or_default().as_encoded_bytes();
                let prefix = [b"worktrees/", name, b"/"].concat();
                collect(&dir, &prefix, &mut found).unwrap_or_else(&mut report);
                // Its HEAD may be detached. Its few refs are those of a bisect, and `refs/worktree`.
                add(&dir.join("HEAD"), [prefix.as_slice(), b"HEAD"].concat(), &mut found).unwrap_or_else(&mut report);
                add_logged(&dir, &prefix, &mut found).unwrap_or_else(&mut report);
                add_tree(&dir.join("refs"), &[prefix.as_slice(), b"refs"].concat(), 0, &mut found)
                    .unwrap_or_else(&mut report);
            }
        }
        Err(error) => report(error),
    }
    found.sort();
    found.dedup();
    found
}

/// Reads the files of one worktree's git directory.
fn collect(git_dir: &Path, prefix: &[u8], found: &mut Vec<(Vec<u8>, Oid)>) -> Result<(), FileError> {
    for path in read_dir_if_there(git_dir)?.unwrap_or_default() {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
        if is_pseudo_ref(&name) {
            add(&path, [prefix, name.as_slice()].concat(), found)?;
        }
    }
    for operation in OPERATIONS {
        for path in read_dir_if_there(&git_dir.join(operation))?.unwrap_or_default() {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
            let is_text = TEXTS.iter().any(|text| name == text.as_bytes()) || name.ends_with(b".backup");
            // `git am` numbers its patches.
            if !is_text && !name.iter().all(u8::is_ascii_digit) {
                add(&path, [prefix, operation.as_bytes(), b"/", name.as_slice()].concat(), found)?;
            }
        }
    }
    Ok(())
}

/// Adds the commit that a linked worktree's HEAD was at last, if the file is damaged.
fn add_logged(dir: &Path, prefix: &[u8], found: &mut Vec<(Vec<u8>, Oid)>) -> Result<(), FileError> {
    let head = read_if_there(&dir.join("HEAD"), FILE_MAX)?.unwrap_or_default();
    if !head.starts_with(b"ref:") && Oid::from_bytes(&head).is_none() {
        let logged = last_logged(&dir.join("logs/HEAD"))?;
        found.extend(logged.map(|oid| ([prefix, b"logs/HEAD"].concat(), oid)));
    }
    Ok(())
}

/// The object that the log of a ref names last. Lines that a crash cut off are skipped.
pub(super) fn last_logged(log: &Path) -> Result<Option<Oid>, FileError> {
    let text = read_if_there(log, FILE_MAX)?.unwrap_or_default();
    // A line is `<old> <new> <who> ...`.
    let new = |line: &[u8]| Oid::from_bytes(line.split(|byte| *byte == b' ').nth(1)?);
    Ok(text.rsplit(|byte| *byte == b'\n').find_map(new))
}

/// Reads the refs of a linked worktree.
fn add_tree(dir: &Path, prefix: &[u8], depth: usize, found: &mut Vec<(Vec<u8>, Oid)>) -> Result<(), FileError> {
    for path in read_dir_if_there(dir)?.unwrap_or_default() {
        let name = [prefix, b"/", path.file_name().unwrap_or_default().as_encoded_bytes()].concat();
        if !is_real_dir(&path) {
            add(&path, name, found)?;
        } else if depth < 8 {
            add_tree(&path, &name, depth + 1, found)?;
        }
    }
    Ok(())
}

/// Whether git takes a file in its directory for a pseudo ref with objects. Texts are not.
pub(crate) fn is_pseudo_ref(name: &[u8]) -> bool {
    let is_name = name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_') && name.len() > 3;
    let is_text = [b"_MSG".as_slice(), b"_EDITMSG", b"_LOG", b"_MODE", b"_NAMES", b"_TERMS", b"_RUN", b"_RR"]
        .iter()
        .any(|end| name.ends_with(end));
    is_name && !is_text && !REF_FILES.iter().any(|file| name == file.as_bytes())
}

/// Adds the objects in a file: every whole id, or the first of a line in `FETCH_HEAD`.
fn add(path: &Path, name: Vec<u8>, found: &mut Vec<(Vec<u8>, Oid)>) -> Result<(), FileError> {
    let Some(text) = read_if_there(path, FILE_MAX)? else { return Ok(()) };
    for line in text.split(|byte| *byte == b'\n') {
        let fields = line.split(u8::is_ascii_whitespace).take(if name.ends_with(b"FETCH_HEAD") { 1 } else { 4 });
        found.extend(fields.filter_map(Oid::from_bytes).map(|oid| (name.clone(), oid)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudo_refs_and_operations_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let id = |digit: &str| digit.repeat(40);
        let files = [
            ("ORIG_HEAD", format!("{}\n", id("1"))),
            ("MERGE_HEAD", format!("{}\n{}\n", id("2"), id("3"))),
            ("FETCH_HEAD", format!("{}\tnot-for-merge\tbranch 'x' of {}\n", id("4"), id("9"))),
            ("MERGE_MSG", format!("Merge {}\n", id("9"))),
            ("HEAD", id("9")),
            ("rebase-merge/autostash", id("5")),
            ("rebase-merge/git-rebase-todo", format!("pick {}\n", id("9"))),
            ("rebase-apply/0001", format!("From {}\n", id("9"))),
            ("worktrees/w/HEAD", id("6")),
            ("worktrees/w/MERGE_AUTOSTASH", id("7")),
            ("worktrees/w/refs/worktree/x", id("8")),
        ];
        for (name, content) in files {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        std::os::unix::fs::symlink("ORIG_HEAD", dir.path().join("LINK_HEAD")).unwrap();
        let mut unreadable = Vec::new();
        let found = read_state_files(dir.path(), &mut unreadable);
        let found: Vec<String> = found
            .iter()
            .map(|(name, oid)| format!("{} {}", String::from_utf8_lossy(name), &oid.as_str()[..1]))
            .collect();
        assert_eq!(
            found,
            [
                "FETCH_HEAD 4",
                "MERGE_HEAD 2",
                "MERGE_HEAD 3",
                "ORIG_HEAD 1",
                "rebase-merge/autostash 5",
                "worktrees/w/HEAD 6",
                "worktrees/w/MERGE_AUTOSTASH 7",
                "worktrees/w/refs/worktree/x 8"
            ]
        );
        assert!(unreadable.is_empty());
    }
}

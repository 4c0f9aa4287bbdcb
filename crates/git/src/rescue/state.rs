//! The state of a worktree that is neither a commit nor the content of a file: marks and conflicts of the index, pseudo refs,
//! unfinished operations, the list of stashes, and large files.
//!
//! It is the tree of a commit that the rescue has as a parent:
//!
//! | path | content |
//! |---|---|
//! | `git/<file>` | a file of the git directory |
//! | `unmerged/<stage>/<path>` | an entry of a path with a conflict |
//! | `marks/<mark>` | the paths that have a mark in the index, each followed by a zero byte |
//! | `large` | the files beside the rescue, see `rescue::large` |

use std::path::Path;

use crate::command::runner::{GitCommand, GitError};
use crate::files::access::{FileError, create_dir_all, join_bytes, read_dir_if_there, read_if_there, write_atomic};
use crate::files::removal::remove_with_empty_parents;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::printable::printable;
use crate::rescue::error::RescueError;
use crate::rescue::note::Note;
use crate::untrusted::changes::Marks;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::STASH_LOG;
use crate::untrusted::state_files::{OPERATIONS, is_pseudo_ref};

/// Files of a git directory that are saved beside pseudo refs and operations.
const FILES: [&str; 11] = [
    STASH_LOG,
    "info/exclude",
    "info/sparse-checkout",
    "MERGE_MSG",
    "MERGE_MODE",
    "SQUASH_MSG",
    "BISECT_LOG",
    "BISECT_NAMES",
    "BISECT_START",
    "BISECT_TERMS",
    "config.sparse",
];
/// Whether the worktree is a sparse checkout. It has no content.
const SPARSE: &str = "config.sparse";
/// Maximum size of one of these files in bytes.
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// The directory in a restored git directory that has the files of unfinished operations. They are not put where git would
/// continue them, because they can hold commands that an agent wrote (`exec` in a rebase).
const RESTORED_OPERATIONS: &str = "kugetsu-state";

/// The names of the marks, and their options for `git update-index`.
const ASSUMED: &str = "assumed";
const SKIPPED: &str = "skipped";
const LEFT_OUT: &str = "left-out";
const INTENDED: &str = "intended";

/// Writes the state as a tree; `None` if it is empty. `large` is the list of files beside the rescue.
pub(super) async fn write_state(
    quarantine: &Quarantine,
    git_dir: &Path,
    marks: &Marks,
    large: &[u8],
    note: &mut Note,
) -> Result<Option<Oid>, RescueError> {
    let dir = quarantine.dir().join("state");
    let (mut written, mut skipped) = (Vec::new(), Vec::new());
    copy_files(git_dir, &dir.join("git"), &mut written, &mut skipped)?;
    if is_sparse(quarantine, git_dir, note).await? {
        write(&dir, &format!("git/{SPARSE}"), b"", &mut written)?;
    }
    let lists = [
        (ASSUMED, &marks.assumed),
        (SKIPPED, &marks.skipped),
        (LEFT_OUT, &marks.left_out),
        (INTENDED, &marks.intended),
    ];
    for (name, paths) in lists.into_iter().filter(|(_, paths)| !paths.is_empty()) {
        let list: Vec<u8> = paths.iter().flat_map(|path| path.iter().copied().chain([0])).collect();
        write(&dir, &format!("marks/{name}"), &list, &mut written)?;
    }
    if !large.is_empty() {
        write(&dir, "large", large, &mut written)?;
    }
    note.notices.extend(skipped);
    if written.is_empty() && marks.unmerged.is_empty() {
        return Ok(None);
    }
    let index = quarantine.dir().join("state-index");
    let command = |subcommand: &str| {
        quarantine.command_on(&dir, subcommand, "store the state of the worktree").env("GIT_INDEX_FILE", &index)
    };
    create_dir_all(&dir)?;
    let list: Vec<u8> = written.iter().flat_map(|name| name.bytes().chain([0])).collect();
    command("update-index").args(["--add", "-z", "--stdin"]).stdin(list).run().await?;
    let mut entries = Vec::new();
    for entry in &marks.unmerged {
        entries.extend_from_slice(&entry.mode);
        entries.extend_from_slice(format!(" {} 0\tunmerged/{}/", entry.object, entry.stage).as_bytes());
        entries.extend_from_slice(&entry.path);
        entries.push(0);
    }
    if !entries.is_empty() {
        command("update-index").args(["-z", "--index-info"]).stdin(entries).run().await?;
    }
    Ok(Some(command("write-tree").arg("--missing-ok").run().await?.oid()?))
}

fn write(dir: &Path, name: &str, content: &[u8], written: &mut Vec<String>) -> Result<(), FileError> {
    let path = dir.join(name);
    create_dir_all(path.parent().unwrap_or(dir))?;
    write_atomic(&path, content)?;
    written.push(name.to_owned());
    Ok(())
}

/// Copies the files that matter. Those that cannot be read are reported in `skipped`.
fn copy_files(
    git_dir: &Path,
    to: &Path,
    written: &mut Vec<String>,
    skipped: &mut Vec<String>,
) -> Result<(), FileError> {
    let mut names: Vec<String> = FILES.iter().map(|name| (*name).to_owned()).collect();
    let entries = |dir: &Path| -> Result<Vec<String>, FileError> {
        let entries = read_dir_if_there(dir)?.unwrap_or_default();
        Ok(entries.iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    };
    names.extend(entries(git_dir)?.into_iter().filter(|name| is_pseudo_ref(name.as_bytes()) && name != "FETCH_HEAD"));
    for operation in OPERATIONS {
        names.extend(entries(&git_dir.join(operation))?.into_iter().map(|name| format!("{operation}/{name}")));
    }
    names.sort();
    names.dedup();
    for name in names {
        // No link in the path is followed.
        let parents = Path::new(&name).ancestors().skip(1).map(|parent| git_dir.join(parent));
        if !parents.into_iter().all(|parent| crate::files::access::is_real_dir(&parent)) {
            continue;
        }
        match read_if_there(&git_dir.join(&name), FILE_MAX) {
            Ok(Some(content)) => {
                let parent = to.parent().unwrap_or(to);
                write(parent, &format!("git/{name}"), &content, written)?;
            }
            Ok(None) => {}
            Err(error) => skipped.push(printable(error.to_string().as_bytes())),
        }
    }
    Ok(())
}

/// Whether the agent's config turns sparse checkouts on. Git reads copies, without the files that they include.
async fn is_sparse(quarantine: &Quarantine, git_dir: &Path, note: &mut Note) -> Result<bool, RescueError> {
    for name in ["config", "config.worktree"] {
        let config = match read_if_there(&git_dir.join(name), FILE_MAX) {
            Ok(Some(config)) => config,
            Ok(None) => continue,
            Err(error) => {
                let error = printable(error.to_string().as_bytes());
                note.notices.push(format!("{error}; whether the checkout is sparse is not saved"));
                continue;
            }
        };
        let copy = quarantine.dir().join("agent-config");
        write_atomic(&copy, &config)?;
        let command = quarantine.command("config", "read whether the checkout is sparse").arg("--file").arg(&copy);
        // 1: it is not set; 3 and 128: the file or the value is invalid.
        let set = command.args(["--no-includes", "--type=bool", "--get", "core.sparseCheckout"]);
        if set.answer(&[1, 3, 128]).await?.yes().is_some_and(|output| output.line() == "true") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The state in a rescue.
pub(super) struct SavedState {
    /// Mode, object and path of every file.
    files: Vec<(Vec<u8>, Oid, Vec<u8>)>,
}

impl SavedState {
    pub(super) async fn read(mirror: &Mirror, state: &Oid) -> Result<Self, GitError> {
        let list = mirror.command("ls-tree", "read the state of the worktree").args(["-r", "-z", state.as_str()]);
        let output = list.run().await?;
        // `<mode> <type> <object>\t<path>`
        let parse = |record: &[u8]| {
            let tab = record.iter().position(|byte| *byte == b'\t')?;
            let (fields, path) = record.split_at(tab);
            let mut fields = fields.split(|byte| *byte == b' ');
            let (mode, oid) = (fields.next()?.to_vec(), Oid::from_bytes(fields.nth(1)?)?);
            Some((mode, oid, path.get(1..)?.to_vec()))
        };
        Ok(Self { files: output.records().filter_map(parse).collect() })
    }

    /// The content of a file; empty if it is missing.
    pub(super) async fn content(&self, mirror: &Mirror, path: &str) -> Result<Vec<u8>, GitError> {
        match self.files.iter().find(|(_, _, name)| name == path.as_bytes()) {
            Some((_, oid, _)) => blob(mirror, oid).await,
            None => Ok(Vec::new()),
        }
    }

    /// Restores conflicts and marks of the index, which has all other entries and is refreshed. `command` begins a git command
    /// in the restored repository.
    pub(super) async fn restore_index(
        &self,
        mirror: &Mirror,
        dir: &Path,
        command: impl Fn(&'static str) -> GitCommand,
    ) -> Result<(), RescueError> {
        // First every path is removed, then its stages are added.
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for (mode, oid, path) in &self.files {
            let Some((stage, [b'/', path @ ..])) = path.strip_prefix(b"unmerged/").and_then(<[u8]>::split_first) else {
                continue;
            };
            removed.extend_from_slice(format!("0 {}\t", "0".repeat(oid.hex_len())).as_bytes());
            removed.extend_from_slice(path);
            removed.push(0);
            added.extend_from_slice(mode);
            added.extend_from_slice(format!(" {oid} {}\t", char::from(*stage)).as_bytes());
            added.extend_from_slice(path);
            added.push(0);
        }
        if !added.is_empty() {
            let entries = [removed, added].concat();
            command("update-index").args(["-z", "--index-info"]).stdin(entries).run().await?;
        }
        let intended = self.content(mirror, &format!("marks/{INTENDED}")).await?;
        let there = |path: &&[u8]| !path.is_empty() && join_bytes(dir, path).symlink_metadata().is_ok();
        let paths: Vec<u8> =
            intended.split(|byte| *byte == 0).filter(there).flat_map(|path| path.iter().copied().chain([0])).collect();
        if !paths.is_empty() {
            let add =
                command("add").args(["--intent-to-add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul"]);
            add.env("GIT_LITERAL_PATHSPECS", "1").stdin(paths).run().await?;
        }
        let left_out = self.content(mirror, &format!("marks/{LEFT_OUT}")).await?;
        for path in left_out.split(|byte| *byte == 0).filter(there) {
            remove_with_empty_parents(dir, path)?;
        }
        let marks = [(ASSUMED, "--assume-unchanged"), (SKIPPED, "--skip-worktree"), (LEFT_OUT, "--skip-worktree")];
        for (name, option) in marks {
            let paths = self.content(mirror, &format!("marks/{name}")).await?;
            if !paths.is_empty() {
                command("update-index").args([option, "-z", "--stdin"]).stdin(paths).run().await?;
            }
        }
        Ok(())
    }

    /// Restores the files of the git directory. Returns notices.
    pub(super) async fn restore_files(
        &self,
        mirror: &Mirror,
        git_dir: &Path,
        note: &Note,
    ) -> Result<Vec<String>, RescueError> {
        let mut operations = Vec::new();
        for (_, oid, path) in &self.files {
            let Some(name) = path.strip_prefix(b"git/").and_then(|name| std::str::from_utf8(name).ok()) else {
                continue;
            };
            if name == SPARSE {
                let command = mirror.git().command("config", "mark the checkout as sparse").owned_git_dir(git_dir);
                command.args(["core.sparseCheckout", "true"]).run().await?;
                continue;
            }
            // A pseudo ref whose object is missing would be an error in every command.
            let is_named = || note.others.iter().any(|(other, _)| other == name.as_bytes());
            let operation = OPERATIONS.iter().find(|operation| name.starts_with(&format!("{operation}/")));
            let target = match operation {
                Some(operation) => {
                    if !operations.contains(operation) {
                        operations.push(*operation);
                    }
                    git_dir.join(RESTORED_OPERATIONS).join(name)
                }
                None if FILES.contains(&name) || (is_pseudo_ref(name.as_bytes()) && is_named()) => git_dir.join(name),
                None => continue,
            };
            create_dir_all(target.parent().unwrap_or(git_dir))?;
            write_atomic(&target, &blob(mirror, oid).await?)?;
        }
        Ok(operations
            .into_iter()
            .map(|operation| {
                format!(
                    "an operation was unfinished; its files are in .git/{RESTORED_OPERATIONS}/{operation}, and git does not \
                     continue it here"
                )
            })
            .collect())
    }
}

async fn blob(mirror: &Mirror, oid: &Oid) -> Result<Vec<u8>, GitError> {
    let command = mirror.command("cat-file", "read the state of the worktree");
    Ok(command.args(["blob", oid.as_str()]).run().await?.stdout)
}

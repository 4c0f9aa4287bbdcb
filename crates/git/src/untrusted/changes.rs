//! Uncommitted changes in the files of an untrusted repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::command::answer::Output;
use crate::command::runner::GitError;
use crate::files::access::{FileError, join_bytes};
use crate::files::special::special_files;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::printable::printable;
use crate::untrusted::nested_repos::NestedHeads;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::nested_git_dir;

/// Maximum depth of submodules in submodules. Deeper ones count as changed.
const DEPTH_MAX: usize = 4;

#[derive(Debug, Error)]
pub enum StatusError {
    /// Part of a repository is there, but cannot be read.
    #[error("could not read all of {}: {why}", dir.display())]
    Unreadable { dir: PathBuf, why: String },
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// A file that differs from HEAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Git's letter for the difference between HEAD and the index; a space for none.
    pub(crate) staged: u8,
    pub(crate) path: Vec<u8>,
}

/// The difference between HEAD and the files.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Files, links, and submodules at another commit.
    pub(crate) files: Vec<Change>,
    /// Directories with a repository of their own that holds something which exists nowhere else. No slash at the end.
    pub(crate) nested: Vec<Vec<u8>>,
    /// Those of `nested` that are submodules with the files of the commit that the index names, but with commits that no
    /// server has.
    pub(crate) unpushed_submodules: Vec<Vec<u8>>,
    /// Files that git takes for modified, but that are as a checkout writes them.
    pub(crate) unmodified: BTreeSet<Vec<u8>>,
    /// Whether files have conflicts.
    pub(crate) has_conflicts: bool,
    /// Git's messages about files and directories that it could not read, escaped.
    pub(crate) unreadable: Vec<String>,
    pub(crate) marks: Marks,
}

/// The parts of an index that are not the content of a path.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// `--assume-unchanged` is set.
    pub(crate) assumed: Vec<Vec<u8>>,
    /// `--skip-worktree` is set, and the file exists.
    pub(crate) skipped: Vec<Vec<u8>>,
    /// `--skip-worktree` is set, and no file exists: a sparse checkout leaves it out.
    pub(crate) left_out: Vec<Vec<u8>>,
    /// `git add --intent-to-add`.
    pub(crate) intended: Vec<Vec<u8>>,
    pub(crate) unmerged: Vec<Unmerged>,
    /// Paths of submodules.
    pub(crate) gitlinks: BTreeSet<Vec<u8>>,
}

/// An entry of a path with a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unmerged {
    /// 1 is the common ancestor, 2 ours, 3 theirs.
    pub(crate) stage: u8,
    /// In octal digits.
    pub(crate) mode: Vec<u8>,
    pub(crate) object: Oid,
    pub(crate) path: Vec<u8>,
}

impl Marks {
    fn of(files: &Path, entries: &[Entry]) -> Self {
        let mut marks = Self::default();
        for entry in entries {
            let path = || entry.path.clone();
            if entry.assumed {
                marks.assumed.push(path());
            }
            if entry.skipped && entry.exists(files) {
                marks.skipped.push(path());
            } else if entry.skipped {
                marks.left_out.push(path());
            }
            if entry.is_gitlink() {
                marks.gitlinks.insert(path());
            }
            if let (1..=3, Some(object)) = (entry.stage, &entry.object) {
                let (mode, object) = (entry.mode.clone(), object.clone());
                marks.unmerged.push(Unmerged { stage: entry.stage, mode, object, path: path() });
            }
        }
        marks
    }
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.nested.is_empty() && self.unreadable.is_empty()
    }

    pub(crate) fn total(&self) -> usize {
        self.files.len() + self.nested.len()
    }

    /// The names of the first `max` changes, escaped.
    pub(crate) fn names(&self, max: usize) -> Vec<String> {
        let nested = self.nested.iter().map(|dir| format!("{}/", printable(dir)));
        self.files.iter().map(|change| printable(&change.path)).chain(nested).take(max).collect()
    }

    /// Whether the index differs from HEAD.
    pub(crate) fn any_staged(&self) -> bool {
        self.files.iter().any(|change| !matches!(change.staged, b' ' | b'?'))
    }
}

/// An entry of the index.
pub(super) struct Entry {
    /// `--assume-unchanged` is set.
    assumed: bool,
    /// `--skip-worktree` is set.
    skipped: bool,
    pub(super) object: Option<Oid>,
    mode: Vec<u8>,
    /// 0 unless the path has a conflict.
    stage: u8,
    pub(super) path: Vec<u8>,
}

impl Entry {
    /// Parses a line of `ls-files --stage -v`: `<letter> <mode> <id> <stage>\t<path>`.
    fn parse(record: &[u8]) -> Option<Self> {
        let tab = record.iter().position(|byte| *byte == b'\t')?;
        let (fields, path) = record.split_at(tab);
        let mut fields = fields.split(|byte| *byte == b' ');
        let (letter, mode, id) = (*fields.next()?.first()?, fields.next()?, fields.next()?);
        let stage = fields.next()?.first()?.saturating_sub(b'0');
        Some(Self {
            assumed: letter.is_ascii_lowercase(),
            skipped: letter.eq_ignore_ascii_case(&b'S'),
            object: Oid::from_bytes(id),
            mode: mode.to_vec(),
            stage,
            path: path.get(1..)?.to_vec(),
        })
    }

    fn is_gitlink(&self) -> bool {
        self.mode == b"160000"
    }

    fn exists(&self, files: &Path) -> bool {
        join_bytes(files, &self.path).symlink_metadata().is_ok()
    }
}

impl Quarantine {
    /// Compares `files` with the HEAD of this quarantine, which must be at `head`. A copy of the agent's `index` saves
    /// reading the files whose size and time have not changed. Files that the index tells git to ignore count as well.
    ///
    /// # Errors
    /// Among others: a FIFO where git reads a file, see [`SetAside`](crate::files::special::SetAside).
    pub(crate) async fn changes(
        &self,
        mirror: &Mirror,
        files: &Path,
        index: &Path,
        head: Option<&Oid>,
    ) -> Result<Changes, StatusError> {
        if let Some(special) = special_files(files).await?.first() {
            let why = format!("{}, and git would wait for it; remove it", special.describe(files));
            return Err(StatusError::Unreadable { dir: files.to_owned(), why });
        }
        self.changes_at(mirror, files, index, head, 0).await
    }

    async fn changes_at(
        &self,
        mirror: &Mirror,
        files: &Path,
        index: &Path,
        head: Option<&Oid>,
        depth: usize,
    ) -> Result<Changes, StatusError> {
        let entries = self.index_entries(files, index, head).await?;
        self.unhide(files, &entries).await?;

        let command = self.command_on(files, "status", format!("read the state of {}", files.display()));
        let command = command.args([
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignore-submodules=dirty",
        ]);
        let status = command.run().await?;
        let mut changes = Changes { marks: Marks::of(files, &entries), ..Changes::default() };
        changes.unreadable.extend(status.stderr.split(|byte| *byte == b'\n').filter_map(unreadable));
        for record in status.records() {
            let (Some(staged), Some(path)) = (record.first(), record.get(3..)) else { continue };
            changes.has_conflicts |= matches!(record.get(..2), Some(b"AA" | b"DD" | [b'U', _] | [_, b'U']));
            if record.starts_with(b" A ") {
                changes.marks.intended.push(path.to_vec());
            }
            match path.strip_suffix(b"/") {
                Some(nested) => changes.nested.push(nested.to_vec()),
                None => changes.files.push(Change { staged: *staged, path: path.to_vec() }),
            }
        }
        let modified: BTreeSet<&[u8]> = status.records().filter_map(|record| record.strip_prefix(b" M ")).collect();
        changes.unmodified = self.unmodified(files, index, &entries, modified).await?;
        changes.files.retain(|change| !changes.unmodified.contains(change.path.as_slice()));
        for entry in &entries {
            let Some(commit) = entry.object.as_ref().filter(|_| entry.is_gitlink()) else { continue };
            if join_bytes(files, &entry.path).join(".git").symlink_metadata().is_err() {
                continue;
            }
            let state = Box::pin(submodule_state(mirror, files, &entry.path, commit, depth + 1)).await;
            if state != SubmoduleState::Clean {
                changes.files.retain(|change| change.path != entry.path);
                changes.nested.push(entry.path.clone());
            }
            if state == SubmoduleState::Unpushed {
                changes.unpushed_submodules.push(entry.path.clone());
            }
        }
        Ok(changes)
    }

    /// Copies the index, or makes one from HEAD if git cannot read it, and lists its entries.
    async fn index_entries(&self, files: &Path, index: &Path, head: Option<&Oid>) -> Result<Vec<Entry>, StatusError> {
        let list = || self.command_on(files, "ls-files", "list the index").args(["--stage", "-v", "-z"]);
        let parse = |output: Output| output.records().filter_map(Entry::parse).collect();
        if self.copy_index(index).await? {
            if let Some(listed) = list().whole().await?.yes() {
                return Ok(parse(listed));
            }
            self.remove_index()?;
        }
        if let Some(head) = head {
            self.command("read-tree", "read the commit").arg(head.as_str()).run().await?;
        }
        Ok(parse(list().run().await?))
    }

    /// Clears the marks with which an index makes git ignore changes of a file that exists.
    async fn unhide(&self, files: &Path, entries: &[Entry]) -> Result<(), StatusError> {
        let exists = |entry: &&Entry| entry.exists(files);
        for (flag, hidden) in [
            ("--no-assume-unchanged", entries.iter().filter(|entry| entry.assumed).collect::<Vec<_>>()),
            ("--no-skip-worktree", entries.iter().filter(|entry| entry.skipped).filter(exists).collect()),
        ] {
            if hidden.is_empty() {
                continue;
            }
            let paths: Vec<u8> = hidden.iter().flat_map(|entry| entry.path.iter().copied().chain([0])).collect();
            let command =
                self.command_on(files, "update-index", "clear the marks of hidden files").args([flag, "-z", "--stdin"]);
            command.stdin(paths).run().await?;
        }
        Ok(())
    }
}

/// The message in a line of git's stderr about files that it could not read, and therefore took for unchanged; escaped.
fn unreadable(line: &[u8]) -> Option<String> {
    let line = line.strip_prefix(b"warning: ").unwrap_or(line);
    let of_directory = line.starts_with(b"could not open directory");
    let of_file = [b": Permission denied".as_slice(), b": Input/output error", b": Stale file handle"]
        .iter()
        .any(|end| line.ends_with(end));
    // Settings files of the user, which git does without.
    let of_settings = line.starts_with(b"unable to access '/");
    (of_directory || of_file && !of_settings).then(|| printable(line))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubmoduleState {
    /// Its files are those of the commit, and its server has all of its commits.
    Clean,
    /// Its files are those of the commit, but its server lacks commits of its heads.
    Unpushed,
    /// Its files differ, or it cannot be read.
    Changed,
}

/// Compares a submodule with the `commit` that the index names.
async fn submodule_state(mirror: &Mirror, files: &Path, path: &[u8], commit: &Oid, depth: usize) -> SubmoduleState {
    let dir = join_bytes(files, path);
    let Ok(Some(git_dir)) = nested_git_dir(&dir, files) else { return SubmoduleState::Changed };
    if depth > DEPTH_MAX {
        return SubmoduleState::Changed;
    }
    let Ok((heads, quarantine)) = NestedHeads::open(mirror, &git_dir).await else { return SubmoduleState::Changed };
    let Some(head) = heads.head.as_ref().filter(|head| *head == commit && heads.unreadable.is_empty()) else {
        return SubmoduleState::Changed;
    };
    let changes = quarantine.changes_at(mirror, &dir, &git_dir.join("index"), Some(head), depth).await;
    // Submodules of its own that are not pushed make it unpushed, too.
    let unpushed = |changes: &Changes| changes.files.is_empty() && changes.nested == changes.unpushed_submodules;
    match changes {
        Ok(changes) if changes.is_empty() => {
            match heads.unpushed_heads(&quarantine, &[]).await.is_ok_and(|heads| heads.is_empty()) {
                true => SubmoduleState::Clean,
                false => SubmoduleState::Unpushed,
            }
        }
        Ok(changes) if unpushed(&changes) => SubmoduleState::Unpushed,
        _ => SubmoduleState::Changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_git_skips_are_reported() {
        for (line, expected) in [
            (
                "warning: could not open directory 'x/': Permission denied",
                "could not open directory 'x/': Permission denied",
            ),
            ("x/file: Permission denied", "x/file: Permission denied"),
            ("x/file: Input/output error", "x/file: Input/output error"),
        ] {
            assert_eq!(unreadable(line.as_bytes()).as_deref(), Some(expected));
        }
        for line in ["", "warning: unable to access '/etc/x': Permission denied", "warning: CRLF will be replaced"] {
            assert_eq!(unreadable(line.as_bytes()), None, "{line}");
        }
    }
}

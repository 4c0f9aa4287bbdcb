//! Which files of a worktree hold something that is in no commit.

use std::collections::BTreeSet;
use std::path::Path;

use thiserror::Error;

use crate::command::runner::GitError;
use crate::command::runner::Output;
use crate::files::access::FileError;
use crate::files::access::{below, off_thread};
use crate::lfs::objects::{POINTER_MAX, Pointer};
use crate::lfs::setup::names_lfs;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::shown::shown;
use crate::untrusted::nested_repos::NestedHeads;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::nested_git_dir;

/// Repositories inside repositories inside repositories: deeper ones count as changed.
const DEPTH_MAX: usize = 4;

/// Why the state of a worktree could not be read.
#[derive(Debug, Error)]
pub enum StatusError {
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system says why.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A file that differs from HEAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// How the index differs from HEAD: git's letter, a space for "not at all".
    pub(crate) staged: u8,
    pub(crate) path: Vec<u8>,
}

/// What differs.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Files, links, and submodules that stand on another commit.
    pub(crate) files: Vec<Change>,
    /// Directories with a repository of their own (no slash at the end) that hold something which is outside_repository else.
    pub(crate) nested: Vec<Vec<u8>>,
    /// Git's words on directories that it could not look into.
    pub(crate) unread: Vec<String>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.nested.is_empty()
    }

    /// How many there are.
    pub(crate) fn total(&self) -> usize {
        self.files.len() + self.nested.len()
    }

    /// The first `max` of them, fit to be shown.
    pub(crate) fn shown(&self, max: usize) -> Vec<String> {
        let nested = self.nested.iter().map(|dir| format!("{}/", shown(dir)));
        self.files.iter().map(|change| shown(&change.path)).chain(nested).take(max).collect()
    }

    /// Something is in the index that HEAD does not have.
    pub(crate) fn any_staged(&self) -> bool {
        self.files.iter().any(|change| !matches!(change.staged, b' ' | b'?'))
    }
}

/// A file of the index.
struct Entry {
    assumed: bool,
    skipped: bool,
    object: Option<Oid>,
    is_gitlink: bool,
    path: Vec<u8>,
}

impl Entry {
    /// Reads `<letter> <mode> <id> <stage>\t<path>`.
    fn read(record: &[u8]) -> Option<Self> {
        let tab = record.iter().position(|byte| *byte == b'\t')?;
        let (about, path) = record.split_at(tab);
        let mut words = about.split(|byte| *byte == b' ');
        let (letter, mode, id) = (*words.next()?.first()?, words.next()?, words.next()?);
        Some(Self {
            assumed: letter.is_ascii_lowercase(),
            skipped: letter.eq_ignore_ascii_case(&b'S'),
            object: Oid::read(id),
            is_gitlink: mode == b"160000",
            path: path.get(1..)?.to_vec(),
        })
    }
}

impl Quarantine {
    /// Compares the files in `files` with HEAD of this quarantine, with the help of a copy of the agent's `index`: it knows
    /// which files need no look. A file that the index hides is shown all the same.
    pub(crate) async fn changes(
        &self,
        mirror: &Mirror,
        files: &Path,
        index: &Path,
        head: Option<&Oid>,
    ) -> Result<Changes, StatusError> {
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
        let mut changes = Changes::default();
        let unread = |line: &&[u8]| line.starts_with(b"warning: could not open directory");
        changes.unread.extend(status.stderr.split(|byte| *byte == b'\n').filter(unread).map(shown));
        for record in status.records() {
            let (Some(staged), Some(path)) = (record.first(), record.get(3..)) else { continue };
            match path.strip_suffix(b"/") {
                Some(nested) => changes.nested.push(nested.to_vec()),
                None => changes.files.push(Change { staged: *staged, path: path.to_vec() }),
            }
        }
        let changed: BTreeSet<&[u8]> = status.records().filter_map(|record| record.strip_prefix(b" M ")).collect();
        let same = self.same_large(files, &entries, &changed).await?;
        changes.files.retain(|change| !same.contains(change.path.as_slice()));
        for entry in &entries {
            if let Some(commit) = entry.object.as_ref().filter(|_| entry.is_gitlink)
                && below(files, &entry.path).join(".git").symlink_metadata().is_ok()
                && !Box::pin(is_clean(mirror, files, &entry.path, commit, depth + 1)).await
            {
                changes.files.retain(|change| change.path != entry.path);
                changes.nested.push(entry.path.clone());
            }
        }
        Ok(changes)
    }

    /// Takes the index over, or makes one from HEAD if there is none that git can read; lists it.
    async fn index_entries(&self, files: &Path, index: &Path, head: Option<&Oid>) -> Result<Vec<Entry>, StatusError> {
        let list = || self.command_on(files, "ls-files", "list the index").args(["--stage", "-v", "-z"]);
        let read = |output: Output| output.records().filter_map(Entry::read).collect();
        if self.copy_index(index).await? {
            let listed = list().output().await?;
            if listed.code == 0 {
                return Ok(read(listed));
            }
            self.remove_index()?;
        }
        if let Some(head) = head {
            self.command("read-tree", "read the commit").arg(head.as_str()).run().await?;
        }
        Ok(read(list().run().await?))
    }

    /// Of the files that look changed, those that are just the content of their Git LFS pointer: git cannot tell, since
    /// no filter runs here.
    async fn same_large<'e>(
        &self,
        files: &Path,
        entries: &'e [Entry],
        changed: &BTreeSet<&[u8]>,
    ) -> Result<BTreeSet<&'e [u8]>, StatusError> {
        let is_attributes = |entry: &&Entry| entry.path.rsplit(|byte| *byte == b'/').next() == Some(b".gitattributes");
        if changed.is_empty() || !entries.iter().filter(is_attributes).any(|entry| names_lfs(files, &entry.path)) {
            return Ok(BTreeSet::new());
        }
        let suspects: Vec<(&Entry, &Oid)> = entries
            .iter()
            .filter(|entry| changed.contains(entry.path.as_slice()))
            .filter_map(|entry| Some((entry, entry.object.as_ref()?)))
            .collect();
        let asked = suspects.iter().map(|(_, oid)| format!("{oid}\n")).collect::<String>();
        let sizes = self.command("cat-file", "look for large files").arg("--batch-check=%(objectsize)");
        let sizes = sizes.stdin(asked).run().await?;
        let mut same = BTreeSet::new();
        for ((entry, oid), size) in suspects.into_iter().zip(sizes.lines()) {
            let is_small = std::str::from_utf8(size)
                .ok()
                .and_then(|size| size.parse().ok())
                .is_some_and(|n: usize| n <= POINTER_MAX);
            if !is_small {
                continue;
            }
            let blob = self.command("cat-file", "read a pointer").args(["blob", oid.as_str()]).run().await?;
            if let Some(pointer) = Pointer::read(&blob.stdout) {
                let file = below(files, &entry.path);
                if off_thread(&file.clone(), move || Ok(pointer.is_of(&file))).await? {
                    same.insert(entry.path.as_slice());
                }
            }
        }
        Ok(same)
    }

    /// Takes the marks off that make git look away from a file that is there.
    async fn unhide(&self, files: &Path, entries: &[Entry]) -> Result<(), StatusError> {
        let is_there = |entry: &&Entry| below(files, &entry.path).symlink_metadata().is_ok();
        for (flag, hidden) in [
            ("--no-assume-unchanged", entries.iter().filter(|entry| entry.assumed).collect::<Vec<_>>()),
            ("--no-skip-worktree", entries.iter().filter(|entry| entry.skipped).filter(is_there).collect()),
        ] {
            if hidden.is_empty() {
                continue;
            }
            let paths: Vec<u8> = hidden.iter().flat_map(|entry| entry.path.iter().copied().chain([0])).collect();
            let command = self.command_on(files, "update-index", "uncover hidden files").args([flag, "-z", "--stdin"]);
            command.stdin(paths).run().await?;
        }
        Ok(())
    }
}

/// Whether a submodule's files hold nothing but `commit`, and its repository nothing that its server does not have.
/// What cannot be read is not clean.
async fn is_clean(mirror: &Mirror, files: &Path, path: &[u8], commit: &Oid, depth: usize) -> bool {
    let dir = below(files, path);
    let Some(git_dir) = nested_git_dir(&dir, files) else { return false };
    let own = NestedHeads::read(&git_dir);
    let Some(head) = own.head.as_ref() else { return false };
    if depth > DEPTH_MAX || head != commit {
        return false;
    }
    let Ok(quarantine) = Quarantine::open_separate(mirror, &git_dir, Some(head)).await else { return false };
    let same = quarantine.changes_at(mirror, &dir, &git_dir.join("index"), Some(head), depth).await;
    same.is_ok_and(|changes| changes.is_empty())
        && own.unpushed_heads(&quarantine, &[]).await.is_ok_and(|heads| heads.is_empty())
}

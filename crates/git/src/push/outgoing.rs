//! The content of a push: the objects of commits that the server does not have, and the paths that these commits add.

use std::collections::BTreeSet;
use std::path::Path;

use crate::command::answer::Output;
use crate::command::runner::{Git, GitCommand, GitError};
use crate::lfs::objects::{POINTER_MAX, Pointer};
use crate::names::Oid;
use crate::untrusted::quarantine::rev_list_input;

/// Content that one git process prints, in bytes. Larger objects are read one by one.
pub(super) const BATCH_MAX: u64 = 64 * 1024 * 1024;

/// Number of commits whose paths one git process prints.
const COMMITS_MAX: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectKind {
    /// A commit or a tag: its headers and its message.
    Commit,
    Tree,
    Blob,
}

pub(super) struct Object {
    pub(super) oid: Oid,
    pub(super) kind: ObjectKind,
    /// One of the paths of a file, up to the first line break; empty for commits.
    pub(super) path: Vec<u8>,
    pub(super) size: u64,
}

/// A file whose content Git LFS keeps.
#[derive(Clone, Debug)]
pub(crate) struct LfsFile {
    pub(crate) blob: Oid,
    /// As [`Object::path`].
    pub(crate) path: Vec<u8>,
    pub(crate) pointer: Pointer,
}

/// A path that a commit has and none of its parents: a file, a link, a submodule or a directory.
pub(super) struct AddedPath {
    pub(super) commit: Oid,
    pub(super) path: Vec<u8>,
}

/// Reads what a push of `head` sends to a server that has the commits `known`, from a git directory of the host's.
pub(crate) struct Outgoing<'o> {
    pub(crate) git: &'o Git,
    pub(crate) git_dir: &'o Path,
    /// Objects may be missing that the server has.
    pub(crate) is_partial: bool,
    pub(crate) head: &'o Oid,
    pub(crate) known: &'o [Oid],
}

impl Outgoing<'_> {
    pub(super) fn command(&self, subcommand: &str, action: &str) -> GitCommand {
        self.git.command(subcommand, action).owned_git_dir(self.git_dir).no_lazy_fetch()
    }

    /// The input of a command that selects the new commits.
    pub(super) fn selection(&self) -> Vec<u8> {
        rev_list_input(&[self.head], self.known)
    }

    /// The objects, the commits before all others and the newest of them first.
    ///
    /// Each is named once, so a path of an object does not tell its other paths: see [`added_paths`](Self::added_paths).
    pub(super) async fn objects(&self) -> Result<Vec<Object>, GitError> {
        self.objects_here(self.is_partial).await
    }

    /// As [`objects`](Self::objects), without those that are missing if `may_miss` is set: a push cannot send them.
    async fn objects_here(&self, may_miss: bool) -> Result<Vec<Object>, GitError> {
        let mut list = self.command("rev-list", "list what is pushed").arg("--objects");
        if self.is_partial {
            // Not `--exclude-promisor-objects`: the agent could have marked its own packs as the server's.
            list = list.arg("--missing=allow-promisor");
        }
        let listed = list.arg("--stdin").stdin(self.selection()).run().await?;
        let mut named: Vec<(Oid, &[u8])> = Vec::new();
        for line in listed.lines() {
            let (oid, path) = line.split_at(line.iter().position(|byte| *byte == b' ').unwrap_or(line.len()));
            let oid = Oid::from_bytes(oid).ok_or_else(|| listed.unexpected())?;
            named.push((oid, path.get(1..).unwrap_or_default()));
        }
        let input: String = named.iter().map(|(oid, _)| format!("{oid}\n")).collect();
        let check = self.command("cat-file", "look at what is pushed").arg("--batch-check=%(objecttype) %(objectsize)");
        let sizes = check.stdin(input).run().await?;
        let mut lines = sizes.lines();
        let mut objects = Vec::with_capacity(named.len());
        for (oid, path) in named {
            let line = String::from_utf8_lossy(lines.next().unwrap_or_default());
            let (kind, size) = line.split_once(' ').ok_or_else(|| sizes.unexpected())?;
            if may_miss && size.trim() == "missing" {
                continue;
            }
            let kind = match kind {
                "commit" | "tag" => ObjectKind::Commit,
                "tree" => ObjectKind::Tree,
                "blob" => ObjectKind::Blob,
                _ => return Err(sizes.unexpected()),
            };
            let size = size.trim().parse().map_err(|_| sizes.unexpected())?;
            objects.push(Object { oid, kind, path: path.to_vec(), size });
        }
        Ok(objects)
    }

    /// The first path that a new commit adds and that is `wanted`, beginning with the oldest commits. The content of the file
    /// may be known to the server.
    pub(super) async fn added_path(
        &self,
        objects: &[Object],
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<AddedPath>, GitError> {
        let commits: Vec<&Oid> =
            objects.iter().rev().filter(|object| object.kind == ObjectKind::Commit).map(|object| &object.oid).collect();
        for chunk in commits.chunks(COMMITS_MAX) {
            let input: String = chunk.iter().map(|oid| format!("{oid}\n")).collect();
            let diff = self.command("diff-tree", "list the names that are pushed");
            // `-c`: a merge adds only what no parent has; `-t`: directories too, which may be empty.
            let diff = diff.args(["--stdin", "--root", "--raw", "-c", "-r", "-t", "-z", "--no-abbrev", "--no-renames"]);
            let output = diff.arg("--ignore-submodules=none").stdin(input).run().await?;
            if let Some(found) = parse_added(&output, &wanted)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether a path of `head` is `wanted`.
    pub(super) async fn has_path(&self, wanted: impl Fn(&[u8]) -> bool) -> Result<bool, GitError> {
        let list = self.command("ls-tree", "list the files of the head");
        let listed = list.args(["-r", "-t", "-z", "--name-only", self.head.as_str()]).run().await?;
        Ok(listed.records().any(wanted))
    }

    /// Whether a file of `head` has the content of an object.
    pub(super) async fn has_file(&self, object: &Object) -> Result<bool, GitError> {
        let list = self.command("ls-tree", "list the files of the head").args(["-r", "-z", self.head.as_str()]);
        let listed = list.run().await?;
        // `<mode> <type> <id>`, a tab, and the path.
        let is_object = |record: &[u8]| {
            let mut fields = record.split(|byte| matches!(byte, b' ' | b'\t'));
            fields.nth(2).is_some_and(|oid| oid == object.oid.as_str().as_bytes())
        };
        Ok(listed.records().any(is_object))
    }

    /// The first new commit that adds the content of a file; `None` if only a merge brings it.
    pub(super) async fn commit_with(&self, object: &Object) -> Result<Option<Oid>, GitError> {
        let log = self.command("log", "find the commit of a file");
        let log = log.args(["--format=%H", "--no-abbrev", "--no-show-signature"]);
        let log = log.arg(format!("--find-object={}", object.oid)).args(["--reverse", "--stdin"]);
        let commits = log.stdin(self.selection()).run().await?;
        Ok(commits.lines().find_map(Oid::from_bytes))
    }

    /// Reads the content of several objects. Use [`contents`] to take them apart.
    pub(super) async fn read(&self, objects: &[&Object]) -> Result<Output, GitError> {
        let input: String = objects.iter().map(|object| format!("{}\n", object.oid)).collect();
        self.command("cat-file", "read what is pushed").arg("--batch").stdin(input).run().await
    }

    /// The new files that are pointers of LFS objects.
    pub(crate) async fn lfs_files(&self) -> Result<Vec<LfsFile>, GitError> {
        self.lfs_files_among(&self.objects_here(true).await?).await
    }

    /// Those of the listed objects that are pointers of LFS objects.
    pub(super) async fn lfs_files_among(&self, objects: &[Object]) -> Result<Vec<LfsFile>, GitError> {
        let small: Vec<&Object> = objects.iter().filter(|object| is_pointer_sized(object)).collect();
        let mut files = Vec::new();
        for chunk in small.chunks(BATCH_MAX as usize / POINTER_MAX) {
            let output = self.read(chunk).await?;
            for (object, content) in contents(&output, chunk)? {
                let Some(pointer) = Pointer::parse(content) else { continue };
                files.push(LfsFile { blob: object.oid.clone(), path: object.path.clone(), pointer });
            }
        }
        Ok(files)
    }

    /// Those of the files that no commit of the server has. It has the content of the others: it took their commits.
    pub(crate) async fn unknown_to_server(&self, files: Vec<LfsFile>) -> Result<Vec<LfsFile>, GitError> {
        if files.is_empty() || self.known.is_empty() {
            return Ok(files);
        }
        let mut list = self.command("rev-list", "list what the server has").arg("--objects");
        if self.is_partial {
            list = list.arg("--missing=allow-promisor");
        }
        let known: Vec<&Oid> = self.known.iter().collect();
        let listed = list.arg("--stdin").stdin(rev_list_input(&known, &[])).run().await?;
        let blobs: BTreeSet<&[u8]> = files.iter().map(|file| file.blob.as_str().as_bytes()).collect();
        let oid = |line: &'_ [u8]| line.split(|byte| *byte == b' ').next().unwrap_or_default().to_vec();
        let found: BTreeSet<Vec<u8>> = listed.lines().map(oid).filter(|oid| blobs.contains(oid.as_slice())).collect();
        Ok(files.into_iter().filter(|file| !found.contains(file.blob.as_str().as_bytes())).collect())
    }
}

/// Whether an object may be the pointer of an LFS object.
pub(super) fn is_pointer_sized(object: &Object) -> bool {
    object.kind == ObjectKind::Blob && object.size <= POINTER_MAX as u64
}

/// The contents in the output of [`Outgoing::read`].
///
/// # Errors
/// One of the objects is missing there.
pub(super) fn contents<'o>(
    output: &'o Output,
    objects: &[&'o Object],
) -> Result<Vec<(&'o Object, &'o [u8])>, GitError> {
    let mut rest = output.stdout.as_slice();
    let mut contents = Vec::with_capacity(objects.len());
    for object in objects {
        // `<id> <type> <size>`, the content, and a line break.
        let line = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| output.unexpected())?;
        let (head, size) = (rest.get(..line).unwrap_or_default(), object.size.to_string());
        let is_whole =
            head.starts_with(object.oid.as_str().as_bytes()) && head.ends_with(format!(" {size}").as_bytes());
        let size = usize::try_from(object.size).map_err(|_| output.unexpected())?;
        let content = rest.get(line + 1..line + 1 + size).filter(|_| is_whole).ok_or_else(|| output.unexpected())?;
        contents.push((*object, content));
        rest = rest.get(line + size + 2..).unwrap_or_default();
    }
    Ok(contents)
}

/// Parses the output of `diff-tree --stdin --raw -c -z`: the id of each commit, followed by its entries.
fn parse_added(output: &Output, wanted: impl Fn(&[u8]) -> bool) -> Result<Option<AddedPath>, GitError> {
    let (mut commit, mut records) = (None, output.stdout.split(|byte| *byte == 0));
    while let Some(record) = records.next() {
        if !record.starts_with(b":") {
            // The output ends with an empty record.
            commit = Oid::from_bytes(record);
            if commit.is_none() && !record.is_empty() {
                return Err(output.unexpected());
            }
            continue;
        }
        // `:<mode> <mode> <id> <id> <status>`; of a merge with one more colon, mode, id and status for each parent.
        let status = record.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        let (Some(commit), Some(path)) = (&commit, records.next()) else { return Err(output.unexpected()) };
        if status.iter().all(|letter| *letter == b'A') && wanted(path) {
            return Ok(Some(AddedPath { commit: commit.clone(), path: path.to_vec() }));
        }
    }
    Ok(None)
}

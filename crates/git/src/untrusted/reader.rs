//! Reads an untrusted git directory as plain files. No git runs in it, so nothing in it can make git run a program, and no
//! symbolic link is followed.
//!
//! A file that is missing, or that is no regular file, is left out. One that is there but cannot be read is reported: it may
//! name the only copy of the agent's work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::access::{
    FileError, canonical_if_there, is_dir_there, is_real_dir, join_bytes, read_dir_if_there, read_if_there,
};
use crate::names::{Oid, is_ref_name};
use crate::printable::printable;
use crate::untrusted::state_files::{last_logged, read_state_files};

/// Maximum number of refs read. No repository that people work in has this many.
const REFS_MAX: usize = 200_000;
/// Maximum size of `packed-refs` in bytes.
const PACKED_REFS_MAX: u64 = 256 * 1024 * 1024;
/// Maximum size of HEAD or of a loose ref in bytes.
pub(super) const REF_MAX: u64 = 4096;
/// The log that lists the stashes.
pub(crate) const STASH_LOG: &str = "logs/refs/stash";
/// Maximum size of that log in bytes.
const STASH_LOG_MAX: u64 = 16 * 1024 * 1024;
/// Maximum depth of directories below `refs`.
const DEPTH_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// On a ref, which need not exist.
    Symbolic(Vec<u8>),
    Detached(Oid),
}

/// The HEAD and the refs of a git directory, without what is missing, damaged or a symbolic link.
#[derive(Debug, Default)]
pub(crate) struct UntrustedRepo {
    pub(crate) head: Option<Head>,
    /// Without symbolic refs.
    pub(crate) refs: BTreeMap<Vec<u8>, Oid>,
    /// Objects that no ref names and that git keeps all the same, by what names them: pseudo refs such as `ORIG_HEAD`, the
    /// files of an unfinished operation, older stashes (`stash@{1}`), and the same of linked worktrees. Also what files below
    /// `refs` name that git takes for no ref, and the last entries in the logs of damaged refs (`logs/HEAD`).
    pub(crate) others: Vec<(Vec<u8>, Oid)>,
    /// Files that are there but could not be read, with the reason, escaped.
    pub(crate) unreadable: Vec<String>,
}

impl UntrustedRepo {
    /// Reads a git directory. Refs in reftable format count as unreadable; `Quarantine::read_refs` reads them too.
    pub(crate) fn read(git_dir: &Path) -> Self {
        let mut repo = Self::read_files(git_dir);
        if uses_reftable(git_dir) {
            repo.unreadable.push(format!("the refs of {} are in reftable format", printable_path(git_dir)));
        }
        repo
    }

    /// Reads a git directory without refs in reftable format.
    pub(super) fn read_files(git_dir: &Path) -> Self {
        let mut repo = Self::default();
        match is_dir_there(git_dir) {
            Ok(true) => {}
            Ok(false) => return repo,
            Err(error) => {
                repo.report(&error);
                return repo;
            }
        }
        repo.others = read_state_files(git_dir, &mut repo.unreadable);
        if uses_reftable(git_dir) {
            return repo;
        }
        match read_head(&git_dir.join("HEAD")) {
            Ok(Some(head)) => repo.head = Some(head),
            Ok(None) => repo.add_logged(git_dir, b"HEAD"),
            Err(error) => repo.report(&error),
        }
        repo.read_packed_refs_of(git_dir);
        // After the packed refs, since a loose ref overrides a packed one.
        repo.add_loose_refs(git_dir, b"refs", 0);
        let stashes = stashes(git_dir);
        match stashes {
            Ok(stashes) => repo.others.extend(stashes),
            Err(error) => repo.report(&error),
        }
        repo
    }

    /// Reads nothing but `packed-refs`.
    pub(crate) fn read_packed_refs(git_dir: &Path) -> Self {
        let mut repo = Self::default();
        if is_real_dir(git_dir) {
            repo.read_packed_refs_of(git_dir);
        }
        repo
    }

    fn read_packed_refs_of(&mut self, git_dir: &Path) {
        match read_if_there(&git_dir.join("packed-refs"), PACKED_REFS_MAX) {
            Ok(packed) => self.add_packed_refs(&packed.unwrap_or_default()),
            Err(error) => self.report(&error),
        }
    }

    fn report(&mut self, error: &FileError) {
        self.unreadable.push(printable(error.to_string().as_bytes()));
    }

    fn add_packed_refs(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            let Some(space) = line.iter().position(|byte| *byte == b' ') else { continue };
            let (oid, name) = line.split_at(space);
            let name = name.get(1..).unwrap_or_default();
            if let Some(oid) = Oid::from_bytes(oid) {
                self.add(name.to_vec(), oid);
            }
        }
    }

    /// Adds a ref. If git refuses its name, such as one with a line break or the end `.lock`, it may still be all that names a
    /// commit.
    fn add(&mut self, name: Vec<u8>, oid: Oid) {
        if self.refs.len() + self.others.len() >= REFS_MAX {
            return;
        }
        if is_ref_name(&name) {
            self.refs.insert(name, oid);
        } else {
            self.others.push((name, oid));
        }
    }

    /// Adds the commit that the log of a damaged HEAD or ref names last.
    fn add_logged(&mut self, git_dir: &Path, name: &[u8]) {
        let name = [b"logs/", name].concat();
        match last_logged(&join_bytes(git_dir, &name)) {
            Ok(logged) => self.others.extend(logged.map(|oid| (name, oid))),
            Err(error) => self.report(&error),
        }
    }

    fn add_loose_refs(&mut self, git_dir: &Path, prefix: &[u8], depth: usize) {
        let dir = &join_bytes(git_dir, prefix);
        if depth > DEPTH_MAX {
            return self.unreadable.push(format!("{} has too many levels of directories", printable_path(dir)));
        }
        let entries = match read_dir_if_there(dir) {
            Ok(entries) => entries.unwrap_or_default(),
            Err(error) => return self.report(&error),
        };
        for path in entries {
            let mut name = prefix.to_vec();
            name.push(b'/');
            name.extend_from_slice(path.file_name().unwrap_or_default().as_encoded_bytes());
            if is_real_dir(&path) {
                self.add_loose_refs(git_dir, &name, depth + 1);
                continue;
            }
            match read_if_there(&path, REF_MAX) {
                Ok(Some(text)) if text.starts_with(b"ref:") => {}
                Ok(Some(text)) => match Oid::from_bytes(&text) {
                    Some(oid) => self.add(name, oid),
                    None => self.add_logged(git_dir, &name),
                },
                Ok(None) => {}
                Err(error) => self.report(&error),
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Oid> {
        self.refs.get(name.as_bytes())
    }

    pub(crate) fn head_commit(&self) -> Option<&Oid> {
        match self.head.as_ref()? {
            Head::Symbolic(name) => self.refs.get(name),
            Head::Detached(oid) => Some(oid),
        }
    }

    /// The refs whose names begin with `prefix`.
    pub(crate) fn refs_below<'f>(&'f self, prefix: &'f str) -> impl Iterator<Item = (&'f [u8], &'f Oid)> {
        let is_below = move |name: &&Vec<u8>| name.starts_with(prefix.as_bytes());
        self.refs.iter().filter(move |(name, _)| is_below(name)).map(|(name, oid)| (name.as_slice(), oid))
    }
}

/// Reads a `HEAD`.
pub(super) fn read_head(file: &Path) -> Result<Option<Head>, FileError> {
    Ok(read_if_there(file, REF_MAX)?.and_then(|text| parse_head(&text)))
}

/// Parses the content of a `HEAD`.
fn parse_head(text: &[u8]) -> Option<Head> {
    let text = text.trim_ascii_end();
    match text.strip_prefix(b"ref:") {
        Some(name) => {
            let name = name.trim_ascii_start();
            is_ref_name(name).then(|| Head::Symbolic(name.to_vec()))
        }
        None => Oid::from_bytes(text).map(Head::Detached),
    }
}

/// Whether the refs of a git directory are in reftable format (git 2.45 and newer; git 3's default).
pub(crate) fn uses_reftable(git_dir: &Path) -> bool {
    is_real_dir(git_dir) && is_real_dir(&git_dir.join("reftable"))
}

pub(super) fn printable_path(path: &Path) -> String {
    printable(path.as_os_str().as_encoded_bytes())
}

/// The stashes in the log of `refs/stash`, the newest first. The ref itself is the newest.
fn stashes(git_dir: &Path) -> Result<Vec<(Vec<u8>, Oid)>, FileError> {
    let log = read_if_there(&git_dir.join(STASH_LOG), STASH_LOG_MAX)?.unwrap_or_default();
    // A line is `<old> <new> <who> ...`.
    let new = |line: &[u8]| Oid::from_bytes(line.split(|b| *b == b' ').nth(1)?);
    let oids: Vec<Oid> = log.split(|byte| *byte == b'\n').filter_map(new).collect();
    Ok(named_stashes(oids.into_iter().rev()))
}

/// Names older stashes as git does.
pub(super) fn named_stashes(newest_first: impl Iterator<Item = Oid>) -> Vec<(Vec<u8>, Oid)> {
    newest_first.enumerate().skip(1).map(|(n, oid)| (format!("stash@{{{n}}}").into_bytes(), oid)).collect()
}

/// A worktree that was added with `git worktree add`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkedWorktree {
    /// Its directory below `worktrees` in the git directory.
    pub(crate) git_dir: PathBuf,
    /// The directory of its files. It is named by a file that an agent could write.
    pub(crate) files: Option<PathBuf>,
    pub(crate) head: Option<Head>,
}

/// The linked worktrees of a git directory, sorted.
pub(crate) fn linked_worktrees(git_dir: &Path) -> Result<Vec<LinkedWorktree>, FileError> {
    use std::os::unix::ffi::OsStrExt;
    let mut linked = Vec::new();
    for dir in read_dir_if_there(&git_dir.join("worktrees"))?.unwrap_or_default() {
        if !is_dir_there(&dir)? {
            continue;
        }
        let named = read_if_there(&dir.join("gitdir"), REF_MAX)?;
        let named = named.map(|text| PathBuf::from(std::ffi::OsStr::from_bytes(text.trim_ascii_end())));
        let files = named.and_then(|file| file.parent().map(Path::to_owned)).filter(|files| files.is_absolute());
        linked.push(LinkedWorktree { files, head: read_head(&dir.join("HEAD"))?, git_dir: dir });
    }
    Ok(linked)
}

/// The git directory of the repository with the files in `dir`; a `.git` file or link may point to it. `None` if it is not inside
/// `within`.
pub(crate) fn nested_git_dir(dir: &Path, within: &Path) -> Result<Option<PathBuf>, FileError> {
    let entry = dir.join(".git");
    let git_dir = if is_dir_there(&entry)? || entry.is_dir() {
        entry
    } else {
        use std::os::unix::ffi::OsStrExt;
        let text = read_if_there(&entry, 64 * 1024)?.unwrap_or_default();
        let Some(target) = text.strip_prefix(b"gitdir:") else { return Ok(None) };
        dir.join(std::ffi::OsStr::from_bytes(target.trim_ascii()))
    };
    let (Some(real), Some(within)) = (canonical_if_there(&git_dir)?, canonical_if_there(within)?) else {
        return Ok(None);
    };
    Ok(real.starts_with(&within).then_some(real))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_fifos_and_invalid_refs_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path();
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        std::fs::create_dir_all(git.join("refs/heads/x")).unwrap();
        std::fs::write(git.join("HEAD"), "ref: refs/heads/x/y\n").unwrap();
        std::fs::write(git.join("refs/heads/x/y"), format!("{a}\n")).unwrap();
        std::fs::write(git.join("secret"), format!("{b}\n")).unwrap();
        std::fs::write(git.join("refs/heads/bad"), "not an id\n").unwrap();
        std::fs::write(
            git.join("packed-refs"),
            format!("# pack-refs\n{b} refs/heads/p\n{b} refs/heads/x/y\n^{b}\n{b} ../x\n"),
        )
        .unwrap();
        std::os::unix::fs::symlink(git.join("secret"), git.join("refs/heads/link")).unwrap();
        std::os::unix::fs::symlink("/", git.join("refs/heads/root")).unwrap();
        nix::unistd::mkfifo(&git.join("refs/heads/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let repo = UntrustedRepo::read(git);
        let names: Vec<_> = repo.refs.keys().map(|name| String::from_utf8_lossy(name)).collect();
        assert_eq!(names, ["refs/heads/p", "refs/heads/x/y"]);
        assert_eq!(repo.head_commit().map(Oid::as_str), Some(a.as_str()), "a loose ref overrides a packed one");
    }

    #[test]
    fn git_file_that_points_outside_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("tree/nested")).unwrap();
        std::fs::create_dir_all(dir.path().join("out")).unwrap();
        std::fs::write(dir.path().join("tree/nested/.git"), "gitdir: ../../out\n").unwrap();
        let nested = || nested_git_dir(&dir.path().join("tree/nested"), &dir.path().join("tree"));
        assert_eq!(nested().unwrap(), None);
        std::fs::write(dir.path().join("tree/nested/.git"), "x".repeat(100_000)).unwrap();
        assert!(nested().is_err(), "unreadable is not absent");
    }
}

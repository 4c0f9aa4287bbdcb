//! Reads an untrusted git directory as plain files. No git runs in it, so nothing in it can make git run a program, and no
//! symbolic link is followed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::access::{is_real_dir, read_regular};
use crate::names::{Oid, is_ref_name};

/// Maximum number of refs read. No repository that people work in has this many.
const REFS_MAX: usize = 200_000;
/// Maximum size of `packed-refs` in bytes.
const PACKED_REFS_MAX: u64 = 256 * 1024 * 1024;
/// Maximum size of HEAD or of a loose ref in bytes.
const REF_MAX: u64 = 4096;
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
}

impl UntrustedRepo {
    pub(crate) fn read(git_dir: &Path) -> Self {
        let mut repo = Self::default();
        if !is_real_dir(git_dir) {
            return repo;
        }
        repo.head = read_head(&git_dir.join("HEAD"));
        if let Some(packed) = read_regular(&git_dir.join("packed-refs"), PACKED_REFS_MAX) {
            repo.add_packed_refs(&packed);
        }
        // After the packed refs, since a loose ref overrides a packed one.
        repo.add_loose_refs(&git_dir.join("refs"), b"refs", 0);
        repo
    }

    /// Reads nothing but `packed-refs`.
    pub(crate) fn read_packed_refs(git_dir: &Path) -> Self {
        let mut repo = Self::default();
        if is_real_dir(git_dir)
            && let Some(packed) = read_regular(&git_dir.join("packed-refs"), PACKED_REFS_MAX)
        {
            repo.add_packed_refs(&packed);
        }
        repo
    }

    fn add_packed_refs(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            let Some(space) = line.iter().position(|byte| *byte == b' ') else { continue };
            let (oid, name) = line.split_at(space);
            let name = name.get(1..).unwrap_or_default();
            if let Some(oid) = Oid::from_bytes(oid)
                && is_ref_name(name)
                && self.refs.len() < REFS_MAX
            {
                self.refs.insert(name.to_vec(), oid);
            }
        }
    }

    fn add_loose_refs(&mut self, dir: &Path, prefix: &[u8], depth: usize) {
        if depth > DEPTH_MAX || !is_real_dir(dir) {
            return;
        }
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let mut name = prefix.to_vec();
            name.push(b'/');
            name.extend_from_slice(entry.file_name().as_encoded_bytes());
            let path = entry.path();
            if is_real_dir(&path) {
                self.add_loose_refs(&path, &name, depth + 1);
            } else if let Some(oid) = read_regular(&path, REF_MAX).and_then(|text| Oid::from_bytes(&text))
                && is_ref_name(&name)
                && self.refs.len() < REFS_MAX
            {
                self.refs.insert(name, oid);
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

fn read_head(file: &Path) -> Option<Head> {
    let text = read_regular(file, REF_MAX)?;
    let text = text.trim_ascii_end();
    match text.strip_prefix(b"ref:") {
        Some(name) => {
            let name = name.trim_ascii_start();
            is_ref_name(name).then(|| Head::Symbolic(name.to_vec()))
        }
        None => Oid::from_bytes(text).map(Head::Detached),
    }
}

/// Commits that no ref names and that git keeps all the same: older stashes, which only the log of `refs/stash` lists,
/// and the detached HEADs of linked worktrees.
pub(crate) fn commits_outside_refs(git_dir: &Path) -> Vec<Oid> {
    let mut commits = logged_stashes(git_dir);
    let heads = linked_worktrees(git_dir).into_iter().filter_map(|linked| linked.head);
    commits.extend(heads.filter_map(|head| if let Head::Detached(oid) = head { Some(oid) } else { None }));
    commits
}

/// The stashes that the log of `refs/stash` lists, oldest first.
pub(crate) fn logged_stashes(git_dir: &Path) -> Vec<Oid> {
    let log = read_regular(&git_dir.join("logs/refs/stash"), 16 * 1024 * 1024).unwrap_or_default();
    // A line is `<old> <new> <who> ...`.
    let new = |line: &[u8]| Oid::from_bytes(line.split(|b| *b == b' ').nth(1)?);
    log.split(|byte| *byte == b'\n').filter_map(new).collect()
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
pub(crate) fn linked_worktrees(git_dir: &Path) -> Vec<LinkedWorktree> {
    use std::os::unix::ffi::OsStrExt;
    let all = git_dir.join("worktrees");
    let entries = if is_real_dir(&all) { std::fs::read_dir(&all).ok() } else { None };
    let mut dirs: Vec<PathBuf> = entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    dirs.retain(|dir| is_real_dir(dir));
    dirs.sort();
    let linked = |dir: PathBuf| {
        let named = read_regular(&dir.join("gitdir"), REF_MAX);
        let named = named.map(|text| PathBuf::from(std::ffi::OsStr::from_bytes(text.trim_ascii_end())));
        let files = named.and_then(|file| file.parent().map(Path::to_owned)).filter(|files| files.is_absolute());
        LinkedWorktree { files, head: read_head(&dir.join("HEAD")), git_dir: dir }
    };
    dirs.into_iter().map(linked).collect()
}

/// The git directory of the repository with the files in `dir`; a `.git` file may point to it. `None` if it is not inside
/// `within`.
pub(crate) fn nested_git_dir(dir: &Path, within: &Path) -> Option<PathBuf> {
    let entry = dir.join(".git");
    let git_dir = if is_real_dir(&entry) {
        entry
    } else {
        use std::os::unix::ffi::OsStrExt;
        let text = read_regular(&entry, 64 * 1024)?;
        let target = text.strip_prefix(b"gitdir:")?.trim_ascii();
        dir.join(std::ffi::OsStr::from_bytes(target))
    };
    let (real, within) = (git_dir.canonicalize().ok()?, within.canonicalize().ok()?);
    real.starts_with(&within).then_some(real)
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
        assert_eq!(nested_git_dir(&dir.path().join("tree/nested"), &dir.path().join("tree")), None);
    }
}

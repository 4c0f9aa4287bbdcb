//! A git directory that an agent may have written, read as plain files: no git runs in it, so nothing in it can make one
//! run a program, and no link in it leads anywhere else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::access::{is_real_dir, read_regular};
use crate::names::{Oid, is_ref_name};

/// More refs than this are not read; no repository that people work in has them loose.
const REFS_MAX: usize = 200_000;
const PACKED_MAX: u64 = 256 * 1024 * 1024;
const DEPTH_MAX: usize = 32;

/// Where a HEAD stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// On a ref, which may be missing.
    Symbolic(Vec<u8>),
    /// On a commit.
    Detached(Oid),
}

/// What the files of a git directory say.
#[derive(Debug, Default)]
pub(crate) struct UntrustedRepo {
    pub(crate) head: Option<Head>,
    /// Every ref that names an object itself.
    pub(crate) refs: BTreeMap<Vec<u8>, Oid>,
}

impl UntrustedRepo {
    /// Reads the git directory; what is missing or damaged is left out.
    pub(crate) fn read(git_dir: &Path) -> Self {
        let mut found = Self::default();
        if !is_real_dir(git_dir) {
            return found;
        }
        found.head = read_head(&git_dir.join("HEAD"));
        if let Some(packed) = read_regular(&git_dir.join("packed-refs"), PACKED_MAX) {
            found.add_packed_refs(&packed);
        }
        found.add_loose_refs(&git_dir.join("refs"), b"refs", 0);
        found
    }

    /// Only what the file of packed refs says.
    pub(crate) fn read_packed_refs(git_dir: &Path) -> Self {
        let mut found = Self::default();
        if is_real_dir(git_dir)
            && let Some(packed) = read_regular(&git_dir.join("packed-refs"), PACKED_MAX)
        {
            found.add_packed_refs(&packed);
        }
        found
    }

    fn add_packed_refs(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            let Some(space) = line.iter().position(|byte| *byte == b' ') else { continue };
            let (oid, name) = line.split_at(space);
            let name = name.get(1..).unwrap_or_default();
            if let Some(oid) = Oid::read(oid)
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
            } else if let Some(oid) = read_regular(&path, 4096).and_then(|text| Oid::read(&text))
                && is_ref_name(&name)
                && self.refs.len() < REFS_MAX
            {
                self.refs.insert(name, oid);
            }
        }
    }

    /// The object of a ref.
    pub(crate) fn get(&self, name: &str) -> Option<&Oid> {
        self.refs.get(name.as_bytes())
    }

    /// The commit of HEAD.
    pub(crate) fn head_commit(&self) -> Option<&Oid> {
        match self.head.as_ref()? {
            Head::Symbolic(name) => self.refs.get(name),
            Head::Detached(oid) => Some(oid),
        }
    }

    /// The refs below `prefix`.
    pub(crate) fn refs_below<'f>(&'f self, prefix: &'f str) -> impl Iterator<Item = (&'f [u8], &'f Oid)> {
        let is_below = move |name: &&Vec<u8>| name.starts_with(prefix.as_bytes());
        self.refs.iter().filter(move |(name, _)| is_below(name)).map(|(name, oid)| (name.as_slice(), oid))
    }
}

fn read_head(file: &Path) -> Option<Head> {
    let text = read_regular(file, 4096)?;
    let text = text.trim_ascii_end();
    match text.strip_prefix(b"ref:") {
        Some(name) => {
            let name = name.trim_ascii_start();
            is_ref_name(name).then(|| Head::Symbolic(name.to_vec()))
        }
        None => Oid::read(text).map(Head::Detached),
    }
}

/// Commits that only a file beside the refs names: older stashes, and the HEADs of linked worktrees.
pub(crate) fn commits_outside_refs(git_dir: &Path) -> Vec<Oid> {
    let mut found = Vec::new();
    if let Some(log) = read_regular(&git_dir.join("logs/refs/stash"), 16 * 1024 * 1024) {
        found.extend(log.split(|byte| *byte == b'\n').filter_map(|line| Oid::read(line.split(|b| *b == b' ').nth(1)?)));
    }
    let linked = git_dir.join("worktrees");
    if is_real_dir(&linked) {
        for entry in std::fs::read_dir(&linked).into_iter().flatten().flatten() {
            if let Some(Head::Detached(oid)) = read_head(&entry.path().join("HEAD")) {
                found.push(oid);
            }
        }
    }
    found
}

/// The git directory of the repository whose files begin at `dir`, if both lie inside `within`.
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
    fn links_fifos_and_nonsense_are_left_out() {
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
        let found = UntrustedRepo::read(git);
        let names: Vec<_> = found.refs.keys().map(|name| String::from_utf8_lossy(name)).collect();
        assert_eq!(names, ["refs/heads/p", "refs/heads/x/y"]);
        assert_eq!(found.head_commit().map(Oid::as_str), Some(a.as_str()), "a loose ref wins over a packed one");
    }

    #[test]
    fn a_git_file_that_leads_out_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("tree/nested")).unwrap();
        std::fs::create_dir_all(dir.path().join("out")).unwrap();
        std::fs::write(dir.path().join("tree/nested/.git"), "gitdir: ../../out\n").unwrap();
        assert_eq!(nested_git_dir(&dir.path().join("tree/nested"), &dir.path().join("tree")), None);
    }
}

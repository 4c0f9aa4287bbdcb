//! Entry points for the fuzz targets in `fuzz/`. They panic where a property is violated.
#![expect(clippy::expect_used, reason = "a violated property must stop the fuzzer")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use crate::names::is_ref_name;
use crate::untrusted::reader::{Head, UntrustedRepo, nested_git_dir};

/// Reads a file of packed refs.
pub fn packed_refs(data: &[u8]) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::write(directory.path().join("packed-refs"), data).expect("the file of packed refs");
    check(&UntrustedRepo::read_packed_refs(directory.path()));
}

/// Reads a git directory. Each entry of `data` ends with a zero byte: a path, then `=` and the content of a file or `>`
/// and the target of a symbolic link.
pub fn git_directories(data: &[u8]) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let worktree = directory.path().join("worktree");
    let outside = directory.path().join("outside");
    for created in [worktree.clone(), outside.join("refs/heads")] {
        fs::create_dir_all(created).expect("a directory");
    }
    let secret = "c".repeat(40);
    fs::write(outside.join("HEAD"), &secret).expect("a file outside");
    fs::write(outside.join("refs/heads/secret"), &secret).expect("a file outside");
    for entry in data.split(|byte| *byte == 0) {
        write_entry(&worktree, entry);
    }
    if let Ok(Some(git_dir)) = nested_git_dir(&worktree, &worktree) {
        let real = worktree.canonicalize().expect("the worktree");
        assert!(git_dir.starts_with(&real), "{}", git_dir.display());
        let repo = UntrustedRepo::read(&git_dir);
        check(&repo);
        assert!(repo.refs.values().all(|oid| oid.as_str() != secret || data_contains(data, &secret)), "{repo:?}");
        let _ = repo.head_commit();
    }
}

/// Creates the file or link of an entry below `root`. Entries that cannot be created are ignored.
fn write_entry(root: &Path, entry: &[u8]) {
    let Some(at) = entry.iter().position(|byte| matches!(byte, b'=' | b'>')) else { return };
    let (path, content) = (OsStr::from_bytes(&entry[..at]), &entry[at + 1..]);
    let is_plain = |component: &Component<'_>| matches!(component, Component::Normal(_));
    let path: PathBuf = Path::new(path).components().filter(is_plain).collect();
    let path = root.join(path);
    if path == root || !parents_are_real(root, &path) {
        return;
    }
    if let Some(parent) = path.parent() {
        let _ = fs::create_dir_all(parent);
    }
    let _ = match entry[at] {
        b'=' => fs::write(&path, content),
        _ => symlink(OsStr::from_bytes(content), &path),
    };
}

/// Whether no directory between `root` and `path`, nor `path` itself, is a symbolic link: nothing is written outside.
fn parents_are_real(root: &Path, path: &Path) -> bool {
    path.ancestors().take_while(|ancestor| *ancestor != root).all(|ancestor| !ancestor.is_symlink())
}

fn data_contains(data: &[u8], text: &str) -> bool {
    data.windows(text.len()).any(|window| window == text.as_bytes())
}

fn check(repo: &UntrustedRepo) {
    for (name, oid) in &repo.refs {
        assert!(is_ref_name(name), "{}", name.escape_ascii());
        assert!(oid.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()), "{oid}");
    }
    if let Some(Head::Symbolic(name)) = &repo.head {
        assert!(is_ref_name(name), "{}", name.escape_ascii());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpora_pass() {
        kugetsu_testkit::corpus::replay("packed_refs", super::packed_refs);
        kugetsu_testkit::corpus::replay("git_directories", super::git_directories);
    }
}

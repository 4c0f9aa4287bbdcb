//! Contents that programs often forget: submodules and unusual file names.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::temporary::Repository;

/// File names that break programs that expect lines, words, flags or UTF-8. All are legal in git and on Linux. Names that
/// are not UTF-8 are left out on macOS, which rejects them.
pub fn odd_names() -> Vec<PathBuf> {
    let mut names: Vec<&[u8]> = vec![
        b"with space",
        b"with\nnewline",
        b"with\ttab",
        b"with\"quote",
        b"with'apostrophe",
        b"back\\slash",
        b"-dash",
        b"*star?",
        b":(top)magic",
        b" leading and trailing ",
        "ün\u{0131}code-\u{1f980}".as_bytes(),
    ];
    if cfg!(target_os = "linux") {
        names.extend([b"invalid-\xff-utf8".as_slice(), b"\xc3("]);
    }
    names.into_iter().map(|name| OsString::from_vec(name.to_vec()).into()).collect()
}

impl Repository {
    /// Writes a file for each of [`odd_names`] in `directory` (which may be empty) without committing them.
    pub fn write_odd_names(&self, directory: &str) {
        for name in odd_names() {
            self.write(PathBuf::from(directory).join(&name), name.as_os_str().as_encoded_bytes());
        }
    }

    /// Adds `source` as a submodule at `path`, commits it and returns the commit's id.
    #[track_caller]
    pub fn add_submodule(&self, source: &Self, path: &str) -> String {
        self.git(["submodule", "--quiet", "add", "--", &source.url(), path]);
        self.commit(&format!("Add the submodule {path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_survive_a_commit_and_a_push() {
        let repository = Repository::with_commit();
        repository.write_odd_names("odd");
        repository.commit("Odd names");
        let remote = repository.publish();
        let mut expected: Vec<PathBuf> = odd_names().into_iter().map(|name| PathBuf::from("odd").join(name)).collect();
        expected.push("README.md".into());
        expected.sort();
        let mut files = remote.files("main");
        files.sort();
        assert_eq!(files, expected);
        for name in odd_names() {
            let content = remote.show("main", PathBuf::from("odd").join(&name));
            assert_eq!(content.as_deref(), Some(name.as_os_str().as_encoded_bytes()));
        }
    }

    #[test]
    fn submodule_is_a_commit_entry() {
        let inner = Repository::with_commit();
        let outer = Repository::with_commit();
        outer.add_submodule(&inner, "parts/inner");
        assert_eq!(
            outer.git(["ls-tree", "HEAD", "parts/inner"]),
            format!("160000 commit {}\tparts/inner", inner.head())
        );
        assert!(outer.path().join("parts/inner/README.md").exists());
    }

    #[test]
    fn shallow_clone_has_one_commit() {
        let source = Repository::with_commit();
        source.commit("Second");
        let clone = source.shallow_clone();
        assert_eq!(clone.log("HEAD"), ["Second"]);
        assert_eq!(clone.git(["rev-parse", "--is-shallow-repository"]), "true");
    }

    #[test]
    fn partial_clone_lacks_old_contents() {
        let source = Repository::with_commit();
        source.commit_files("Second", &[("README.md", "changed\n")]);
        let clone = source.partial_clone();
        let missing = clone.git(["rev-list", "--objects", "--all", "--missing=print"]);
        assert_eq!(missing.lines().filter(|line| line.starts_with('?')).count(), 1);
        assert_eq!(clone.show_text("HEAD", "README.md"), "changed\n");
    }

    #[test]
    fn other_default_branch_is_published() {
        let repository = Repository::with_default_branch("trunk");
        assert!(repository.refs().is_empty());
        repository.commit("First");
        let remote = repository.publish();
        assert_eq!(Repository::clone_of(&remote.url(), &[]).current_branch(), "trunk");
    }

    #[test]
    fn hooks_run() {
        let repository = Repository::with_commit();
        let remote = repository.publish();
        remote.hook("pre-receive", "#!/bin/sh\necho 'not today' >&2\nexit 1\n");
        repository.commit("Second");
        let output = repository.try_git(["push", "origin", "main"]);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("not today"));
        assert_eq!(remote.log("main"), ["First commit"]);
    }

    #[test]
    fn branches_are_created_and_switched() {
        let repository = Repository::with_commit();
        repository.branch("side");
        repository.switch("side");
        repository.commit("On the side");
        repository.switch("new");
        assert_eq!(repository.refs(), ["refs/heads/main", "refs/heads/new", "refs/heads/side"]);
        assert_eq!(repository.log("side"), ["On the side", "First commit"]);
        assert_eq!(repository.resolve("nothing"), None);
        assert_eq!(repository.show("main", "missing"), None);
    }
}

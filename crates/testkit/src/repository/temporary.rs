//! A repository in a temporary directory, with or without a working tree.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use super::git;

/// A git repository. A temporary one is removed on drop; one at a given path is not.
#[derive(Debug)]
pub struct Repository {
    path: PathBuf,
    _temporary: Option<TempDir>,
}

impl Default for Repository {
    fn default() -> Self {
        Self::new()
    }
}

impl Repository {
    /// Creates an empty temporary repository with the unborn branch `main`.
    pub fn new() -> Self {
        Self::temporary(|path| Self::at(path))
    }

    /// Creates an empty temporary repository with the unborn branch `branch`, for example `trunk`.
    pub fn with_default_branch(branch: &str) -> Self {
        let repository = Self::new();
        repository.set_default_branch(branch);
        repository
    }

    /// Creates a temporary repository with one commit, whose file `README.md` contains "hello".
    pub fn with_commit() -> Self {
        let repository = Self::new();
        repository.commit_files("First commit", &[("README.md", "hello\n")]);
        repository
    }

    /// Creates an empty temporary repository without a working tree.
    pub fn bare() -> Self {
        Self::temporary(|path| Self::bare_at(path))
    }

    /// Creates an empty repository at `path`.
    pub fn at(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        fs::create_dir_all(path).expect("the repository's directory");
        git::bytes(path, ["init", "--quiet"]);
        Self::open(path)
    }

    /// Creates an empty repository without a working tree at `path`.
    pub fn bare_at(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        fs::create_dir_all(path).expect("the repository's directory");
        git::bytes(path, ["init", "--quiet", "--bare"]);
        let repository = Self::open(path);
        // Servers allow partial clones and fetching any commit by its id; new repositories do not.
        repository.git(["config", "uploadpack.allowFilter", "true"]);
        repository.git(["config", "uploadpack.allowAnySHA1InWant", "true"]);
        repository
    }

    /// The repository at `path`, which need not exist until it is used.
    pub fn open(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), _temporary: None }
    }

    /// Clones `url` to `path` with `options` such as `--depth=1` or `--filter=blob:none`. git ignores both for a plain
    /// path; use [`Repository::url`].
    pub fn clone_at(url: &str, path: impl AsRef<Path>, options: &[&str]) -> Self {
        let path = path.as_ref();
        let parent = path.parent().expect("a path below a directory");
        fs::create_dir_all(parent).expect("the directory of the clone");
        let args =
            ["clone", "--quiet"].iter().chain(options).map(OsStr::new).chain([OsStr::new(url), path.as_os_str()]);
        git::bytes(parent, args);
        Self::open(path)
    }

    /// Like [`Repository::clone_at`], to a temporary directory.
    pub fn clone_of(url: &str, options: &[&str]) -> Self {
        Self::temporary(|path| Self::clone_at(url, path, options))
    }

    /// Creates a temporary clone with only the last commit of the current branch.
    pub fn shallow_clone(&self) -> Self {
        Self::clone_of(&self.url(), &["--depth=1"])
    }

    /// Creates a temporary clone without file contents except those of the checkout.
    pub fn partial_clone(&self) -> Self {
        self.git(["config", "uploadpack.allowFilter", "true"]);
        Self::clone_of(&self.url(), &["--filter=blob:none"])
    }

    /// Creates a temporary bare repository, adds it as the remote `origin` and pushes all branches and tags to it.
    pub fn publish(&self) -> Self {
        let remote = Self::bare();
        self.git(["remote", "add", "origin", &remote.url()]);
        self.git(["push", "--quiet", "origin", "--all"]);
        self.git(["push", "--quiet", "origin", "--tags"]);
        self.git(["fetch", "--quiet", "origin"]);
        remote.set_default_branch(&self.current_branch());
        remote
    }

    fn temporary(make: impl FnOnce(&Path) -> Self) -> Self {
        let temporary = tempfile::Builder::new().prefix("kgr").tempdir().expect("a temporary directory");
        let path = temporary.path().canonicalize().expect("the path of the new directory").join("repository");
        Self { _temporary: Some(temporary), ..make(&path) }
    }

    /// The working tree, or the repository itself if it is bare.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The `file://` URL of the repository.
    pub fn url(&self) -> String {
        format!("file://{}", self.path.to_str().expect("a temporary path is UTF-8"))
    }

    /// Runs git in the repository and returns its output without the last line break.
    ///
    /// # Panics
    /// Panics if git fails.
    #[track_caller]
    pub fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        git::text(&self.path, args)
    }

    /// Runs git in the repository and returns its output and status.
    pub fn try_git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        git::attempt(&self.path, args)
    }

    /// Writes a file in the working tree and creates its directories.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().expect("a path below the repository")).expect("the file's directory");
        fs::write(&path, content).unwrap_or_else(|error| panic!("could not write {}: {error}", path.display()));
    }

    /// Commits everything in the working tree, even without changes, and returns the commit's id.
    #[track_caller]
    pub fn commit(&self, message: &str) -> String {
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--allow-empty", "-m", message]);
        self.head()
    }

    /// Writes `files`, commits everything and returns the commit's id.
    #[track_caller]
    pub fn commit_files(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            self.write(path, content);
        }
        self.commit(message)
    }

    /// The branch of `HEAD`, even if unborn: the default branch of a bare repository.
    #[track_caller]
    pub fn current_branch(&self) -> String {
        self.git(["symbolic-ref", "--short", "HEAD"])
    }

    /// Points `HEAD` at `branch` without changing files: the default branch of clones of a bare repository.
    #[track_caller]
    pub fn set_default_branch(&self, branch: &str) {
        self.git(["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
    }

    /// Creates the branch `name` at `HEAD` without switching to it.
    #[track_caller]
    pub fn branch(&self, name: &str) {
        self.git(["branch", "--", name]);
    }

    /// Switches to `branch` and creates it if it does not exist.
    #[track_caller]
    pub fn switch(&self, branch: &str) {
        let exists = self.resolve(&format!("refs/heads/{branch}")).is_some();
        let create: &[&str] = if exists { &[] } else { &["--create"] };
        self.git(["switch", "--quiet"].iter().chain(create).chain(&[branch]));
    }

    /// Id of the current commit.
    #[track_caller]
    pub fn head(&self) -> String {
        self.git(["rev-parse", "HEAD"])
    }

    /// Id of the commit `revision`, if it exists.
    pub fn resolve(&self, revision: &str) -> Option<String> {
        let output = self.try_git(["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")]);
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    }

    /// Subjects of the commits reachable from `revision`, the newest first.
    #[track_caller]
    pub fn log(&self, revision: &str) -> Vec<String> {
        self.git(["log", "--format=%s", revision, "--"]).lines().map(str::to_owned).collect()
    }

    /// Content of a file at `revision`, if it exists.
    pub fn show(&self, revision: &str, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let mut object = OsString::from(format!("{revision}:"));
        object.push(path.as_ref());
        let output = self.try_git([OsStr::new("cat-file"), OsStr::new("blob"), &object]);
        output.status.success().then_some(output.stdout)
    }

    /// Like [`Repository::show`] as text.
    ///
    /// # Panics
    /// Panics if the file does not exist or is not UTF-8.
    #[track_caller]
    pub fn show_text(&self, revision: &str, path: impl AsRef<Path>) -> String {
        let path = path.as_ref();
        let Some(content) = self.show(revision, path) else { panic!("no file {} at {revision}", path.display()) };
        String::from_utf8(content).expect("the file is UTF-8")
    }

    /// Paths of all files at `revision`, sorted by bytes.
    pub fn files(&self, revision: &str) -> Vec<PathBuf> {
        let list = git::bytes(&self.path, ["ls-tree", "-r", "-z", "--name-only", revision]);
        let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        names.map(|name| OsString::from_vec(name.to_vec()).into()).collect()
    }

    /// Names of all refs, for example `refs/heads/main`, sorted.
    pub fn refs(&self) -> Vec<String> {
        self.git(["for-each-ref", "--format=%(refname)"]).lines().map(str::to_owned).collect()
    }

    /// Installs a hook with this content, for example `"#!/bin/sh\nexit 1\n"`.
    pub fn hook(&self, name: &str, content: &str) {
        let hooks = PathBuf::from(self.git(["rev-parse", "--path-format=absolute", "--git-path", "hooks"]));
        fs::create_dir_all(&hooks).expect("the directory of hooks");
        let path = hooks.join(name);
        fs::write(&path, content).expect("the hook");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the hook's mode");
    }
}

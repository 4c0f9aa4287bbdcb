//! A hermetic fixture: a home for git, repositories, and the paths that kugetsu would use.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kugetsu_git::command::{Git, Progress};
use kugetsu_git::mirror::{Mirror, Source};
use kugetsu_git::names::{BranchName, Oid};
use kugetsu_git::worktree::{Created, Worktree, WorktreeError, WorktreeSpec};

/// Ignores progress.
pub(crate) fn quiet(_: Progress) {}

pub(crate) struct Fixture {
    root: tempfile::TempDir,
    pub(crate) git: Git,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with_config("[user]\n\tname = Test Person\n\temail = test@example.invalid\n").await
    }

    /// A fixture with this git config of the user.
    pub(crate) async fn with_config(config: &str) -> Self {
        let root = tempfile::Builder::new().prefix("kgg").tempdir().unwrap();
        std::fs::create_dir(root.path().join("home")).unwrap();
        std::fs::write(root.path().join("home/.gitconfig"), format!("[init]\n\tdefaultBranch = main\n{config}"))
            .unwrap();
        let git = Git::find_with(variables(root.path())).await.unwrap();
        Self { root, git }
    }

    /// Variables that confine git to this fixture.
    pub(crate) fn variables(&self) -> [(OsString, OsString); 4] {
        variables(self.root.path())
    }

    /// Sets the `PATH` of kugetsu's git; the agent's git keeps its own.
    pub(crate) async fn set_path(&mut self, path: &Path) {
        let path = (OsString::from("PATH"), OsString::from(path));
        self.git = Git::find_with(self.variables().into_iter().chain([path])).await.unwrap();
    }

    /// Sets variables of kugetsu's git; the agent's git does not get them.
    pub(crate) async fn set_variables(&mut self, variables: &[(&str, &str)]) {
        let more = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        self.git = Git::find_with(self.variables().into_iter().chain(more)).await.unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    /// Git as the user or the agent runs it.
    pub(crate) fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new("git");
        let home = self.path("home");
        command.current_dir(dir).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", &home);
        command.env("GIT_CONFIG_GLOBAL", home.join(".gitconfig")).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").env("GIT_EDITOR", "false");
        command
    }

    /// Runs git and returns its stdout without the last line break.
    #[track_caller]
    pub(crate) fn run<S: AsRef<OsStr>>(&self, dir: &Path, args: impl IntoIterator<Item = S>) -> String {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let output = self.command(dir).args(&args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "git {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout).trim_end_matches('\n').to_owned()
    }

    #[track_caller]
    pub(crate) fn oid(&self, dir: &Path, name: &str) -> Oid {
        self.run(dir, ["rev-parse", name]).parse().unwrap()
    }

    /// A repository `name` with files and one commit, on `main`.
    #[track_caller]
    pub(crate) fn repository(&self, name: &str) -> PathBuf {
        let dir = self.empty(name, &[]);
        write(&dir, "README.md", "hello\n");
        write(&dir, "src/a.txt", "one\ntwo\nthree\n");
        self.commit(&dir, "First");
        dir
    }

    #[track_caller]
    pub(crate) fn empty(&self, name: &str, options: &[&str]) -> PathBuf {
        let dir = self.path(name);
        std::fs::create_dir_all(&dir).unwrap();
        self.run(&dir, ["init", "--quiet"].iter().chain(options));
        dir
    }

    /// A bare clone of `from`, as a server has it.
    #[track_caller]
    pub(crate) fn server(&self, from: &Path) -> PathBuf {
        let dir = self.path("server.git");
        self.run(
            &self.path("home"),
            [OsStr::new("clone"), OsStr::new("--quiet"), OsStr::new("--bare"), from.as_os_str(), dir.as_os_str()],
        );
        self.run(&dir, ["config", "uploadpack.allowFilter", "true"]);
        dir
    }

    #[track_caller]
    pub(crate) fn commit(&self, dir: &Path, message: &str) -> Oid {
        self.run(dir, ["add", "--all"]);
        self.run(dir, ["commit", "--quiet", "--allow-empty", "-m", message]);
        self.oid(dir, "HEAD")
    }

    pub(crate) async fn mirror(&self, source: &Source) -> Mirror {
        Mirror::open_or_create(&self.git, &self.path("mirrors/m"), source, &mut quiet).await.unwrap()
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.path("worktrees/w-7")
    }

    pub(crate) fn relay(&self) -> PathBuf {
        self.path("relays/w-7")
    }

    pub(crate) async fn try_create(&self, mirror: &Mirror) -> Result<Created, WorktreeError> {
        let base = mirror.resolve_base(None).await.unwrap();
        let spec = WorktreeSpec { dir: self.dir(), relay: self.relay(), branch: branch(), base };
        Worktree::create(mirror, spec, &mut quiet).await
    }

    pub(crate) async fn create(&self, mirror: &Mirror) -> Created {
        self.try_create(mirror).await.unwrap()
    }

    /// A mirror and a worktree of a repository on a server, and the path of that repository.
    pub(crate) async fn ready(&self) -> (Mirror, Worktree, PathBuf) {
        let server = self.server(&self.repository("repository"));
        let mirror = self.mirror(&url(&server)).await;
        let worktree = self.create(&mirror).await.worktree;
        (mirror, worktree, server)
    }
}

fn variables(root: &Path) -> [(OsString, OsString); 4] {
    let home = root.join("home");
    [
        ("HOME".into(), home.clone().into()),
        ("XDG_CONFIG_HOME".into(), home.join(".config").into()),
        ("GIT_CONFIG_GLOBAL".into(), home.join(".gitconfig").into()),
        ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
    ]
}

pub(crate) fn branch() -> BranchName {
    BranchName::new("kugetsu/7-fix").unwrap()
}

pub(crate) fn url(dir: &Path) -> Source {
    Source::Url(format!("file://{}", dir.display()))
}

#[track_caller]
pub(crate) fn write(dir: &Path, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Changes a committed file to another text of the same length within the second in which git wrote the index, and returns
/// in a later second. Only the content tells the change; git sees it while its index is not newer than the file.
pub(crate) async fn change_within_a_second(fixture: &Fixture, dir: &Path, name: &str) {
    use std::os::unix::fs::MetadataExt;
    let path = dir.join(name);
    let committed = read(dir, name);
    let changed = committed.to_ascii_uppercase();
    assert_ne!(committed, changed);
    let second = |path: &Path| path.metadata().map(|meta| (meta.mtime(), meta.ctime())).unwrap();
    let last = loop {
        std::fs::write(&path, &committed).unwrap();
        let first = second(&path);
        fixture.run(dir, ["add", name]);
        let index = second(&dir.join(".git/index"));
        std::fs::write(&path, &changed).unwrap();
        let last = second(&path);
        if first == last && index.0 == last.0 {
            break last.0;
        }
    };
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    while now() <= last.unsigned_abs() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[track_caller]
pub(crate) fn read(dir: &Path, name: impl AsRef<Path>) -> Vec<u8> {
    let path = dir.join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A program that writes to `mark` when it runs.
#[track_caller]
pub(crate) fn trap(path: &Path, mark: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", mark.display())).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// File names with special characters.
pub(crate) fn unusual_names() -> Vec<PathBuf> {
    let mut names: Vec<&[u8]> = vec![b"a b", b"new\nline", b"-dash", b"q\"uote", b"back\\slash", b":(top)x", b"*"];
    if cfg!(target_os = "linux") {
        names.push(b"inv\xff\xfealid");
    }
    names.into_iter().map(|name| OsStr::from_bytes(name).into()).collect()
}

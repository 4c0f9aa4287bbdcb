//! The surroundings of a sandboxed process in tests: a repository that it must not change, a directory that it may write,
//! and a home that it must not read.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kugetsu_process::sandbox::{Backend, FileAccess, Helper, Network, Sandbox};
use kugetsu_process::{Tracking, Tree, TreeExit, TreeSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::test_dir::TestDir;
use crate::tree::spec;

/// Defines the same test for each backend.
macro_rules! each_backend {
    ($namespaces:ident, $bubblewrap:ident, $landlock:ident, $body:expr) => {
        crate::own_process::own_process!($namespaces, async || {
            $body(kugetsu_process::sandbox::Backend::Namespaces).await;
        });
        crate::own_process::own_process!($bubblewrap, async || {
            $body(kugetsu_process::sandbox::Backend::Bubblewrap).await;
        });
        crate::own_process::own_process!($landlock, async || {
            $body(kugetsu_process::sandbox::Backend::Landlock).await;
        });
    };
}
pub(crate) use each_backend;

/// Defines the same test for each backend with namespaces.
macro_rules! each_namespaces {
    ($namespaces:ident, $bubblewrap:ident, $body:expr) => {
        crate::own_process::own_process!($namespaces, async || {
            $body(kugetsu_process::sandbox::Backend::Namespaces).await;
        });
        crate::own_process::own_process!($bubblewrap, async || {
            $body(kugetsu_process::sandbox::Backend::Bubblewrap).await;
        });
    };
}
pub(crate) use each_namespaces;

pub(crate) fn helper() -> Helper {
    Helper { program: env!("CARGO_BIN_EXE_kugetsu-sandbox").into(), args: Vec::new() }
}

pub(crate) struct Fixture {
    pub(crate) dir: TestDir,
    /// Whether the repository is in a directory that bubblewrap replaces by a private one, so that it has to be listed to be
    /// visible.
    list_protected: bool,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::create(TestDir::new(), true)
    }

    /// One whose repository the sandbox does not mention. `None` where there is no directory for it.
    pub(crate) fn outside_tmp() -> Option<Self> {
        Some(Self::create(TestDir::outside_tmp()?, false))
    }

    fn create(dir: TestDir, list_protected: bool) -> Self {
        for name in ["protected", "writable", "home", "home/readable", "home/writable"] {
            fs::create_dir(dir.path(name)).unwrap();
        }
        fs::write(dir.path("home/secret"), "secret").unwrap();
        fs::write(dir.path("home/readable/text"), "readable").unwrap();
        Self { dir, list_protected }
    }

    /// Makes the protected directory a repository with a file and a directory for each of these names.
    pub(crate) fn fill<'a>(&self, files: impl Iterator<Item = &'a str>) {
        let protected = self.dir.path("protected");
        for file in files {
            fs::write(protected.join(file), "one\n").unwrap();
            fs::create_dir(protected.join(format!("{file}.d"))).unwrap();
            fs::write(protected.join(format!("{file}.d/inner")), "two\n").unwrap();
        }
        let commit = "git init -q && git add . && git -c user.name=a -c user.email=a@b commit -qm first";
        assert!(Command::new("sh").args(["-c", commit]).current_dir(protected).status().unwrap().success());
    }

    pub(crate) fn files(&self) -> FileAccess {
        let protected = self.list_protected.then(|| self.dir.path("protected"));
        // The scripts run this test program, wherever it was built.
        let own = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        FileAccess {
            writable: vec![self.dir.path("writable"), self.dir.path("home/writable")],
            readable: protected.into_iter().chain([self.dir.path("home/readable"), own]).collect(),
            hidden: vec![self.dir.path("home")],
            private: Vec::new(),
            copied: Vec::new(),
            links: Vec::new(),
        }
    }

    pub(crate) fn sandbox(&self, backend: Backend) -> Sandbox {
        Sandbox { files: self.files(), network: Network::Host, helper: helper(), backend }
    }

    pub(crate) fn spec(&self, sandbox: Option<Sandbox>, script: &str, tracking: Tracking) -> TreeSpec {
        // Paths may contain spaces, and without field splitting the scripts need no quotes.
        let mut spec = spec(&self.dir, &format!("IFS=\n{script}"), tracking);
        let writable = self.dir.path("writable");
        spec.cwd.clone_from(&writable);
        for (name, value) in [
            ("P", self.dir.path("protected")),
            ("W", writable.clone()),
            ("H", self.dir.path("home")),
            ("HOME", writable.clone()),
            ("TMPDIR", writable),
            ("OUTSIDE", std::process::id().to_string().into()),
            ("SELF", std::env::current_exe().unwrap()),
        ] {
            spec.env.push((name.into(), value.into()));
        }
        spec.sandbox = sandbox;
        spec
    }

    pub(crate) async fn run(&self, sandbox: Option<Sandbox>, script: &str) -> Outcome {
        self.run_with(sandbox, script, b"").await
    }

    pub(crate) async fn run_with(&self, sandbox: Option<Sandbox>, script: &str, input: &[u8]) -> Outcome {
        let mut tree = Tree::spawn(self.spec(sandbox, script, Tracking::CgroupV2)).await.unwrap();
        let (mut stdin, mut stdout) = (tree.stdin.take().unwrap(), tree.stdout.take().unwrap());
        let mut bytes = Vec::new();
        let feed = async {
            // A script that does not read its input closes the pipe.
            let _ = stdin.write_all(input).await;
            drop(stdin);
        };
        let ((), read) = tokio::join!(feed, stdout.read_to_end(&mut bytes));
        read.unwrap();
        let code = tree.wait().await.unwrap().code();
        let TreeExit { survivors, problem, .. } = tree.end(Duration::from_secs(20)).await;
        assert!(survivors.is_empty() && problem.is_none(), "{survivors:?} {problem:?}");
        let stderr = fs::read_to_string(self.dir.path("stderr")).unwrap();
        Outcome { code, stdout: String::from_utf8(bytes).unwrap(), stderr }
    }

    /// Everything about the protected directory that can be read without changing it: contents, and all metadata but the
    /// time of access.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, String> {
        let mut entries = BTreeMap::new();
        collect(&self.dir.path("protected"), &mut entries);
        entries
    }

    /// The stderr of the attempts of a script.
    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(self.dir.path("writable/errors")).unwrap()
    }
}

fn collect(path: &Path, entries: &mut BTreeMap<PathBuf, String>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    let fields = (metadata.mode(), metadata.uid(), metadata.gid(), metadata.nlink(), metadata.len());
    // The change time covers bits, owners, times, attributes and names.
    let times = (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec());
    let bytes = if metadata.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    entries.insert(path.to_owned(), format!("{fields:?} {times:?} {}", String::from_utf8_lossy(&bytes)));
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), entries);
        }
    }
}

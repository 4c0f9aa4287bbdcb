//! What a caged process is tried on: a repository it must not touch, a room it may write, a home it must not see.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kugetsu_process::TreeExit;
use kugetsu_process::sandbox::{Backend, FileAccess, Sandbox};
use kugetsu_process::{Tracking, Tree, TreeSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::tree::spec;
use crate::world::World;

/// The same under each tracking.
macro_rules! both {
    ($bubblewrap:ident, $landlock:ident, $body:expr) => {
        crate::alone::alone!($bubblewrap, async || $body(kugetsu_process::sandbox::Backend::Bubblewrap).await);
        crate::alone::alone!($landlock, async || $body(kugetsu_process::sandbox::Backend::Landlock).await);
    };
}
pub(crate) use both;

pub(crate) struct Yard {
    pub(crate) world: World,
    /// Whether the victim is where the cage has a directory of its own, so that it must be named to be seen.
    named: bool,
}

/// What a script left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Yard {
    pub(crate) fn new() -> Self {
        Self::make(World::new(), true)
    }

    /// Its victim is nothing but a part of the system.
    pub(crate) fn elsewhere() -> Self {
        Self::make(World::elsewhere(), false)
    }

    fn make(world: World, named: bool) -> Self {
        for name in ["victim", "room", "home", "home/open", "home/desk"] {
            fs::create_dir(world.path(name)).unwrap();
        }
        fs::write(world.path("home/secret"), "secret").unwrap();
        fs::write(world.path("home/open/text"), "open").unwrap();
        Self { world, named }
    }

    /// A repository with a file for each of these names.
    pub(crate) fn fill<'a>(&self, files: impl Iterator<Item = &'a str>) {
        let victim = self.world.path("victim");
        for file in files {
            fs::write(victim.join(file), "one\n").unwrap();
            fs::create_dir(victim.join(format!("{file}.d"))).unwrap();
            fs::write(victim.join(format!("{file}.d/inner")), "two\n").unwrap();
        }
        let all = "git init -q && git add . && git -c user.name=a -c user.email=a@b commit -qm first";
        assert!(Command::new("sh").args(["-c", all]).current_dir(victim).status().unwrap().success());
    }

    pub(crate) fn cage(&self) -> FileAccess {
        let victim = self.named.then(|| self.world.path("victim"));
        // The moves are made by this program, wherever it was built.
        let own = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        FileAccess {
            writable: vec![self.world.path("room"), self.world.path("home/desk")],
            readable: victim.into_iter().chain([self.world.path("home/open"), own]).collect(),
            hidden: vec![self.world.path("home")],
        }
    }

    pub(crate) fn caged(&self, backend: Backend) -> Sandbox {
        Sandbox { files: self.cage(), backend }
    }

    pub(crate) fn spec(&self, caged: Option<Sandbox>, script: &str, tracking: Tracking) -> TreeSpec {
        let mut spec = spec(&self.world, script, tracking);
        spec.cwd = self.world.path("room");
        let room = self.world.path("room");
        for (name, value) in [
            ("V", self.world.path("victim")),
            ("W", room.clone()),
            ("H", self.world.path("home")),
            ("HOME", room.clone()),
            ("TMPDIR", room),
            ("OUT", std::process::id().to_string().into()),
            ("ME", std::env::current_exe().unwrap()),
        ] {
            spec.env.push((name.into(), value.into()));
        }
        spec.sandbox = caged;
        spec
    }

    pub(crate) async fn run(&self, caged: Option<Sandbox>, script: &str) -> Outcome {
        self.run_with(caged, script, b"").await
    }

    pub(crate) async fn run_with(&self, caged: Option<Sandbox>, script: &str, input: &[u8]) -> Outcome {
        let mut tree = Tree::spawn(self.spec(caged, script, Tracking::CgroupV2)).await.unwrap();
        let (mut stdin, mut stdout) = (tree.stdin.take().unwrap(), tree.stdout.take().unwrap());
        let mut bytes = Vec::new();
        let feed = async {
            // Who does not read it closes the pipe.
            let _ = stdin.write_all(input).await;
            drop(stdin);
        };
        let ((), read) = tokio::join!(feed, stdout.read_to_end(&mut bytes));
        read.unwrap();
        let code = tree.wait().await.unwrap().code();
        let TreeExit { survivors, problem, .. } = tree.end(Duration::from_secs(20)).await;
        assert!(survivors.is_empty() && problem.is_none(), "{survivors:?} {problem:?}");
        let stderr = fs::read_to_string(self.world.path("stderr")).unwrap();
        Outcome { code, stdout: String::from_utf8(bytes).unwrap(), stderr }
    }

    /// All that can be told of the victim without changing it: bytes, and of the metadata all but the time of reading.
    pub(crate) fn victim(&self) -> BTreeMap<PathBuf, String> {
        let mut seen = BTreeMap::new();
        look(&self.world.path("victim"), &mut seen);
        seen
    }
}

fn look(path: &Path, seen: &mut BTreeMap<PathBuf, String>) {
    let found = fs::symlink_metadata(path).unwrap();
    // The time of change moves with every change of bits, owners, times, attributes and names.
    let of = (found.mode(), found.uid(), found.gid(), found.nlink(), found.len());
    let times = (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec());
    let bytes = if found.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    seen.insert(path.to_owned(), format!("{of:?} {times:?} {}", String::from_utf8_lossy(&bytes)));
    if found.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), seen);
        }
    }
}

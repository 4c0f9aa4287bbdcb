//! A directory for each test, and waiting by condition.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Only a hang takes this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Not below `/tmp` and its like, which are not the same paths for everybody; the checkout may be there.
    #[cfg(target_os = "linux")]
    pub(crate) fn elsewhere() -> Self {
        let is_shared = |path: &PathBuf| !["/tmp", "/var/tmp", "/run"].iter().any(|private| path.starts_with(private));
        let paths = [Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))), std::env::home_dir()];
        let mut paths = paths.into_iter().flatten().filter_map(|path| path.canonicalize().ok());
        let path = paths.find(is_shared).expect("the checkout or the home is outside of /tmp, /var/tmp and /run");
        Self { dir: tempfile::tempdir_in(path).unwrap() }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// The numbers a script has written into a file, once there are `count` whole lines.
    pub(crate) async fn pids(&self, file: &str, count: usize) -> Vec<i32> {
        let path = self.path(file);
        until(&format!("{count} lines in {file}"), || lines(&path).len() >= count).await;
        lines(&path).iter().map(|line| line.parse().unwrap()).collect()
    }

    pub(crate) async fn pid(&self, file: &str) -> i32 {
        self.pids(file, 1).await[0]
    }
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Whether it exists, a dead one not yet reaped included.
pub(crate) fn exists(pid: i32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH)
}

/// Whether it exists and is not dead.
pub(crate) fn runs(pid: i32) -> bool {
    let state = std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

//! A directory for each test, and waiting for conditions.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Exceeded only by a hang.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct TestDir(tempfile::TempDir);

impl TestDir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A directory that no sandbox replaces by a private one. `None` if neither the checkout nor the home is outside of
    /// such directories.
    #[cfg(target_os = "linux")]
    pub(crate) fn outside_tmp() -> Option<Self> {
        let is_private = |path: &Path| ["/tmp", "/var/tmp", "/run"].iter().any(|private| path.starts_with(private));
        let candidates = [Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))), std::env::home_dir()];
        let candidates = candidates.into_iter().flatten().filter_map(|path| path.canonicalize().ok());
        candidates.filter(|path| !is_private(path)).find_map(|path| tempfile::tempdir_in(path).ok()).map(Self)
    }

    /// Its path without symbolic links.
    pub(crate) fn root(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Waits until a script has written `count` lines into a file, and returns the numbers in them.
    pub(crate) async fn pids(&self, file: &str, count: usize) -> Vec<i32> {
        let path = self.path(file);
        until(&format!("{count} lines in {file}"), || lines(&path).len() >= count).await;
        lines(&path).iter().map(|line| line.parse().unwrap()).collect()
    }

    pub(crate) async fn pid(&self, file: &str) -> i32 {
        self.pids(file, 1).await[0]
    }
}

/// The complete lines of a file.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

pub(crate) async fn until(condition: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "timed out waiting for {condition}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process exists, as a zombie at least.
pub(crate) fn exists(pid: i32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH)
}

/// Whether a process exists and is not a zombie.
pub(crate) fn is_running(pid: i32) -> bool {
    let state = std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

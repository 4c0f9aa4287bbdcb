//! Where everything lies: one directory, private to its owner.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use kugetsu_domain::hash::fnv1a;
use kugetsu_domain::ids::RunId;
use thiserror::Error;

/// Longest path that a unix socket can have on every system: 104 bytes on macOS, 108 on Linux, with the final NUL.
const SOCKET_PATH_MAX: usize = 103;

/// The directory of the relay repositories. An existing home has it under this name, so the name stays.
const RELAYS: &str = "gates";

/// What the name of a run's temporary directory begins with where it lies elsewhere; the run's own follows.
const TEMPORARY: &str = "kugetsu-";

/// kugetsu's directory and the places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

#[derive(Debug, Error)]
#[error("could not use kugetsu's home {}: {why}", home.display())]
pub struct HomeError {
    home: PathBuf,
    why: String,
}

impl HomeError {
    pub fn hint(&self) -> Option<String> {
        Some("set KUGETSU_HOME to a writable directory".to_owned())
    }
}

impl Home {
    /// Takes a directory, which must be absolute. It need not exist yet.
    pub const fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the directory and the places in it, readable by their owner only.
    ///
    /// # Errors
    /// One of them cannot be created or written.
    pub fn create(&self) -> Result<(), HomeError> {
        let places = self.places();
        for directory in std::iter::once(self.path()).chain(places.iter().map(PathBuf::as_path)) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|error| self.unusable(&error))?;
        }
        self.probe().map_err(|error| self.unusable(&error))
    }

    /// Writes a file in it and removes it: a directory that exists says nothing about whether it can be written, and a full
    /// disk or another owner shows here.
    ///
    /// # Errors
    /// As the file system says.
    pub fn probe(&self) -> io::Result<()> {
        let probe = self.0.join(format!(".writable-{}", std::process::id()));
        fs::write(&probe, b"kugetsu").and_then(|()| fs::remove_file(&probe))
    }

    /// The places in it that are not there.
    pub fn missing(&self) -> Vec<PathBuf> {
        self.places().into_iter().filter(|place| !place.is_dir()).collect()
    }

    fn places(&self) -> [PathBuf; 8] {
        [
            self.state(),
            self.mirrors(),
            self.worktrees(),
            self.relays(),
            self.runs(),
            self.env(),
            self.base(),
            self.coordinator(),
        ]
    }

    fn unusable(&self, error: &io::Error) -> HomeError {
        HomeError { home: self.0.clone(), why: error.to_string() }
    }

    /// The database's own directory: the home itself is watched for changed settings, and a database changes all the time.
    fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.state().join("kugetsu.db")
    }

    /// The settings.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The settings of the script that kugetsu began as; read, never executed.
    pub fn old_config(&self) -> PathBuf {
        self.0.join("config")
    }

    /// Where single repositories are cloned from.
    pub fn repositories(&self) -> PathBuf {
        self.0.join("repos.json")
    }

    /// Held by the one daemon of this home.
    pub fn lock(&self) -> PathBuf {
        self.0.join("daemon.lock")
    }

    /// What the daemon prints.
    pub fn log(&self) -> PathBuf {
        self.0.join("logs").join("daemon.log")
    }

    /// Where the daemon listens. In the home, unless its path is longer than a socket's can be: then in a directory of
    /// the same owner's below the system's temporary one.
    ///
    /// # Errors
    /// That directory belongs to somebody else.
    pub fn socket(&self) -> io::Result<PathBuf> {
        let socket = self.0.join("daemon.sock");
        if socket.as_os_str().as_bytes().len() <= SOCKET_PATH_MAX {
            return Ok(socket);
        }
        let user = nix::unistd::geteuid();
        let directory = PathBuf::from(format!("/tmp/kugetsu-{user}"));
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = fs::symlink_metadata(&directory)?;
        if !found.is_dir() || found.uid() != user.as_raw() || found.mode() & 0o077 != 0 {
            return Err(io::Error::other(format!(
                "{} does not belong to you alone; remove it, or use a shorter KUGETSU_HOME",
                directory.display()
            )));
        }
        Ok(directory.join(format!("{:016x}.sock", fnv1a(self.0.as_os_str().as_bytes()))))
    }

    /// The mirrors of repositories.
    pub fn mirrors(&self) -> PathBuf {
        self.0.join("mirrors")
    }

    /// The worktrees of issues.
    pub fn worktrees(&self) -> PathBuf {
        self.0.join("worktrees")
    }

    /// The relay repositories: an agent sees its own as `origin`.
    pub fn relays(&self) -> PathBuf {
        self.0.join(RELAYS)
    }

    /// An issue's worktree and its relay, by the worktree's name.
    pub fn files(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.worktrees().join(name), self.relays().join(name))
    }

    /// The env files.
    pub fn env(&self) -> PathBuf {
        self.0.join("env")
    }

    /// What every agent knows from the start.
    pub fn base(&self) -> PathBuf {
        self.0.join("base")
    }

    /// The base context: a file for the user to read and change.
    pub fn base_context(&self) -> PathBuf {
        self.base().join("context.md")
    }

    /// Where the coordinator works.
    pub fn coordinator(&self) -> PathBuf {
        self.0.join("pm")
    }

    /// The state of the coordinator's agent: its sessions, and a copy of its login.
    pub fn coordinator_agent(&self) -> PathBuf {
        self.coordinator().join("agent")
    }

    /// The coordinator's skill: a file for the user to read and change.
    pub fn coordinator_skill(&self) -> PathBuf {
        self.0.join("skills").join("pm").join("SKILL.md")
    }

    /// What was kept of what came before kugetsu.
    pub fn backup(&self) -> PathBuf {
        self.0.join("backup")
    }

    /// Notes about the agents' own homes.
    pub fn agents(&self) -> PathBuf {
        self.0.join("agents")
    }

    /// The runs' directories.
    pub fn runs(&self) -> PathBuf {
        self.0.join("runs")
    }

    /// Whether a path, without links in it, lies in the home or in the temporary directory of one of its runs, wherever
    /// that is: programs that are kept from writing elsewhere may have written what is there.
    pub fn holds(&self, path: &Path) -> bool {
        let home = self.0.canonicalize().unwrap_or_else(|_| self.0.clone());
        let is_a_runs = |name: &str| name.parse().is_ok_and(|run| self.run(run).path().exists());
        let mut names = path.iter().filter_map(|name| name.to_str()?.strip_prefix(TEMPORARY));
        path.starts_with(home) || names.any(is_a_runs)
    }

    /// The places of one run.
    pub fn run(&self, run: RunId) -> RunHome {
        RunHome(self.runs().join(run.to_string()))
    }
}

/// The places of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHome(PathBuf);

impl RunHome {
    /// The places below the directory of a run.
    pub const fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the directory and the run's temporary one, in it or in `elsewhere`.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(&self, elsewhere: Option<&Path>) -> io::Result<()> {
        let private = |recursive| {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(recursive).mode(0o700);
            builder
        };
        let Some(elsewhere) = elsewhere else { return private(true).create(self.temporary_here()) };
        private(true).create(&self.0)?;
        let temporary = elsewhere.join(self.temporary_name());
        private(true)
            .create(elsewhere)
            .and_then(|()| private(false).create(&temporary))
            .and_then(|()| symlink(&temporary, self.temporary_here()))
            .map_err(|error| {
                let path = temporary.display();
                io::Error::other(format!(
                    "the temporary directory {path} cannot be made: {error}; correct the setting run.temp_dir: \
                     kugetsu config set run.temp_dir <directory>"
                ))
            })
    }

    pub fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    /// What happened, one record a line.
    pub fn records(&self) -> PathBuf {
        self.0.join("records.jsonl")
    }

    /// Held as long as the runner lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// What the agent printed on its standard error.
    pub fn agent_errors(&self) -> PathBuf {
        self.0.join("agent.stderr")
    }

    /// What the runner itself printed.
    pub fn runner_log(&self) -> PathBuf {
        self.0.join("runner.log")
    }

    /// What the agent has written down of its session, while it is read.
    pub fn session_record(&self) -> PathBuf {
        self.0.join("session-record")
    }

    /// The agent's temporary directory. Where it lies elsewhere a link here says so, which whoever removes it follows as
    /// long as it leads to a directory of this run's name.
    pub fn temporary(&self) -> PathBuf {
        let here = self.temporary_here();
        match fs::read_link(&here) {
            Ok(elsewhere) if elsewhere.file_name() == Some(self.temporary_name().as_os_str()) => elsewhere,
            _ => here,
        }
    }

    /// Where the temporary directory is, or the link to it.
    pub fn temporary_here(&self) -> PathBuf {
        self.0.join("tmp")
    }

    fn temporary_name(&self) -> OsString {
        let mut name = OsString::from(TEMPORARY);
        name.push(self.0.file_name().unwrap_or_default());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_temporary_directory_can_lie_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let (near, far) = (RunHome::new(directory.path().join("run/1")), RunHome::new(directory.path().join("run/2")));
        near.create(None).unwrap();
        assert_eq!(near.temporary(), near.path().join("tmp"));
        let elsewhere = directory.path().join("big");
        far.create(Some(&elsewhere)).unwrap();
        assert_eq!(far.temporary(), elsewhere.join("kugetsu-2"));
        assert_eq!(fs::metadata(far.temporary()).unwrap().mode() & 0o777, 0o700);
        // Whoever bends the link gets nothing else removed.
        fs::remove_file(far.temporary_here()).unwrap();
        symlink(directory.path(), far.temporary_here()).unwrap();
        assert_eq!(far.temporary(), far.temporary_here());
        fs::write(directory.path().join("file"), "").unwrap();
        let error =
            RunHome::new(directory.path().join("run/3")).create(Some(&directory.path().join("file"))).unwrap_err();
        assert!(error.to_string().contains("run.temp_dir"), "{error}");
    }

    #[test]
    fn what_lies_in_the_home_or_in_a_runs_temporary_directory_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().canonicalize().unwrap();
        let home = Home::new(place.join("home"));
        home.create().unwrap();
        let run = RunId::new(uuid::Uuid::now_v7());
        home.run(run).create(Some(&place.join("big"))).unwrap();
        for inside in [home.path().to_owned(), home.coordinator().join("queue/x"), home.run(run).temporary().join("x")]
        {
            assert!(home.holds(&inside), "{}", inside.display());
        }
        let another = format!("kugetsu-{}", uuid::Uuid::now_v7());
        for outside in ["homes", "big/shop", "kugetsu-shop", &another] {
            assert!(!home.holds(&place.join(outside)), "{outside}");
        }
    }

    #[test]
    fn a_home_with_a_long_path_still_has_a_socket() {
        let near = Home::new(PathBuf::from("/home/me/.kugetsu"));
        assert_eq!(near.socket().unwrap(), Path::new("/home/me/.kugetsu/daemon.sock"));
        let far = Home::new(PathBuf::from(format!("/{}", "long/".repeat(40))));
        let farther = Home::new(PathBuf::from(format!("/{}", "long/".repeat(41))));
        assert!(far.socket().unwrap().as_os_str().len() < SOCKET_PATH_MAX);
        assert_ne!(far.socket().unwrap(), farther.socket().unwrap());
    }
}

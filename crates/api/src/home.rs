//! The layout of kugetsu's home: one directory, private to its owner.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use kugetsu_domain::hash::fnv1a;
use kugetsu_domain::ids::RunId;
use thiserror::Error;

use crate::regular_file;

/// Maximum length of the path of a unix socket on every system: 104 bytes on macOS, 108 on Linux, with the final NUL.
const SOCKET_PATH_MAX: usize = 103;

/// The directory of the relay repositories. An existing home has it under this name, so the name stays.
const RELAYS: &str = "gates";

/// Prefix of the name of a run's temporary directory outside of the home. The run's ID follows.
const TEMPORARY: &str = "kugetsu-";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

#[derive(Debug, Error)]
#[error("could not use kugetsu's home {}: {why}", home.display())]
pub struct HomeError {
    home: PathBuf,
    why: io::Error,
}

impl HomeError {
    /// Another home is no help on a full disk: the work is in this one.
    pub fn hint(&self) -> Option<String> {
        Some(match is_full(&self.why) {
            true => format!("free some space on the disk of {}, and try again", self.home.display()),
            false => "set KUGETSU_HOME to a writable directory".to_owned(),
        })
    }
}

/// Whether the disk or the user's quota is full.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Home {
    /// Takes an absolute directory, which may be missing.
    pub const fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Creates the directory and those in it, readable by their owner only, and checks that they are writable. A full disk is no
    /// error as long as nothing is missing: what is there can be read and removed.
    pub fn create(&self) -> Result<(), HomeError> {
        let directories = self.directories();
        for directory in std::iter::once(self.path()).chain(directories.iter().map(PathBuf::as_path)) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|error| self.unusable(error))?;
        }
        match self.probe() {
            Err(error) if !is_full(&error) => Err(self.unusable(error)),
            _ => Ok(()),
        }
    }

    /// Writes a file in the directory and removes it: a full disk or another owner shows only then. The next probe removes the
    /// file of a process that was killed meanwhile.
    pub fn probe(&self) -> io::Result<()> {
        let probe = self.0.join(".writable");
        let written = regular_file::open(fs::OpenOptions::new().create(true).truncate(true).write(true), &probe)
            .and_then(|mut file| file.write_all(b"kugetsu"));
        // An empty file is left if the disk is full.
        let removed = match fs::remove_file(&probe) {
            // By another process that probed at the same time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        written.and(removed)
    }

    /// Returns the directories in it that are missing.
    pub fn missing(&self) -> Vec<PathBuf> {
        self.directories().into_iter().filter(|directory| !directory.is_dir()).collect()
    }

    fn directories(&self) -> [PathBuf; 8] {
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

    fn unusable(&self, why: io::Error) -> HomeError {
        HomeError { home: self.0.clone(), why }
    }

    /// The database has its own directory, because the home is watched for changed settings.
    fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    pub fn database(&self) -> PathBuf {
        self.state().join("kugetsu.db")
    }

    /// The last measurement of the home.
    pub fn sizes(&self) -> PathBuf {
        self.state().join("sizes.json")
    }

    /// The key that the secrets of webhooks derive from.
    pub fn hook_key(&self) -> PathBuf {
        self.state().join("hook.key")
    }

    /// The identifier of the home. See [`home_id`](crate::home_id).
    pub fn id(&self) -> PathBuf {
        self.0.join("home.id")
    }

    /// Directories that the database does not know, moved out of the way.
    pub fn quarantine(&self) -> PathBuf {
        self.0.join("quarantine")
    }

    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The settings of the earlier shell script. They are read, never executed.
    pub fn old_config(&self) -> PathBuf {
        self.0.join("config")
    }

    /// Clone locations of repositories.
    pub fn repositories(&self) -> PathBuf {
        self.0.join("repos.json")
    }

    /// Where a daemon last found the home. See [`Location`](crate::location::Location).
    pub fn location(&self) -> PathBuf {
        self.0.join("home.location")
    }

    /// Locked by the daemon of this home.
    pub fn lock(&self) -> PathBuf {
        self.0.join("daemon.lock")
    }

    /// The daemon's log.
    pub fn log(&self) -> PathBuf {
        self.0.join("logs").join("daemon.log")
    }

    /// Returns the path of the daemon's socket. It is in the home, or in a directory of the same owner below /tmp if its path
    /// would be too long for a socket.
    ///
    /// # Errors
    /// That directory belongs to another user.
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
        let metadata = fs::symlink_metadata(&directory)?;
        if !metadata.is_dir() || metadata.uid() != user.as_raw() || metadata.mode() & 0o077 != 0 {
            return Err(io::Error::other(format!(
                "{} is accessible to other users; remove it, or use a shorter KUGETSU_HOME",
                directory.display()
            )));
        }
        Ok(directory.join(format!("{:016x}.sock", fnv1a(self.0.as_os_str().as_bytes()))))
    }

    pub fn mirrors(&self) -> PathBuf {
        self.0.join("mirrors")
    }

    pub fn worktrees(&self) -> PathBuf {
        self.0.join("worktrees")
    }

    /// The relay repositories. An agent sees that of its issue as `origin`.
    pub fn relays(&self) -> PathBuf {
        self.0.join(RELAYS)
    }

    /// Returns an issue's worktree and its relay, by the worktree's name.
    pub fn files(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.worktrees().join(name), self.relays().join(name))
    }

    /// The env files.
    pub fn env(&self) -> PathBuf {
        self.0.join("env")
    }

    /// The directory of the base context.
    pub fn base(&self) -> PathBuf {
        self.0.join("base")
    }

    /// The base context, which the user can edit.
    pub fn base_context(&self) -> PathBuf {
        self.base().join("context.md")
    }

    /// The coordinator's working directory.
    pub fn coordinator(&self) -> PathBuf {
        self.0.join("pm")
    }

    /// The state of the coordinator's agent: its sessions, and a copy of its login.
    pub fn coordinator_agent(&self) -> PathBuf {
        self.coordinator().join("agent")
    }

    /// The coordinator's skill, which the user can edit.
    pub fn coordinator_skill(&self) -> PathBuf {
        self.0.join("skills").join("pm").join("SKILL.md")
    }

    /// Backups of the database, and of the home of the earlier shell script.
    pub fn backup(&self) -> PathBuf {
        self.0.join("backup")
    }

    /// Notes about the first starts of agents.
    pub fn agents(&self) -> PathBuf {
        self.0.join("agents")
    }

    pub fn runs(&self) -> PathBuf {
        self.0.join("runs")
    }

    /// Whether a path without links is in the home or in the temporary directory of one of its runs. Sandboxed programs may
    /// have written what is there.
    pub fn holds(&self, path: &Path) -> bool {
        let home = self.0.canonicalize().unwrap_or_else(|_| self.0.clone());
        let is_of_run = |name: &str| name.parse().is_ok_and(|run| self.run(run).path().exists());
        let mut names = path.iter().filter_map(|name| name.to_str()?.strip_prefix(TEMPORARY));
        path.starts_with(home) || names.any(is_of_run)
    }

    pub fn run(&self, run: RunId) -> RunHome {
        RunHome(self.runs().join(run.to_string()))
    }
}

/// The directory of a run could not be created.
#[derive(Debug, Error)]
pub enum RunHomeError {
    #[error("could not create the run's directory: {0}")]
    Directory(#[from] io::Error),
    #[error("could not create the temporary directory {}: {error} (setting run.temp_dir)", path.display())]
    Temporary { path: PathBuf, error: io::Error },
}

impl RunHomeError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Directory(_) => None,
            Self::Temporary { .. } => {
                Some("choose another directory: `kugetsu config set run.temp_dir <directory>`".to_owned())
            }
        }
    }

    pub const fn io(&self) -> &io::Error {
        match self {
            Self::Directory(error) | Self::Temporary { error, .. } => error,
        }
    }
}

/// The layout of the directory of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHome(PathBuf);

impl RunHome {
    pub const fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Creates the directory and the run's temporary directory, in it or in `elsewhere`.
    pub fn create(&self, elsewhere: Option<&Path>) -> Result<(), RunHomeError> {
        let private = |recursive| {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(recursive).mode(0o700);
            builder
        };
        // Not with the home: one that was moved must not appear again at its old path.
        for directory in self.0.parent().into_iter().chain([self.path()]) {
            match private(false).create(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        let Some(elsewhere) = elsewhere else { return Ok(private(true).create(self.temporary_here())?) };
        let temporary = elsewhere.join(self.temporary_name());
        private(true)
            .create(elsewhere)
            .and_then(|()| private(false).create(&temporary))
            .and_then(|()| symlink(&temporary, self.temporary_here()))
            .map_err(|error| RunHomeError::Temporary { path: temporary.clone(), error })
    }

    pub fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    /// The transcript, one record per line.
    pub fn records(&self) -> PathBuf {
        self.0.join("records.jsonl")
    }

    /// Locked by the runner until it exits.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// The agent's standard error.
    pub fn agent_errors(&self) -> PathBuf {
        self.0.join("agent.stderr")
    }

    /// The runner's own output.
    pub fn runner_log(&self) -> PathBuf {
        self.0.join("runner.log")
    }

    /// The agent's export of its session, while it is read.
    pub fn session_record(&self) -> PathBuf {
        self.0.join("session-record")
    }

    /// An empty directory, for programs that must not find files of the agent in their working directory. It exists only
    /// while such a program runs.
    pub fn empty(&self) -> PathBuf {
        self.0.join("empty")
    }

    /// The agent's temporary directory. If it is elsewhere, there is a link to it here, which is followed only if its target
    /// has this run's name.
    pub fn temporary(&self) -> PathBuf {
        let here = self.temporary_here();
        match fs::read_link(&here) {
            Ok(elsewhere) if elsewhere.file_name() == Some(self.temporary_name().as_os_str()) => elsewhere,
            _ => here,
        }
    }

    /// The temporary directory in this directory, or the link to it.
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
    fn probe_removes_the_file_of_one_that_was_killed() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        fs::write(home.path().join(".writable"), "kugetsu").unwrap();
        home.probe().unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn temporary_directory_of_a_run_can_be_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let (near, far) = (RunHome::new(directory.path().join("run/1")), RunHome::new(directory.path().join("run/2")));
        let moved = directory.path().join("moved");
        assert!(RunHome::new(moved.join("run/1")).create(None).is_err() && !moved.exists());
        near.create(None).unwrap();
        assert_eq!(near.temporary(), near.path().join("tmp"));
        let elsewhere = directory.path().join("big");
        far.create(Some(&elsewhere)).unwrap();
        assert_eq!(far.temporary(), elsewhere.join("kugetsu-2"));
        assert_eq!(fs::metadata(far.temporary()).unwrap().mode() & 0o777, 0o700);
        // A changed link does not lead to the removal of anything else.
        fs::remove_file(far.temporary_here()).unwrap();
        symlink(directory.path(), far.temporary_here()).unwrap();
        assert_eq!(far.temporary(), far.temporary_here());
        fs::write(directory.path().join("file"), "").unwrap();
        let error =
            RunHome::new(directory.path().join("run/3")).create(Some(&directory.path().join("file"))).unwrap_err();
        assert!(error.to_string().contains("run.temp_dir"), "{error}");
    }

    #[test]
    fn paths_in_the_home_and_in_temporary_directories_are_recognized() {
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

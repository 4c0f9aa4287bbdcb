//! Serializes the first starts of an agent.
//!
//! opencode creates or migrates its database at the first start with a new home or as a new version. Concurrent first starts
//! fail: in one of two trials with four of them, one exited at once.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;

use super::agent_profile::Profile;

/// Interval between attempts to lock.
const RETRY: Duration = Duration::from_millis(50);

/// The exclusive right to make the first start. If it is dropped without [`done`](Self::done), the next waiting process gets
/// it.
#[derive(Debug)]
pub struct FirstStart {
    _lock: File,
    done: PathBuf,
}

impl FirstStart {
    /// Waits while another process makes the first start of this agent. Returns `None` if there was a first start before, so
    /// that starts may be concurrent. `directory` holds lock files and marks; there is one for each home that agents use, and
    /// it is created if needed.
    ///
    /// The caller should limit the time: a process that hangs during its first start blocks the others until it exits.
    pub async fn new(profile: &Profile, program: &Path, directory: &Path) -> io::Result<Option<Self>> {
        // Not recursively: a home that was moved must not appear again at its old path.
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let name = file_name(profile, program);
        let done = directory.join(format!("{name}.done"));
        if done.exists() {
            return Ok(None);
        }
        let lock = open_lock(&directory.join(format!("{name}.lock")))?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => tokio::time::sleep(RETRY).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        // Another process may have made the first start while this one waited.
        Ok((!done.exists()).then_some(Self { _lock: lock, done }))
    }

    /// Lets other processes start the agent. Call it when the agent has opened a session.
    pub fn done(self) -> io::Result<()> {
        File::create(&self.done).map(drop)
    }
}

/// Opens the lock file and does not wait: agents can write to the directory, and could have left a FIFO there.
fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let lock = options.create(true).append(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    match lock.metadata()?.is_file() {
        true => Ok(lock),
        false => Err(io::Error::other(format!("{} is not a regular file", path.display()))),
    }
}

/// A name for this state of the program, because each version has its own first start.
fn file_name(profile: &Profile, program: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    profile.name.hash(&mut hasher);
    program.hash(&mut hasher);
    if let Ok(metadata) = program.metadata() {
        (metadata.len(), metadata.modified().ok()).hash(&mut hasher);
    }
    format!("first-start-{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::profile;

    #[tokio::test]
    async fn first_starts_are_serialized_until_one_is_done() {
        let home = tempfile::tempdir().unwrap();
        let agent = profile("opencode", &[]).unwrap();
        let program = home.path().join("opencode");
        fs::write(&program, "one").unwrap();
        let first = || FirstStart::new(&agent, &program, home.path());

        let one = first().await.unwrap().expect("there was no start before");
        let two = tokio::time::timeout(RETRY * 4, first()).await;
        assert!(two.is_err(), "the second waits");
        drop(one);
        let three = first().await.unwrap().expect("the first start failed");
        let (four, ()) = tokio::join!(first(), async { three.done().unwrap() });
        assert!(four.unwrap().is_none());
        assert!(first().await.unwrap().is_none());

        fs::write(&program, "another version").unwrap();
        assert!(first().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn special_file_as_lock_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let agent = profile("opencode", &[]).unwrap();
        let program = home.path().join("opencode");
        let lock = home.path().join(format!("{}.lock", file_name(&agent, &program)));
        nix::unistd::mkfifo(&lock, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(FirstStart::new(&agent, &program, home.path()).await.is_err());
        let mut reader = OpenOptions::new();
        let _reader = reader.read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&lock).unwrap();
        assert!(FirstStart::new(&agent, &program, home.path()).await.is_err());
    }
}

//! One first start at a time.
//!
//! opencode makes or migrates its database when a new home or a new version is first used, and several that do so at
//! once fail: in one of two trials with four, one ended at once. So the first start with a home is made alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::profile::Profile;

/// How often a start that waits for another looks again.
const LOOK: Duration = Duration::from_millis(50);

/// The right to make the first start. Dropped without [`done`](Self::done), the next one in line makes it.
#[derive(Debug)]
pub struct FirstStart {
    _lock: File,
    done: PathBuf,
}

impl FirstStart {
    /// Waits while another process makes the first start of this agent. `None` if it was made before; the start need not
    /// wait for others then. `directory` keeps the notes of it: one directory for each home that agents use, made when
    /// it is not there.
    ///
    /// Wait no longer than a start may take: a process that hangs holds up the others until it ends.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub async fn new(profile: &Profile, program: &Path, directory: &Path) -> io::Result<Option<Self>> {
        fs::create_dir_all(directory)?;
        let name = note_name(profile, program);
        let done = directory.join(format!("{name}.done"));
        if done.exists() {
            return Ok(None);
        }
        let lock = OpenOptions::new().create(true).append(true).open(directory.join(format!("{name}.lock")))?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok((!done.exists()).then_some(Self { _lock: lock, done }))
    }

    /// The agent has opened a session: others may start.
    ///
    /// # Errors
    /// The note of it cannot be written; the next start is then made alone, too.
    pub fn done(self) -> io::Result<()> {
        File::create(&self.done).map(drop)
    }
}

/// A file name for this program at this state: another version has its own first start.
fn note_name(profile: &Profile, program: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    profile.name.hash(&mut hasher);
    program.hash(&mut hasher);
    if let Ok(found) = program.metadata() {
        (found.len(), found.modified().ok()).hash(&mut hasher);
    }
    format!("first-start-{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::profile;

    #[tokio::test]
    async fn first_starts_are_made_one_after_the_other_until_one_is_done() {
        let home = tempfile::tempdir().unwrap();
        let agent = profile("opencode", &[]).unwrap();
        let program = home.path().join("opencode");
        fs::write(&program, "one").unwrap();
        let first = || FirstStart::new(&agent, &program, home.path());

        let one = first().await.unwrap().expect("nobody started before");
        let two = tokio::time::timeout(LOOK * 4, first()).await;
        assert!(two.is_err(), "the second waits");
        drop(one);
        let three = first().await.unwrap().expect("the first start failed");
        let (four, ()) = tokio::join!(first(), async { three.done().unwrap() });
        assert!(four.unwrap().is_none());
        assert!(first().await.unwrap().is_none());

        fs::write(&program, "another version").unwrap();
        assert!(first().await.unwrap().is_some());
    }
}

//! Removes ended tasks with their events and the directories of their runs.

use std::io;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kugetsu_api::discard::discard_run;
use kugetsu_api::home::RunHome;
use kugetsu_api::problem::Problem;
use kugetsu_git::rescue::holds_repositories;
use kugetsu_store::error::StoreError;

use crate::engine::Engine;
use crate::problems::{internal, store_failed};
use crate::sizes::size;

/// The number and size of removed things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) tasks: u64,
    /// Number of directories of runs.
    pub(crate) runs: u64,
    /// Their size.
    pub(crate) bytes: u64,
}

/// Removes tasks that ended longer ago than `older_than`, except the latest of each issue, and the events and the directories
/// of runs from before that time. Returns the number of tasks.
pub async fn clean(engine: &Engine, older_than: Duration) -> Result<u64, Problem> {
    Ok(clean_before(engine, before(engine.now(), older_than)).await?.tasks)
}

/// The time that is this long ago.
pub(crate) fn before(now: Timestamp, age: Duration) -> Timestamp {
    let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
    now.checked_sub(SignedDuration::from_secs(age)).unwrap_or(Timestamp::MIN)
}

pub(crate) async fn clean_before(engine: &Engine, before: Timestamp) -> Result<Removed, Problem> {
    let cleaned = engine.store().clean(before).await.map_err(store_failed)?;
    // Also those that an earlier removal did not get to.
    let (runs, bytes) = remove_expired_runs(engine).await.map_err(internal)?;
    if cleaned.tasks + runs > 0 {
        release_memory();
    }
    Ok(Removed { tasks: cleaned.tasks, runs, bytes })
}

/// Returns freed memory to the system: glibc keeps what many runs at once needed. A daemon runs for months.
fn release_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "no safe wrapper; it has no preconditions")]
        // SAFETY: it only releases memory that is free.
        unsafe {
            nix::libc::malloc_trim(0)
        };
    }
}

/// Removes the directories of expired runs. They are recorded as removed afterwards, so a removal that is cut off is repeated.
/// A directory that cannot be removed is logged and tried again the next time. Returns their number and size.
async fn remove_expired_runs(engine: &Engine) -> Result<(u64, u64), StoreError> {
    let (mut removed, mut bytes) = (Vec::new(), 0);
    for run in engine.store().expired_runs().await? {
        let directory = engine.home().run(run);
        let path = directory.path().to_owned();
        // One that cannot be measured is removed all the same.
        let measured = tokio::task::spawn_blocking(move || size(&path)).await.unwrap_or_default();
        match remove_unless_work(&directory).await {
            Ok(()) => {
                removed.push(run);
                bytes += measured;
            }
            Err(error) => {
                tracing::warn!(path = %directory.path().display(), %error, "an old run's directory could not be removed");
            }
        }
    }
    let count = removed.len() as u64;
    if count > 0 {
        engine.store().runs_removed(removed).await?;
    }
    Ok((count, bytes))
}

/// Removes the directory of a run. What a rescue of its temporary directory could not take is still there, and stays.
async fn remove_unless_work(run: &RunHome) -> io::Result<()> {
    if holds_repositories(&run.temporary()).await.map_err(io::Error::other)? {
        let kept = "its temporary directory holds repositories that could not be rescued; move them out of it";
        return Err(io::Error::other(kept));
    }
    discard_run(run).await
}

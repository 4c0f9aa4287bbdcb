//! What the daemon does first: finds out what became of everything that was going on when it last ended.
//!
//! A runner that still holds its lock is alive and reports by itself; one that does not is gone. Removals that were begun
//! are brought to their end.

use std::fs::{File, OpenOptions, TryLockError};
use std::thread;
use std::time::Duration;

use kugetsu_domain::issue::Lease;
use kugetsu_store::error::StoreError;
use kugetsu_store::query::IssueFilter;
use tokio::sync::oneshot;

use crate::destroy::request;
use crate::engine::Engine;
use crate::runners::aftermath;

/// How long to wait before a lock is tried again that the system could not give.
const AFTER_A_FAULT: Duration = Duration::from_secs(30);

/// Brings the stored state and the world together again, then lets the dispatcher look.
///
/// # Errors
/// [`StoreError`] when the stored state cannot be read.
pub(crate) async fn recover(engine: &Engine) -> Result<(), StoreError> {
    for issue in engine.store().issues(IssueFilter::Running, usize::MAX).await?.issues {
        let Some(lease) = issue.lease() else { continue };
        match life(engine, lease) {
            Life::Gone => {
                let engine = engine.clone();
                tokio::spawn(async move {
                    let how = "its runner was gone when the daemon came back";
                    aftermath::runner_is_gone(&engine, lease, how).await;
                });
            }
            Life::Alive(lock) => adopt(engine, lease, lock),
        }
    }
    for issue in engine.store().issues(IssueFilter::Destroying, usize::MAX).await?.issues {
        let (engine, issue) = (engine.clone(), issue.id);
        tokio::spawn(async move {
            if let Err(error) = request::resume(&engine, issue).await {
                tracing::error!(%issue, %error, "a removal that was begun could not be ended; nothing more was removed");
            }
        });
    }
    engine.wake_dispatcher();
    Ok(())
}

enum Life {
    Gone,
    Alive(File),
}

fn life(engine: &Engine, lease: Lease) -> Life {
    let path = engine.home().run(lease.run).lock();
    // Without the file the runner was never started.
    let Ok(lock) = OpenOptions::new().write(true).open(&path) else { return Life::Gone };
    match lock.try_lock() {
        Ok(()) => Life::Gone,
        Err(TryLockError::WouldBlock) => Life::Alive(lock),
        Err(TryLockError::Error(error)) => {
            // Taken for alive: ending a run that lives would lose work, and one that is gone is found the next time.
            tracing::error!(path = %path.display(), %error, "a run's lock cannot be tried");
            Life::Alive(lock)
        }
    }
}

/// Waits for the end of a runner that another daemon started. The wait is a thread that sleeps in the lock: no polling,
/// and no process number that could come to mean another process.
fn adopt(engine: &Engine, lease: Lease, lock: File) {
    let (gone, end) = oneshot::channel();
    let spawned = thread::Builder::new().name("runner's lock".to_owned()).stack_size(64 * 1024).spawn(move || {
        // One that cannot be waited for (a file system without locks) says nothing about the runner's life.
        while let Err(error) = lock.lock() {
            tracing::error!(%error, "a run's lock cannot be waited for; trying again");
            thread::sleep(AFTER_A_FAULT);
        }
        // The daemon is ending; there is nobody to tell.
        let _ = gone.send(());
    });
    if let Err(error) = spawned {
        tracing::error!(run = %lease.run, %error, "the end of a running run cannot be awaited; the next start of the daemon finds it");
        return;
    }
    let engine = engine.clone();
    tokio::spawn(async move {
        if end.await.is_ok() {
            aftermath::runner_is_gone(&engine, lease, "its runner ended without a report").await;
        }
    });
}

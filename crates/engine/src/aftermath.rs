//! What happens when a runner is gone: its last words are read, what it left running is ended, and the run is closed.
//!
//! A runner writes every record to its file before it reports it. So whether it ended in order while nobody listened, or
//! was killed, is read from that file, and a run is reported once however often daemon and runner come and go.

use std::io;
use std::path::Path;

use kugetsu_domain::flow::Event;
use kugetsu_domain::issue::Lease;
use kugetsu_process::Marker;
use kugetsu_store::error::StoreError;

use crate::engine::Engine;
use crate::report;

/// The runner of this lease is gone; `how` says what is known about its end.
pub(crate) async fn runner_is_gone(engine: &Engine, lease: Lease, how: &str) {
    if let Err(error) = close(engine, lease, how).await {
        tracing::error!(run = %lease.run, %error, "a run that is over could not be closed; the next start of the daemon heals it");
    }
    // A runner removes it itself; one that was killed could not.
    if let Err(error) = std::fs::remove_dir_all(engine.home().run(lease.run).temporary())
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(run = %lease.run, %error, "a run's temporary directory could not be removed");
    }
    engine.run_is_over(lease.run);
    engine.wake_dispatcher();
}

async fn close(engine: &Engine, lease: Lease, how: &str) -> Result<(), StoreError> {
    read_last_words(engine, lease).await?;
    let issue = engine.store().issue_by_id(lease.issue).await?;
    if issue.lease() != Some(lease) {
        return Ok(());
    }
    end_what_is_left(lease).await;
    let reason = match runner_complaint(&engine.home().run(lease.run).runner_log()) {
        Some(complaint) => format!("{how}: {complaint}"),
        None => how.to_owned(),
    };
    tracing::warn!(run = %lease.run, reason, "a run is lost");
    engine.apply(lease.issue, Event::RunnerLost { lease, reason }).await.map(drop)
}

/// Takes what the runner wrote and could not report.
async fn read_last_words(engine: &Engine, lease: Lease) -> Result<(), StoreError> {
    let issue = engine.store().issue_by_id(lease.issue).await?;
    let Some(run) = issue.live_run().filter(|run| run.id == lease.run) else { return Ok(()) };
    let records = engine.home().run(lease.run).records();
    let from = run.acknowledged;
    match tail(&records, from) {
        Ok(lines) => report::take(engine, lease.run, from, &lines).await.map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            tracing::error!(path = %records.display(), %error, "a run's records cannot be read");
            Ok(())
        }
    }
}

fn tail(path: &Path, from: u64) -> io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut lines = Vec::new();
    file.read_to_end(&mut lines)?;
    Ok(lines)
}

/// Ends every process that carries the run's mark.
async fn end_what_is_left(lease: Lease) {
    let marker = match Marker::new(lease.run.to_string()) {
        Ok(marker) => marker,
        Err(error) => {
            tracing::error!(run = %lease.run, %error, "the run's processes cannot be searched for");
            return;
        }
    };
    match kugetsu_process::sweep(&marker).await {
        Ok(swept) => tracing::info!(run = %lease.run, ?swept, "the lost run's processes are ended"),
        Err(error) => tracing::error!(run = %lease.run, %error, "the lost run's processes could not all be ended"),
    }
}

/// The last line that the runner itself printed, if it printed any: a panic, say.
fn runner_complaint(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.chars().take(300).collect())
}
